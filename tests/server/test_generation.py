"""Requests for pictures from the asking to the end, with an engine driven by hand."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from PIL import Image as Pixels

from gpu import api
from server.core.access import ACCESS_ID, lock_id
from server.core.errors import Refusal
from server.core.messages import Cancel, Generate
from server.core.records import (
    MAX_PREVIEWS,
    Access,
    Candidate,
    Delete,
    Frame,
    Image,
    Job,
    Lock,
    Patch,
)
from server.generation import Generation, Limits
from server.render import strips
from tests.support import canvas
from tests.support.fake_generation import ANN, BOB, MODEL, FakeBlobs, FakeRoom, Settings, Studio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.core.messages import Preview

pytestmark = pytest.mark.anyio

PNG = canvas.png((64, 64))
PNG_RGBA = canvas.png((64, 64), "#00ff0080", "RGBA")


def ask(studio: Studio, job: str = "job", frame: str = "frame", by: object = ANN) -> None:
    studio.generation.generate(
        studio.room, ANN if by is ANN else BOB, Generate(id=job, frame=frame)
    )


async def asked(studio: Studio, frame: Frame | None = None, count: int = 1) -> list[api.Job]:
    studio.room.put(frame or canvas.frame(prompt="a tree", count=count))
    ask(studio)
    return await studio.engine.until_jobs(count)


# --- what a frame asks for --------------------------------------------------------------------


async def test_g20_a_request_is_recorded_before_anything_else_happens() -> None:
    async with Studio(ready=False) as studio:
        studio.room.put(canvas.frame(prompt="a tree", seed=5, count=3))
        ask(studio)
        job = studio.room.job("job")
        assert (job.state, job.count, job.seed, job.prompt) == ("queued", 3, 5, "a tree")
        assert job.by == ANN
        assert studio.engine.jobs == []


async def test_g20_the_same_request_again_changes_nothing() -> None:
    async with Studio() as studio:
        await asked(studio)
        ask(studio)
        studio.engine.finish(studio.engine.jobs[0], PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        ask(studio)
        assert len(studio.engine.jobs) == 1
        assert len(studio.room.jobs()) == 1


@pytest.mark.parametrize(
    ("w", "h", "expected"),
    [(256, 256, (64, 64)), (512, 256, (128, 64)), (100, 390, (64, 248)), (4096, 1024, (256, 64))],
)
async def test_g21_pictures_have_the_frame_s_proportions(
    w: float, h: float, expected: tuple[int, int]
) -> None:
    async with Studio() as studio:
        (job,) = await asked(studio, canvas.frame(w=w, h=h))
        assert (job.width, job.height) == expected


async def test_g21_a_frame_too_narrow_for_the_model_is_refused() -> None:
    async with Studio() as studio:
        studio.room.put(canvas.frame(w=4000, h=100))
        with pytest.raises(Refusal, match="frame_shape"):
            ask(studio)
        assert studio.room.jobs() == []


async def test_g21_the_shape_is_checked_once_the_model_is_known() -> None:
    async with Studio(ready=False) as studio:
        studio.room.put(canvas.frame(w=4000, h=100))
        ask(studio)
        studio.engine.ready()
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert "make it less narrow" in studio.room.job("job").reason
        assert studio.room.job("job").code == "frame_shape"


async def test_g48_a_frame_s_model_decides_the_picture_s_size_and_goes_with_the_job() -> None:
    async with Studio() as studio:
        large = msgspec.structs.replace(MODEL, id="large", native_px=128)
        studio.engine.others = {"large": large}

        (job,) = await asked(studio, canvas.frame(prompt="a tree", model="large"))

        assert (job.model, job.width, job.height) == ("large", 128, 128)


async def test_g48_a_sampler_that_the_model_lacks_gives_way_to_its_own() -> None:
    async with Studio() as studio:
        flow = msgspec.structs.replace(MODEL, id="flow", sampler="euler", samplers=("euler",))
        studio.engine.others = {"flow": flow}

        (job,) = await asked(studio, canvas.frame(model="flow", sampler="dpmpp_2m"))

        assert job.sampler == "euler"


async def test_g48_a_frame_that_names_no_model_has_the_room_s() -> None:
    async with Studio() as studio:
        studio.engine.others = {"large": msgspec.structs.replace(MODEL, id="large")}
        studio.room.put(Access(id=ACCESS_ID, model="large"))

        (job,) = await asked(studio)

        assert job.model == "large"


async def test_g48_a_frame_whose_model_can_t_be_used_fails_with_the_reason() -> None:
    async with Studio() as studio:
        studio.room.put(canvas.frame(prompt="a tree", model="gone"))
        ask(studio)
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert studio.room.job("job").reason == "expected a model, got gone"
        assert studio.engine.jobs == []


async def test_g22_mask_strokes_ask_for_inpainting_on_paper() -> None:
    async with Studio() as studio:
        studio.room.put(
            canvas.stroke("s", (20, 64), (236, 64)),
            canvas.mask("m", "frame", (20, 128), (236, 128)),
        )
        (job,) = await asked(studio)
        assert job.image is not None
        assert job.mask is not None
        image = Pixels.frombytes("RGBA", (64, 64), job.image.data)
        mask = Pixels.frombytes("L", (64, 64), job.mask.data)
        assert image.getpixel((32, 16)) == (255, 0, 0, 255)
        assert image.getpixel((32, 50)) == (255, 255, 255, 255)
        assert [mask.getpixel((32, y)) for y in (10, 32, 60)] == [0, 255, 0]
        assert job.strength == pytest.approx(0.7)


@pytest.mark.parametrize("strength", [0.7, 1.0])
async def test_g23_nothing_below_or_full_strength_is_text_to_image(strength: float) -> None:
    async with Studio() as studio:
        if strength == 1:
            studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        (job,) = await asked(studio, canvas.frame(strength=strength))
        assert (job.image, job.mask, job.strength) == (None, None, 1.0)


async def test_g24_a_picture_that_leaves_part_of_the_frame_empty_is_painted_around() -> None:
    async with Studio() as studio:
        blob = await studio.blobs.put(studio.room.id, canvas.png((40, 40), "#0000ff"))
        studio.room.put(canvas.image("i", 0, 0, 128, 256, blob=blob))
        (job,) = await asked(studio)
        assert job.image is not None
        image = Pixels.frombytes("RGBA", (64, 64), job.image.data)
        assert image.getpixel((10, 32)) == (0, 0, 255, 255)
        assert image.getpixel((50, 32)) == (0, 0, 0, 0)
        assert (job.mask, job.strength) == (None, 1.0)


@pytest.mark.parametrize("whole_picture", [True, False])
async def test_g25_a_sketch_or_a_whole_picture_is_image_to_image_on_paper(
    whole_picture: bool,
) -> None:
    async with Studio() as studio:
        if whole_picture:
            blob = await studio.blobs.put(studio.room.id, canvas.png((40, 40), "#0000ff"))
            studio.room.put(canvas.image("i", -1, -1, 300, 300, blob=blob))
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64), z="a1"))
        (job,) = await asked(studio, canvas.frame(strength=0.4))
        assert job.image is not None
        image = Pixels.frombytes("RGBA", (64, 64), job.image.data)
        assert image.getchannel("A").getextrema() == (255, 255)
        assert image.getpixel((32, 16)) == (255, 0, 0, 255)
        paper = (0, 0, 255, 255) if whole_picture else (255, 255, 255, 255)
        assert image.getpixel((32, 50)) == paper
        assert job.strength == pytest.approx(0.4)


CONTROLS = tuple(api.ControlInfo(f"my-{kind}", kind) for kind in ("scribble", "canny", "depth"))


@pytest.mark.parametrize(
    ("control", "mode", "on_line", "beside", "far"),
    [
        ("my-scribble", "L", 255, 0, 0),
        ("my-canny", "L", 0, None, 0),
        ("my-depth", "RGB", (255, 0, 0), None, (0, 0, 0)),
    ],
)
async def test_g44_a_control_sees_what_lies_under_the_frame_in_its_own_way(
    control: str, mode: str, on_line: object, beside: object, far: object
) -> None:
    async with Studio() as studio:
        studio.engine.tell("ready", msgspec.structs.replace(MODEL, controls=CONTROLS))
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64), size=40.0))
        steered: dict[str, Any] = {
            "control_strength": 0.5,
            "control_start": 0.1,
            "control_end": 0.8,
        }
        (job,) = await asked(studio, canvas.frame(control=control, strength=1.0, **steered))
        assert job.control is not None
        assert job.image is None
        assert (job.control.name, job.control.strength) == (control, 0.5)
        assert (job.control.start, job.control.end) == (0.1, 0.8)
        assert job.control.image.mode == mode
        seen = Pixels.frombytes(mode, (64, 64), job.control.image.data)
        assert seen.getpixel((32, 16)) == on_line
        assert seen.getpixel((32, 50)) == far
        column = [seen.getpixel((32, y)) for y in range(64)]
        assert beside is not None or any(column)


async def test_g44_a_control_that_the_model_lacks_fails_by_its_name() -> None:
    async with Studio() as studio:
        studio.room.put(canvas.frame(control="canny"))
        ask(studio)
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert "has no control canny" in studio.room.job("job").reason


async def test_g44_what_else_a_frame_sets_reaches_the_worker() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio, canvas.frame(loras={"ink": 0.5}, clip_skip=2))
        assert (job.loras, job.clip_skip, job.control) == ({"ink": 0.5}, 2, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (64, 64, 0.0)),
        ({"hires": 2.0, "hires_strength": 0.4}, (128, 128, 0.4)),
        ({"hires": 1.5, "w": 512.0}, (136, 64, 0.3)),
        # The model's largest side bounds it.
        ({"hires": 4.0, "w": 1024.0}, (256, 64, 0.3)),
    ],
)
async def test_g49_a_frame_may_ask_for_more_than_the_native_size(
    fields: dict[str, Any], expected: tuple[int, int, float]
) -> None:
    async with Studio() as studio:
        (job,) = await asked(studio, canvas.frame(**{"w": 256.0, "h": 256.0, **fields}))
        assert (job.width, job.height, job.hires_strength) == expected


async def test_g26_pictures_of_one_request_have_seeds_in_a_row_and_slots_of_their_own() -> None:
    async with Studio() as studio:
        jobs = await asked(studio, canvas.frame(seed=2**32 - 2, count=3), 3)
        assert [job.seed for job in jobs] == [2**32 - 2, 2**32 - 1, 0]
        assert [job.slot for job in jobs] == [f"room/frame/asked/{i}" for i in range(3)]
        assert {(job.room, job.person, job.live) for job in jobs} == {("room", "ann", False)}


async def test_g45_variations_share_the_seed_and_have_variation_seeds_in_a_row() -> None:
    async with Studio() as studio:
        frame = canvas.frame(seed=5, variation=0.2, variation_seed=2**32 - 1, count=2)
        jobs = await asked(studio, frame, 2)
        assert [(job.seed, job.variation_seed) for job in jobs] == [(5, 2**32 - 1), (5, 0)]
        assert {job.variation for job in jobs} == {0.2}
        for job in jobs:
            studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        assert {candidate.seed for candidate in studio.room.candidates()} == {5}


async def test_g26_the_picture_is_of_the_canvas_as_it_was_when_asked_for() -> None:
    async with Studio(ready=False) as studio:
        studio.room.put(canvas.frame())
        ask(studio)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        studio.engine.ready()
        (job,) = await studio.engine.until_jobs(1)
        assert job.image is None


async def test_g37_a_picture_knows_above_what_it_was_made() -> None:
    async with Studio() as studio:
        low, high = (canvas.stroke(z, (9, 9), (90, 90), z=z) for z in ("a0", "a1"))
        studio.room.put(high)
        studio.room.put(low)
        (job,) = await asked(studio, canvas.frame(), 1)
        studio.room.put(canvas.stroke("a2", (9, 90), (90, 9), z="a2"))
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        (candidate,) = studio.room.candidates()
        assert candidate.above == "a1"


@pytest.mark.parametrize(
    ("is_shown", "is_locked", "made_over"),
    [
        (True, False, ("sky", "a2")),
        (False, False, (None, "a7")),
        # Whoever takes the picture may not be one who may put things into a locked layer.
        (True, True, (None, "a7")),
    ],
)
async def test_g37_a_picture_knows_the_uppermost_layer_that_showed_something_in_its_frame(
    is_shown: bool, is_locked: bool, made_over: tuple[str | None, str]
) -> None:
    async with Studio() as studio:
        studio.room.put(canvas.layer("sky", "a0", visible=is_shown))
        studio.room.put(canvas.layer("hidden", "a1", visible=False))
        studio.room.put(canvas.layer("elsewhere", "a2"))
        if is_locked:
            studio.room.put(Lock(id=":lock:sky", of="sky"))
        drawn = ((None, "a7", 9), ("sky", "a1", 9), ("sky", "a2", 9), ("hidden", "a8", 9))
        for layer, z, x in (*drawn, ("elsewhere", "a9", 9_000)):
            studio.room.put(canvas.stroke(f"{layer}-{z}", (x, 9), (x + 90, 90), z=z, layer=layer))
        (job,) = await asked(studio, canvas.frame(), 1)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        (candidate,) = studio.room.candidates()
        assert (candidate.layer, candidate.above) == made_over


# --- how it goes on ---------------------------------------------------------------------------


async def test_g27_a_request_runs_shows_previews_and_ends_with_candidates() -> None:
    async with Studio() as studio:
        frame = canvas.frame(x=100.0, y=-50.0, w=512, h=512, seed=9, prompt="a tree", count=2)
        jobs = await asked(studio, frame, 2)
        studio.engine.start_job(jobs[0])
        assert studio.room.job("job").state == "running"
        studio.engine.preview(jobs[0], step=3, box=(16, 0, 32, 64))
        (preview,) = studio.room.relayed
        assert (preview.frame, preview.job, preview.index, preview.step) == ("frame", "job", 0, 3)
        assert list(preview.box) == [228.0, -50.0, 256.0, 512.0]
        assert list(studio.generation.previews(studio.room.id)) == [preview]
        studio.engine.finish(jobs[1], PNG)
        await studio.room.until(lambda: studio.room.job("job").done == 1)
        assert studio.room.job("job").state == "running"
        studio.engine.finish(jobs[0], PNG_RGBA)
        await studio.room.until(lambda: studio.room.job("job").done == 2)
        assert studio.room.job("job").state == "done"
        assert list(studio.generation.previews(studio.room.id)) == []
        first, second = sorted(studio.room.candidates(), key=lambda candidate: candidate.index)
        assert (first.seed, first.masked, second.seed, second.masked) == (9, True, 10, False)
        assert (first.x, first.y, first.w, first.h) == (100, -50, 512, 512)
        assert studio.blobs.stored[first.blob] == PNG_RGBA
        assert (first.frame, first.job, first.prompt, first.by) == ("frame", "job", "a tree", ANN)
        assert not studio.generation.busy(studio.room.id)


async def test_g27_a_candidate_and_the_job_s_end_come_in_one_op() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        assert [type(change).__name__ for change in studio.room.ops[-1]] == ["Put", "Patch"]


async def test_t18_a_picture_keeps_some_of_its_previews_and_a_live_one_none() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        jpeg = canvas.encode(Pixels.new("RGB", (8, 8)), "JPEG")
        for step in range(1, 40):
            studio.engine.preview(job, step=step, jpeg=jpeg)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        (candidate,) = studio.room.candidates()
        assert candidate.num_previews == 4
        with Pixels.open(io.BytesIO(studio.blobs.stored[candidate.strip])) as strip:
            assert strip.format == "WEBP"
            assert strip.width == 4 * strip.height


@pytest.mark.parametrize(("num", "kept"), [(12, [3, 6, 9, 12]), (40, [5, 17, 29, 40])])
async def test_t18_the_previews_of_a_picture_are_spread_over_all_of_its_time(
    monkeypatch: pytest.MonkeyPatch, num: int, kept: list[int]
) -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        steps = watched(monkeypatch)
        for step in range(1, num + 1):
            studio.engine.preview(job, step=step)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        assert steps == kept


async def test_t18_what_a_worker_that_died_had_shown_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        steps = watched(monkeypatch)
        studio.engine.start_job(job)
        for step in range(1, 10):
            studio.engine.preview(job, step=step)
        studio.engine.start_job(job)
        for step in range(1, 4):
            studio.engine.preview(job, step=step)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        assert steps == [1, 2, 3]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps whose previews get into a strip."""
    steps: list[int] = []

    def join(previews: Sequence[Preview], frame: Frame) -> None:
        steps.extend(p.step for p in strips.evenly(previews, MAX_PREVIEWS))

    monkeypatch.setattr(strips, "join", join)
    return steps


async def test_t18_a_picture_comes_without_previews_where_they_cant_be_kept() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.preview(job, jpeg=b"no picture")
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        assert studio.room.candidates()[0].strip == ""
        assert studio.room.job("job").state == "done"


async def test_g28_a_job_ends_once_whatever_the_engine_says_after_that() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.finish(job, PNG)
        studio.engine.finish(job, PNG)
        studio.engine.say(api.Failed(job.id, "too late"))
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        studio.engine.say(api.Cancelled(job.id, "asked"))
        studio.engine.start_job(job)
        assert studio.room.job("job").state == "done"
        assert len(studio.room.candidates()) == 1


@pytest.mark.parametrize(
    ("event", "state", "reason"),
    [
        (api.Failed(api.JobId(""), "out of memory"), "failed", "out of memory"),
        (
            api.Cancelled(api.JobId(""), "superseded"),
            "cancelled",
            "replaced by a newer request",
        ),
        (api.Cancelled(api.JobId(""), "asked"), "cancelled", "cancelled"),
    ],
)
async def test_g28_failures_and_cancellations_end_with_their_reason(
    event: api.Failed | api.Cancelled, state: str, reason: str
) -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.start_job(job)
        kind = type(event)
        studio.engine.say(kind(job.id, event.reason))  # type: ignore[arg-type]
        assert (studio.room.job("job").state, studio.room.job("job").reason) == (state, reason)
        assert not studio.generation.busy(studio.room.id)


async def test_g28_a_request_that_lost_some_pictures_says_so_at_the_end() -> None:
    async with Studio() as studio:
        jobs = await asked(studio, count=3)
        studio.engine.say(api.Cancelled(jobs[0].id, "superseded"))
        studio.engine.say(api.Failed(jobs[1].id, "out of memory"))
        assert studio.room.job("job").state == "queued"
        studio.engine.finish(jobs[2], PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert (studio.room.job("job").done, studio.room.job("job").reason) == (1, "out of memory")
        assert studio.room.job("job").code == "engine_error"


async def test_g28_a_picture_that_can_t_be_stored_fails_the_job() -> None:
    async with Studio() as studio:
        studio.blobs.broken = True
        (job,) = await asked(studio)
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert "couldn't be stored" in studio.room.job("job").reason
        assert studio.room.job("job").code == "not_stored"


async def test_g28_an_engine_that_is_full_fails_the_job() -> None:
    async with Studio() as studio:
        studio.engine.full = True
        studio.room.put(canvas.frame())
        ask(studio)
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert "try again later" in studio.room.job("job").reason


async def test_g29_cancelling_ends_all_of_a_frame_s_jobs_at_once() -> None:
    async with Studio() as studio:
        jobs = await asked(studio, count=2)
        studio.engine.finish(jobs[0], PNG)
        await studio.room.until(lambda: studio.room.job("job").done == 1)
        studio.generation.cancel(studio.room, BOB, Cancel(frame="frame"))
        assert studio.room.job("job").state == "cancelled"
        assert studio.engine.cancelled == [jobs[1].id]
        studio.engine.finish(jobs[1], PNG)
        assert len(studio.room.candidates()) == 1


async def test_g29_a_request_cancelled_before_it_is_drawn_never_reaches_the_engine() -> None:
    async with Studio(ready=False) as studio:
        studio.room.put(canvas.frame())
        ask(studio)
        studio.generation.cancel(studio.room, ANN, Cancel(frame="frame"))
        ask(studio, "next")
        studio.engine.ready()
        await studio.engine.until_jobs(1)
        assert studio.room.job("job").state == "cancelled"
        assert studio.room.job("next").state == "queued"


async def test_g29_a_picture_cancelled_while_it_is_stored_is_not_offered() -> None:
    async with Studio() as studio:
        studio.blobs.gate = asyncio.Event()
        (job,) = await asked(studio)
        studio.engine.finish(job, PNG)
        studio.generation.cancel(studio.room, ANN, Cancel(frame="frame"))
        studio.blobs.gate.set()
    assert studio.room.candidates() == []
    assert studio.room.job("job").state == "cancelled"


async def test_g29_deleting_a_frame_cancels_its_jobs() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.room.apply([Delete("frame")])
        assert studio.room.job("job").reason == "the frame was deleted"
        assert studio.engine.cancelled == [job.id]


async def test_g29_no_picture_is_offered_while_the_frame_s_deletion_is_on_its_way_to_the_disk() -> (
    None
):
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.room.generation = None
        studio.room.apply([Delete("frame")])
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "cancelled")
        assert studio.room.candidates() == []
        assert not studio.generation.busy(studio.room.id)


async def test_g30_people_and_rooms_have_so_many_pictures_under_way() -> None:
    async with Studio(limits=Limits(per_person=3, per_room=4)) as studio:
        await asked(studio, count=2)
        with pytest.raises(Refusal, match="too_many_pictures"):
            ask(studio, "second")
        ask(studio, "bobs", by=BOB)
        studio.room.put(canvas.frame("other"))
        with pytest.raises(Refusal, match="in this room"):
            ask(studio, "third", "other")
        studio.generation.cancel(studio.room, ANN, Cancel(frame="frame"))
        ask(studio, "third", "other")


async def test_g30_requests_that_make_no_sense_are_refused() -> None:
    async with Studio() as studio:
        with pytest.raises(Refusal, match="missing_frame"):
            ask(studio)
        studio.room.put(canvas.frame(), canvas.layer("layer"))
        with pytest.raises(Refusal, match="missing_frame"):
            ask(studio, frame="layer")
        with pytest.raises(Refusal, match="exists"):
            ask(studio, job="layer")
        studio.engine.fail("the model can't be loaded")
        with pytest.raises(Refusal, match="the model can't be loaded"):
            ask(studio)


async def test_g30_requests_that_wait_for_an_engine_which_fails_fail_with_its_reason() -> None:
    async with Studio(ready=False) as studio:
        studio.room.put(canvas.frame())
        ask(studio)
        assert studio.generation.busy(studio.room.id)
        studio.engine.fail("the model can't be loaded")
        await studio.room.until(lambda: studio.room.job("job").state == "failed")
        assert studio.room.job("job").reason == "the model can't be loaded"


async def test_g31_the_engine_s_state_is_passed_on() -> None:
    async with Studio(ready=False) as studio:
        assert studio.generation.engine.state == "starting"
        studio.engine.ready()
        assert studio.generation.engine.model == MODEL
        assert [status.state for status in studio.statuses] == ["ready"]


async def test_g31_a_picture_that_a_second_worker_begins_counts_as_another_attempt() -> None:
    async with Studio() as studio:
        jobs = await asked(studio, count=2)
        for _ in range(2):
            for job in jobs:
                studio.engine.start_job(job)
        assert studio.room.job("job").attempt == 2
        patches = [op for op in studio.room.ops if isinstance(op[0], Patch)]
        assert len(patches) == 2


# --- after a restart --------------------------------------------------------------------------


async def test_g32_unfinished_jobs_are_taken_up_once_after_a_restart() -> None:
    async with Studio() as studio:
        there = Candidate(
            id="c", frame="frame", job="job", index=1, blob=canvas.BLOB, seed=8,
            x=0, y=0, w=256, h=256,
        )  # fmt: skip
        studio.room.put(
            canvas.frame(prompt="a newer prompt"),
            Job(id="job", frame="frame", state="running", count=3, done=1, seed=7, prompt="old"),
            there,
            Job(id="worn", frame="frame", state="queued", count=1, attempt=2),
            Job(id="over", frame="frame", state="done", count=1, done=1),
            Job(id="lost", frame="gone", state="running", count=1),
        )
        studio.generation.opened(studio.room)
        jobs = await studio.engine.until_jobs(2)
        assert [(job.seed, job.prompt) for job in jobs] == [(7, "old"), (9, "old")]
        assert (studio.room.job("job").attempt, studio.room.job("job").state) == (2, "queued")
        assert studio.room.job("worn").state == "failed"
        assert "stopped twice" in studio.room.job("worn").reason
        assert studio.room.job("worn").code == "server_stopped"
        assert studio.room.job("over").state == "done"
        assert studio.room.job("lost").state == "cancelled"
        for job in jobs:
            studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.room.job("job").state == "done")
        assert studio.room.job("job").done == 3


async def test_g32_stopping_leaves_unfinished_jobs_in_the_log() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.start_job(job)
        await studio.generation.stop()
        studio.engine.say(api.Cancelled(job.id, "shutdown"))
        assert studio.room.job("job").state == "running"


async def test_g32_without_a_model_requests_are_refused_with_a_reason() -> None:
    generation = Generation(Settings("none"), FakeBlobs())
    await generation.start(lambda status: None)
    assert generation.engine.state == "failed"
    room = FakeRoom()
    room.put(canvas.frame())
    with pytest.raises(Refusal, match="generation is switched off"):
        generation.generate(room, ANN, Generate(id="job", frame="frame"))
    await generation.stop()


async def test_a8_what_is_made_for_whom_a_host_bans_ends() -> None:
    async with Studio() as studio:
        studio.room.put(canvas.frame(), canvas.frame("free"), live_frame(id="lively"), by=BOB)
        ask(studio, "bobs", by=BOB)
        ask(studio, "anns", "free")
        studio.clock.ring()
        await studio.engine.until_jobs(3)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)), by=BOB)
        studio.generation.withdraw(studio.room, BOB)
        assert studio.clock.pending() == 0, "no touch of theirs waits"
        ended = {job.id for job in studio.room.jobs() if job.state == "cancelled"}
        assert len(ended) == 2
        assert "anns" not in ended
        assert len(studio.engine.cancelled) == 2
        studio.room.put(canvas.stroke("t", (20, 64), (236, 64)))
        assert (await drawn(studio, 4)).person == ANN, "the frame is everybody's"


async def test_a9_undoing_a_clearing_brings_back_no_work_and_no_second_live_picture() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        ask(studio, "asked")
        await studio.engine.until_jobs(2)
        studio.generation.withdraw(studio.room, None)
        assert studio.room.job("asked").state == "cancelled"
        assert not studio.generation.busy(studio.room.id)
        everything = dict(studio.room.map)
        studio.room.apply([Delete(id) for id in everything])
        studio.room.put(*everything.values())
        await shown(studio, await drawn(studio, 3))
        assert len(studio.room.candidates()) == 1


# --- live frames ------------------------------------------------------------------------------


def live_frame(id: str = "frame", **fields: Any) -> Frame:
    return canvas.frame(id, live=True, prompt="a tree", **fields)


async def drawn(studio: Studio, count: int) -> api.Job:
    """Let the debounce pass; the newest of `count` jobs in all."""
    studio.clock.ring()
    return (await studio.engine.until_jobs(count))[-1]


async def shown(studio: Studio, job: api.Job, png: bytes = PNG) -> None:
    studio.engine.start_job(job)
    studio.engine.finish(job, png)
    await studio.room.until(lambda: studio.room.jobs()[0].state == "done")


async def test_g33_a_live_frame_follows_the_brush_and_keeps_one_candidate_and_one_job() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame(steps=20, hires=2.0))
        job = await drawn(studio, 1)
        assert (job.live, job.steps) == (True, MODEL.live_steps)
        assert (job.width, job.hires_strength) == (MODEL.native_px, 0.0)
        await shown(studio, job)
        (first,) = studio.room.candidates()
        assert first.live
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)), by=BOB)
        job = await drawn(studio, 2)
        assert job.person == BOB
        assert job.image is not None
        await shown(studio, job, PNG_RGBA)
        (second,) = studio.room.candidates()
        assert (second.id, second.masked) == (first.id, True)
        assert studio.blobs.stored[second.blob] == PNG_RGBA
        (record,) = studio.room.jobs()
        assert (record.live, record.state, record.seed) == (True, "done", job.seed)
        assert not studio.generation.busy(studio.room.id)


async def test_g33_a_live_frame_keeps_its_seed() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        first = await drawn(studio, 1)
        await shown(studio, first)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        second = await drawn(studio, 2)
        assert first.seed == second.seed


async def test_g33_many_changes_at_once_are_one_picture() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        for i in range(30):
            studio.room.put(canvas.stroke(f"s{i}", (20, 64), (236, 64)))
        assert studio.clock.pending() == 1
        await drawn(studio, 1)


async def test_g33_while_a_worker_is_at_it_the_newest_state_waits() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        job = await drawn(studio, 1)
        studio.engine.start_job(job)
        for i in range(3):
            studio.room.put(canvas.stroke(f"s{i}", (20, 64), (236, 64 + i)))
            studio.clock.ring()
        assert len(studio.engine.jobs) == 1
        studio.engine.finish(job, PNG)
        await studio.room.until(lambda: studio.clock.pending() == 1)
        job = await drawn(studio, 2)
        await shown(studio, job)
        assert studio.clock.pending() == 0
        assert len(studio.engine.jobs) == 2


async def test_g33_a_picture_that_nobody_has_begun_is_replaced() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        old = await drawn(studio, 1)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        new = await drawn(studio, 2)
        assert old.slot == new.slot
        studio.engine.say(api.Cancelled(old.id, "superseded"))
        assert studio.room.jobs()[0].state == "queued"
        await shown(studio, new)
        assert studio.room.jobs()[0].state == "done"
        assert len(studio.room.candidates()) == 1


async def test_g33_an_older_picture_never_takes_the_place_of_a_newer_one() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        old = await drawn(studio, 1)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        new = await drawn(studio, 2)
        studio.engine.start_job(old)
        studio.engine.preview(old)
        assert studio.room.relayed == []
        await shown(studio, new, PNG_RGBA)
        studio.engine.finish(old, PNG)
        assert studio.engine.cancelled == [old.id]
        (candidate,) = studio.room.candidates()
        assert studio.blobs.stored[candidate.blob] == PNG_RGBA


async def test_g33_what_was_undone_before_it_was_drawn_is_never_shown() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        undone = await drawn(studio, 2)
        studio.room.append([Delete("s")], ANN)
        studio.clock.ring()
        await asyncio.gather(*studio.tasks())
        studio.engine.start_job(undone)
        studio.engine.finish(undone, PNG_RGBA)
        assert studio.engine.cancelled == [undone.id]
        (candidate,) = studio.room.candidates()
        assert studio.blobs.stored[candidate.blob] == PNG
        assert studio.room.jobs()[0].state == "done"


async def test_g38_live_pictures_and_asked_ones_do_not_replace_each_other() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        live = await drawn(studio, 1)
        ask(studio)
        asked_for = (await studio.engine.until_jobs(2))[-1]
        assert not asked_for.live
        assert live.slot != asked_for.slot


async def test_g33_an_older_picture_that_comes_first_is_shown() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        old = await drawn(studio, 1)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        new = await drawn(studio, 2)
        studio.engine.start_job(new)
        studio.engine.finish(old, PNG)
        await studio.room.until(lambda: len(studio.room.candidates()) == 1)
        assert studio.room.jobs()[0].state == "running"
        await shown(studio, new, PNG_RGBA)
        (candidate,) = studio.room.candidates()
        assert candidate.masked


async def test_g34_only_what_lies_under_a_live_frame_touches_it() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame(), canvas.frame("calm", x=1000.0), canvas.layer("l"))
        await shown(studio, await drawn(studio, 1))
        studio.room.put(canvas.stroke("far", (1020, 64), (1236, 64)))
        studio.room.put(canvas.mask("m", "calm", (20, 64), (100, 64)))
        studio.room.apply([Patch("calm", {"prompt": "a house"}), Patch("l", {"name": "ink"})])
        studio.room.apply([Patch("frame", {"z": "a5", "count": 3})])
        assert studio.clock.pending() == 0
        studio.room.apply([Patch("far", {"x": -1000.0})])
        assert studio.clock.pending() == 1
        await shown(studio, await drawn(studio, 2))
        studio.room.apply([Patch("far", {"x": 0.0})])
        assert studio.clock.pending() == 1


async def test_a6_what_others_draw_under_a_locked_live_frame_waits_until_it_is_unlocked() -> None:
    async with Studio() as studio:
        room = studio.room
        room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        room.put(canvas.stroke("early", (20, 64), (236, 64)))
        assert studio.clock.pending() == 1
        room.put(Lock(id=lock_id("frame"), of="frame"))
        assert studio.clock.pending() == 0
        room.put(canvas.stroke("late", (20, 84), (236, 84)), canvas.layer("l"))
        assert studio.clock.pending() == 0

        # Only hosts can change the frame itself.
        room.put(canvas.mask("m", "frame", (20, 64), (100, 64)))
        assert studio.clock.pending() == 1
        await shown(studio, await drawn(studio, 2))
        room.apply([Delete(lock_id("frame"))])
        room.apply([Delete("early")])
        await shown(studio, await drawn(studio, 3))
        assert studio.clock.pending() == 0


@pytest.mark.parametrize("what", ["prompt", "mask", "move", "image"])
async def test_g34_prompt_mask_place_and_pictures_touch_a_live_frame(what: str) -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        match what:
            case "prompt":
                studio.room.apply([Patch("frame", {"prompt": "a house"})])
            case "mask":
                studio.room.put(canvas.mask("m", "frame", (20, 64), (100, 64)))
            case "move":
                studio.room.apply([Patch("frame", {"x": 30.0})])
            case _:
                blob = await studio.blobs.put(studio.room.id, PNG)
                studio.room.put(canvas.image("i", 20, 20, 50, 50, blob=blob))
        assert studio.clock.pending() == 1
        await shown(studio, await drawn(studio, 2))


@pytest.mark.parametrize(("own", "touched"), [("", 1), ("one", 0)])
async def test_g34_the_room_s_model_touches_live_frames_that_name_none(
    own: str, touched: int
) -> None:
    async with Studio() as studio:
        studio.engine.others = {id: msgspec.structs.replace(MODEL, id=id) for id in ("one", "two")}
        studio.room.put(live_frame(model=own))
        await shown(studio, await drawn(studio, 1))

        studio.room.put(Access(id=ACCESS_ID))
        assert studio.clock.pending() == 0
        studio.room.append([Patch(ACCESS_ID, {"model": "two"})], ANN)
        assert studio.clock.pending() == touched

        if touched:
            job = await drawn(studio, 2)
            assert job.model == "two"
        studio.room.append([Patch(ACCESS_ID, {"talk": True})], ANN)
        assert studio.clock.pending() == 0


async def test_g34_a_change_that_leaves_the_region_as_it_was_makes_no_picture() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame(), canvas.layer("l"))
        await shown(studio, await drawn(studio, 1))
        studio.room.apply([Patch("l", {"opacity": 0.5})])
        studio.clock.ring()
        await asyncio.gather(*studio.tasks())
        assert len(studio.engine.jobs) == 1
        assert studio.room.jobs()[0].state == "done"


async def test_g34_accepting_a_live_picture_causes_one_more_and_no_endless_row() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        (candidate,) = studio.room.candidates()
        picture = Image(id="i", z="a0", blob=candidate.blob, x=0, y=0, w=256, h=256)
        studio.room.put(picture)
        studio.room.apply([Patch(candidate.id, {"state": "accepted"})])
        await shown(studio, await drawn(studio, 2))
        assert studio.clock.pending() == 0
        states = sorted(candidate.state for candidate in studio.room.candidates())
        assert states == ["accepted", "open"]


async def test_g35_switching_live_off_leaves_the_last_picture_as_a_candidate() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        running = await drawn(studio, 2)
        studio.engine.start_job(running)
        studio.room.apply([Patch("frame", {"live": False})])
        (candidate,) = studio.room.candidates()
        assert (candidate.live, candidate.state) == (False, "open")
        assert studio.room.jobs()[0].state == "cancelled"
        assert studio.engine.cancelled == [running.id]
        studio.room.put(canvas.stroke("s2", (20, 64), (236, 64)))
        assert studio.clock.pending() == 0
        studio.room.apply([Patch("frame", {"live": True})])
        await shown(studio, await drawn(studio, 3))
        assert len(studio.room.candidates()) == 2
        assert len(studio.room.jobs()) == 1


async def test_g35_cancelling_a_live_picture_waits_for_the_next_change() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await drawn(studio, 1)
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        studio.generation.cancel(studio.room, ANN, Cancel(frame="frame"))
        assert studio.clock.pending() == 0
        assert studio.room.jobs()[0].state == "cancelled"
        studio.room.put(canvas.stroke("s2", (20, 64), (236, 64)))
        await shown(studio, await drawn(studio, 2))


async def test_g35_deleting_a_live_frame_ends_it() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await drawn(studio, 1)
        studio.room.apply([Delete("frame")])
        studio.room.put(canvas.stroke("s", (20, 64), (236, 64)))
        assert studio.clock.pending() == 0
        assert not studio.generation.busy(studio.room.id)


async def test_g36_a_live_picture_that_was_in_the_making_is_made_after_a_restart() -> None:
    async with Studio() as studio:
        offered = Candidate(
            id="c", frame="frame", job="job", index=0, blob=canvas.BLOB, seed=8,
            x=0, y=0, w=256, h=256, live=True,
        )  # fmt: skip
        studio.room.generation = None
        studio.room.put(
            live_frame(),
            offered,
            Job(id="job", frame="frame", state="running", count=1, live=True),
        )
        studio.room.generation = studio.generation
        studio.generation.opened(studio.room)
        assert studio.room.job("job").attempt == 2
        await shown(studio, await drawn(studio, 1))
        assert [candidate.id for candidate in studio.room.candidates()] == ["c"]
        assert studio.room.job("job").attempt == 1


async def test_g36_what_is_made_for_a_room_that_failed_ends_and_is_taken_up_again() -> None:
    async with Studio() as studio:
        (job,) = await asked(studio)
        studio.engine.start_job(job)
        kept = dict(studio.room.map)
        studio.generation.closed(studio.room.id)
        assert studio.engine.cancelled == [job.id]
        assert not studio.generation.busy(studio.room.id)

        # The room as its journal has it.
        studio.room.map = kept
        studio.generation.opened(studio.room)
        _, again = await studio.engine.until_jobs(2)
        assert again.seed == job.seed
        assert studio.room.job("job").attempt == 2


async def test_g36_a_room_that_is_closed_is_forgotten() -> None:
    async with Studio() as studio:
        studio.room.put(live_frame())
        await shown(studio, await drawn(studio, 1))
        studio.generation.closed(studio.room.id)
        studio.room.generation = None
        studio.generation.opened(studio.room)
        assert studio.clock.pending() == 0
