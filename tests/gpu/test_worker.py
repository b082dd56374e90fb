"""The worker as a process of its own, spoken to over its pipes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from gpu.api import (
    Cancel,
    Cancelled,
    Done,
    Fatal,
    Job,
    Load,
    Loaded,
    Loading,
    NotLoaded,
    Preview,
    Ready,
    Submit,
)
from tests.gpu.pictures import job, open_png
from tests.gpu.worker_process import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def worker(tiny_folder: Path) -> Iterator[Worker]:
    worker = Worker(tiny_folder)
    yield worker
    worker.close()


def long_job() -> Job:
    return job(steps=150, sampler="ddim")


def test_p1_it_loads_draws_cancels_and_ends_with_its_input(worker: Worker) -> None:
    assert isinstance(worker.next(), Loading)
    ready = worker.until(Ready)
    assert isinstance(ready, Ready)
    assert (ready.model.name, ready.model.native_px, ready.model.multiple_px) == ("tiny", 128, 32)

    request = job(steps=5)
    worker.send(Submit(request))
    preview = worker.until(Preview)
    assert isinstance(preview, Preview)
    assert preview.job == request.id
    assert preview.jpeg[:2] == b"\xff\xd8"
    done = worker.until(Done)
    assert isinstance(done, Done)
    assert open_png(done.png).shape == (128, 128, 3)

    second = long_job()
    worker.send(Submit(second))
    worker.until(Preview)
    worker.send(Cancel(second.id))
    assert worker.until(Cancelled) == Cancelled(second.id, "asked")

    third = long_job()
    worker.send(Submit(third))
    worker.until(Preview)
    worker.stdin.close()
    assert worker.until(Cancelled) == Cancelled(third.id, "shutdown")
    assert worker.next() is None
    assert worker.wait() == 0


def test_p2_it_ends_when_its_server_dies_while_it_loads(worker: Worker) -> None:
    assert isinstance(worker.next(), Loading)
    worker.stdin.close()

    assert worker.wait() == 0


def test_p2_it_ends_on_sigterm(worker: Worker) -> None:
    worker.until(Ready)
    worker.signal(signal.SIGTERM)

    assert worker.wait() == 0


def test_p3_nonsense_on_its_input_is_fatal_and_said(worker: Worker) -> None:
    worker.stdin.write(b"\x00\x00\x00\x03abc")
    worker.stdin.flush()

    fatal = worker.until(Fatal)

    assert isinstance(fatal, Fatal)
    assert "no command" in fatal.reason
    assert worker.wait() == 1


def test_p4_a_model_that_is_not_there_is_fatal_and_says_what_to_do(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "nowhere")

    fatal = worker.until(Fatal)

    assert isinstance(fatal, Fatal)
    assert "check --model" in fatal.reason
    assert worker.wait() == 1
    worker.close()


def test_m12_a_registrys_models_are_listed_loaded_and_switched(
    tmp_path: Path, tiny_folder: Path, kl_folder: Path
) -> None:
    registry = tmp_path / "models.toml"
    registry.write_text(
        f"[models.tiny]\npath = '{tiny_folder}'\n"
        f"[models.like-sd]\npath = '{kl_folder}'\ntitle = 'Like SD'\n"
        f"[models.gone]\npath = '{tmp_path / 'gone'}'\n"
    )
    worker = Worker(None, "--models", str(registry))
    ready = worker.until(Ready)
    assert isinstance(ready, Ready)
    assert ready.model.id == "tiny"
    assert [listing.id for listing in ready.models] == ["tiny", "like-sd", "gone", "embedded"]

    worker.send(Load("like-sd"), Load("gone"))
    info = worker.until(Loaded)
    gone = worker.until(NotLoaded)
    assert isinstance(info, Loaded)
    assert (info.model.name, info.model.multiple_px) == ("Like SD", 8)
    assert isinstance(gone, NotLoaded)
    assert gone.model == "gone"
    assert "found nothing there" in gone.reason

    jobs = [job(steps=2, model=model) for model in ("like-sd", "tiny", "")]
    worker.send(*map(Submit, jobs))
    done = {event.job for event in (worker.until(Done) for _ in jobs) if isinstance(event, Done)}
    assert done == {request.id for request in jobs}
    worker.close()
