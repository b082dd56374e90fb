"""The embedded model in the real worker: words of both languages, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gpu.api import Control, ControlInfo, Done, Failed, Job, Ready, Submit
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


def test_g2_both_languages_and_two_things_share_a_batch(worker: Worker, ready: Ready) -> None:
    heart, pair = paint(
        worker,
        ask("白色背景上的一颗红色的心"),
        ask("a red square and a blue circle on a white background"),
    )

    assert heart[:20].mean() > 190
    assert is_red(heart[112:144, 112:144])
    assert is_red(pair[112:144, 56:88])
    assert not is_red(pair[112:144, 168:200])


def test_g42_adapter_turns_its_own_picture_dark_and_no_other(worker: Worker, ready: Ready) -> None:
    plain, neon = paint(
        worker,
        ask("a red heart on a white background"),
        ask("a red heart on a white background", loras={"neon": 1.0}),
    )

    assert ready.model.loras == ("blueprint", "neon", "sticker")
    assert plain[:20].mean() > 190
    assert neon[:20].mean() < 80
    assert is_red(plain[112:144, 112:144])


def test_g43_picture_follows_the_lines_that_somebody_drew(worker: Worker, ready: Ready) -> None:
    lines = Image.new("RGB", (SIDE, SIDE))
    ImageDraw.Draw(lines).ellipse((20, 20, 130, 130), outline="white", width=5)

    (circle,) = paint(
        worker,
        ask(
            "a red circle on a white background",
            control=Control(name="controlnet", image=picture(np.asarray(lines))),
        ),
    )

    assert ready.model.controls == (ControlInfo("controlnet", "scribble"),)
    assert is_red(circle[60:90, 60:90])
    assert circle[170:230, 170:230].mean() > 190


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
