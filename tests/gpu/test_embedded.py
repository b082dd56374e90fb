"""The embedded model in the real worker: words of both languages, adapters, control, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu.api import Control, Done, Failed, Job, Ready, Submit
from gpu.worker import EMBEDDED
from tests.gpu.pictures import job, open_png, picture
from tests.gpu.worker_process import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 256


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(EMBEDDED)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def ready(worker: Worker) -> Ready:
    event = worker.until(Ready)
    assert isinstance(event, Ready)
    return event


def paint(worker: Worker, *jobs: Job) -> list[np.ndarray]:
    """What the worker makes of jobs that are sent at once, in their order."""
    worker.send(*map(Submit, jobs))
    done: dict[str, np.ndarray] = {}
    while len(done) < len(jobs):
        event = worker.next()
        assert event is not None
        assert not isinstance(event, Failed), event
        if isinstance(event, Done):
            done[event.job] = open_png(event.png)
    return [done[each.id] for each in jobs]


def ask(prompt: str, **fields: object) -> Job:
    return job(prompt=prompt, width=SIDE, height=SIDE, steps=8, guidance=3.0, **fields)


def is_red(pixels: np.ndarray) -> bool:
    red, green, blue = np.median(pixels[..., :3].reshape(-1, 3), axis=0)
    return bool(red > 150 and green < 110 and blue < 110)


def test_m7_m9_worker_lists_the_adapters_and_the_control(ready: Ready) -> None:
    assert ready.model.loras == ("blueprint", "neon", "sticker")
    assert [(c.name, c.kind) for c in ready.model.controls] == [("controlnet", "scribble")]


def test_g42_adapter_turns_its_own_picture_dark_and_no_other(worker: Worker, ready: Ready) -> None:
    plain, neon = paint(
        worker,
        ask("a red heart on a white background"),
        ask("a red heart on a white background", loras={"neon": 1.0}),
    )

    assert plain[:20].mean() > 190
    assert neon[:20].mean() < 80
    assert is_red(plain[112:144, 112:144])


def test_g43_scribble_puts_the_thing_where_the_line_is(worker: Worker, ready: Ready) -> None:
    lines = Image.new("RGB", (SIDE, SIDE))
    ImageDraw.Draw(lines).ellipse((20, 20, 130, 130), outline="white", width=5)
    control = Control(name="controlnet", image=picture(np.asarray(lines)))

    (found,) = paint(worker, ask("a red circle on a white background", control=control))

    assert is_red(found[60:90, 60:90])
    assert found[170:230, 170:230].mean() > 190


def test_g5_masked_thing_appears_and_the_rest_stays(worker: Worker, ready: Ready) -> None:
    paper = np.full((SIDE, SIDE, 4), 255, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[40:216, 40:216] = 255

    (layer,) = paint(
        worker,
        ask("白色背景上的一个红色的圆形", image=picture(paper), mask=picture(mask)),
    )

    assert not layer[..., 3][mask == 0].any()
    assert layer[128, 128, 3] == 255
    assert is_red(layer[112:144, 112:144])
