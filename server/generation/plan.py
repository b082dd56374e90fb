"""Decides what a frame asks the model for. No event loop, no engine; `prepare` runs in a thread.

What kind of work it is follows from what lies under the frame:

- mask strokes -> inpaint: what lies under the frame, on white paper, is painted anew where the
  mask is white, at the frame's strength (G22);
- nothing there, or a strength of 1 -> text to image (G23);
- pictures that leave a part of the frame empty -> outpaint: the empty part is filled, the rest
  stays as it is (G24);
- anything else, a sketch above all -> image to image: what lies there, on white paper, since
  paper is what people see that they draw on, at the frame's strength (G25).

A control steers any of these by the same canvas: a scribble control sees the strokes as white
lines on black, a canny one the edges of what is shown, a depth one the picture itself (G44).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import msgspec
from PIL import Image

from gpu.api import Control, Job, JobId, ModelInfo, Picture
from server.core.errors import Refusal
from server.render.edges import edges
from server.render.viewport import Viewport

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.core.records import Frame, Record
    from server.render.renderer import Fetch, Rendered, Renderer

WORKER_MIN_PX = 64
WORKER_MAX_PX = 2048
PAPER = (255, 255, 255, 255)
FAR = (0, 0, 0, 255)
"""Nothing there is as far away as depth pictures know."""
_SOLID_ALPHA = 128
_NEGLIGIBLE = 1 / 256
"""A smaller share of the frame left empty is no reason to paint around a picture."""


class Seeds(NamedTuple):
    seed: int
    variation_seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A job without its identity, and a digest of all that decides its picture but the seed."""

    job: Job
    digest: bytes

    def job_for(self, id: str, slot: str, seeds: Seeds) -> Job:
        return msgspec.structs.replace(
            self.job,
            id=JobId(id),
            slot=slot,
            seed=seeds.seed,
            variation_seed=seeds.variation_seed,
        )


def picture_size(frame: Frame, model: ModelInfo) -> tuple[int, int]:
    """Width and height in pixels: the frame's proportions at about the model's native area (G21),
    with longer sides where the frame asks for a high resolution (G49).

    Raises Refusal for a frame too long and narrow for the model.
    """
    step = model.multiple_px
    least = math.ceil(max(model.min_px, WORKER_MIN_PX) / step) * step
    most = min(model.max_px, WORKER_MAX_PX) // step * step
    ratio = max(frame.w, frame.h) / min(frame.w, frame.h)
    if ratio > most / least:
        raise Refusal(
            "frame_shape",
            f"this frame is {ratio:.1f} times as long as it is wide; {model.name} draws pictures "
            f"of at most {most / least:.0f} to 1: make it less narrow",
        )
    area = (model.native_px * _scale(frame)) ** 2
    long = max(min(math.sqrt(area * ratio), most), least * ratio)
    long_px = min(max(round(long / step) * step, least), most)
    short_px = min(max(round(long / ratio / step) * step, least), most)
    return (long_px, short_px) if frame.w >= frame.h else (short_px, long_px)


def _scale(frame: Frame) -> float:
    """A live frame follows the hand: its pictures have no time for a second pass."""
    return 1.0 if frame.live else frame.hires


def viewport(frame: Frame, size: tuple[int, int]) -> Viewport:
    return Viewport(frame.x, frame.y, frame.w, frame.h, *size)


def prepare(
    renderer: Renderer,
    room: str,
    person: str,
    frame: Frame,
    records: tuple[Record, ...],
    model: ModelInfo,
    fetch: Fetch,
) -> Plan:
    """Draw what lies under `frame` and decide what to do with it. Blocking."""
    size = picture_size(frame, model)
    view = viewport(frame, size)
    under = renderer.render(room, frame.id, records, view, fetch)
    image, mask, strength = _work(frame, under)
    control = _control(frame, model, under, lambda: renderer.lines(room, frame.id, records, view))
    job = msgspec.structs.replace(
        _asked_for(frame, model, size),
        room=room,
        person=person,
        strength=strength,
        image=image,
        mask=mask,
        control=control,
    )
    what = msgspec.msgpack.encode(msgspec.structs.replace(job, person=""))
    return Plan(job, hashlib.blake2b(what, digest_size=16).digest())


def _asked_for(frame: Frame, model: ModelInfo, size: tuple[int, int]) -> Job:
    """What the frame's own settings say, for nobody and of nothing yet."""
    return Job(
        id=JobId(""),
        room="",
        person="",
        slot="",
        model=model.id,
        prompt=frame.prompt,
        negative=frame.negative,
        clip_skip=frame.clip_skip,
        loras=frame.loras,
        width=size[0],
        height=size[1],
        steps=min(frame.steps, model.live_steps) if frame.live else frame.steps,
        guidance=frame.guidance,
        variation_seed=frame.variation_seed,
        variation=frame.variation,
        # One that the model can't be used with was chosen for another: its own is better than none.
        sampler=frame.sampler if frame.sampler in model.samplers else model.sampler,
        hires_strength=frame.hires_strength if _scale(frame) > 1 else 0.0,
        live=frame.live,
    )


def seeds_of(frame: Frame, base: int, index: int) -> Seeds:
    """The seeds of a request's picture number `index` (G26); variations share the first (G45)."""
    following = (base + index) % 2**32, frame.variation_seed
    varied = base, (frame.variation_seed + index) % 2**32
    return Seeds(*(varied if frame.variation > 0 else following))


def has_alpha(png: bytes) -> bool:
    """Whether a PNG has an alpha channel: bit 2 of the colour type, byte 25 of the file."""
    return len(png) > 25 and bool(png[25] & 4)


def _work(frame: Frame, under: Rendered) -> tuple[Picture | None, Picture | None, float]:
    """Image, mask and strength of the job."""
    if under.mask.getextrema()[1]:
        return _raw(_on_paper(under.image)), _raw(under.mask), frame.strength
    alpha = under.image.getchannel("A")
    if not alpha.getextrema()[1] or frame.strength >= 1:
        return None, None, 1.0
    if under.has_pictures and _empty_share(alpha) > _NEGLIGIBLE:
        return _raw(under.image), None, 1.0
    return _raw(_on_paper(under.image)), None, frame.strength


def _control(
    frame: Frame, model: ModelInfo, under: Rendered, lines: Callable[[], Image.Image]
) -> Control | None:
    """What steers the job, seen as the control's kind wants it (G44). Raises Refusal."""
    if not frame.control:
        return None
    kinds = {info.name: info.kind for info in model.controls}
    if frame.control not in kinds:
        raise Refusal(
            "no_control",
            f"{model.name} has no control {frame.control}: choose another in the frame's settings",
        )
    match kinds[frame.control]:
        case "scribble":
            seen = lines()
        case "canny":
            seen = edges(_on_paper(under.image))
        case "depth":
            seen = Image.alpha_composite(Image.new("RGBA", under.image.size, FAR), under.image)
            seen = seen.convert("RGB")
    return Control(
        name=frame.control,
        image=_raw(seen),
        strength=frame.control_strength,
        start=frame.control_start,
        end=frame.control_end,
    )


def _empty_share(alpha: Image.Image) -> float:
    return sum(alpha.histogram()[:_SOLID_ALPHA]) / (alpha.width * alpha.height)


def _on_paper(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, PAPER), image)


def _raw(image: Image.Image) -> Picture:
    mode = cast("Literal['L', 'RGB', 'RGBA']", image.mode)
    return Picture(image.width, image.height, mode, image.tobytes())
