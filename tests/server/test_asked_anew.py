"""A frame whose pictures are asked for again while others of it are in the making."""

from __future__ import annotations

import pytest

from gpu import api
from server.core.messages import Generate
from server.render import strips
from tests.support import canvas
from tests.support.fake_generation import ANN, Studio

pytestmark = pytest.mark.anyio

PNG = canvas.png((64, 64))


async def ask(studio: Studio, job: str) -> api.Job:
    num = len(studio.engine.jobs)
    studio.generation.generate(studio.room, ANN, Generate(id=job, frame="frame"))
    return (await studio.engine.until_jobs(num + 1))[-1]


async def asked_twice(studio: Studio) -> tuple[api.Job, api.Job]:
    studio.room.put(canvas.frame(prompt="a tree"))
    older, newer = await ask(studio, "older"), await ask(studio, "newer")
    for job in (older, newer):
        studio.engine.start_job(job)
    return older, newer


def seen(studio: Studio) -> list[tuple[str, int]]:
    return [(preview.job, preview.step) for preview in studio.room.relayed]


async def test_g50_once_a_newer_picture_was_seen_no_preview_of_an_older_one_is_shown() -> None:
    async with Studio() as studio:
        older, newer = await asked_twice(studio)
        studio.engine.preview(older, step=6)
        studio.engine.preview(newer, step=1)
        studio.engine.preview(older, step=7)
        assert seen(studio) == [("older", 6), ("newer", 1)]
        (kept,) = studio.generation.previews(studio.room.id)
        assert kept.job == "newer"


async def test_g50_an_older_picture_that_is_finished_leaves_the_newer_ones_preview() -> None:
    async with Studio() as studio:
        older, newer = await asked_twice(studio)
        studio.engine.preview(newer, step=1)
        studio.engine.finish(older, PNG)
        await studio.room.until(lambda: studio.room.job("older").state == "done")
        (candidate,) = studio.room.candidates()
        assert candidate.job == "older"
        (kept,) = studio.generation.previews(studio.room.id)
        assert kept.job == "newer"


async def test_g50_until_then_the_older_ones_previews_are_shown() -> None:
    async with Studio() as studio:
        older, _ = await asked_twice(studio)
        for step in (6, 7):
            studio.engine.preview(older, step=step)
        assert seen(studio) == [("older", 6), ("older", 7)]


async def test_g50_the_older_one_stays_hidden_where_a_third_replaces_the_second() -> None:
    async with Studio() as studio:
        older, second = await asked_twice(studio)
        studio.engine.preview(second, step=1)
        third = await ask(studio, "third")
        studio.engine.say(api.Cancelled(second.id, "superseded"))
        studio.engine.preview(older, step=7)
        studio.engine.preview(third, step=1)
        assert seen(studio) == [("newer", 1), ("third", 1)]


async def test_g50_where_the_newer_one_fails_the_older_one_is_shown_again() -> None:
    async with Studio() as studio:
        older, newer = await asked_twice(studio)
        studio.engine.preview(newer, step=1)
        studio.engine.say(api.Failed(newer.id, "no memory"))
        studio.engine.preview(older, step=7)
        assert seen(studio) == [("newer", 1), ("older", 7)]


async def test_g50_pictures_of_one_request_hide_none_of_each_other() -> None:
    async with Studio() as studio:
        studio.room.put(canvas.frame(prompt="a tree", count=2))
        studio.generation.generate(studio.room, ANN, Generate(id="both", frame="frame"))
        first, second = await studio.engine.until_jobs(2)
        for job, step in ((second, 1), (first, 1), (second, 2)):
            studio.engine.preview(job, step=step)
        assert [(p.index, p.step) for p in studio.room.relayed] == [(1, 1), (0, 1), (1, 2)]


async def test_t18_previews_that_a_newer_picture_hides_are_kept_with_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(strips, "join", lambda previews, _: steps.extend(p.step for p in previews))
    async with Studio() as studio:
        older, newer = await asked_twice(studio)
        for job, step in ((older, 6), (newer, 1), (older, 7)):
            studio.engine.preview(job, step=step)
        studio.engine.finish(older, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        assert steps == [6, 7]
