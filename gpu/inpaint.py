"""Pixel work around the step loop: which part of a picture to work on, and how to lay it back.

Plain pictures in, plain pictures out; knows nothing of tensors, models or steps. Outside what
was asked to be painted the result's alpha is 0, so nothing there can change by a single bit.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

if TYPE_CHECKING:
    from gpu.api import Job, Picture

Box = tuple[int, int, int, int]
"""x, y, width, height."""

_WHOLE_FROM = 0.7
"""Where the crop would be this much of the picture, the whole is worked on."""
_MAX_ZOOM = 2.0
"""A small crop is enlarged at most so much: more shows the model less than it needs to see."""
_SEAM_PART = 24
"""How far a seam's colour error is carried: this part of the picture's side."""
_PNG_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Region:
    """What the model works on. `image`, `redo` and `empty` are at its `size`.

    `box` is the part of the job's picture; `image` has its transparent parts filled; `redo` is
    white where the picture is painted anew, `empty` where there was nothing; `alpha` is what
    the finished picture's alpha will be, at the job's size. Each may be None for "does not apply".
    """

    box: Box
    size: tuple[int, int]
    image: Image.Image | None = None
    redo: Image.Image | None = None
    empty: Image.Image | None = None
    alpha: Image.Image | None = None


class PictureError(ValueError):
    """The job's picture or mask doesn't fit the job; the message says what was expected."""


def region(job: Job, native_px: int, multiple_px: int) -> Region:
    """Decide what to work on. Raises PictureError where image or mask don't fit the job."""
    whole = Region((0, 0, job.width, job.height), (job.width, job.height))
    image = _open(job.image, job, ("RGB", "RGBA")) if job.image else None
    redo = _open(job.mask, job, ("L",)) if job.mask else None
    if redo is not None and redo.getextrema()[1] == 0:
        redo = None
    if image is None:
        return whole if redo is None else Region(whole.box, whole.size, alpha=_feather(redo))
    empty = _emptiness(image)
    if redo is None and empty is None:
        return Region(whole.box, whole.size, image.convert("RGB"))
    box = _crop(_union(redo, empty), native_px, multiple_px)
    size = _working_size(box, whole.size, native_px, multiple_px)
    return Region(
        box=box,
        size=size,
        image=_cut(_filled(image) if empty else image.convert("RGB"), box, size),
        redo=_cut(redo, box, size) if redo else None,
        empty=_cut(empty, box, size) if empty else None,
        alpha=_union(_feather(redo) if redo else None, _solid(empty) if empty else None),
    )


def control_image(job: Job, where: Region) -> Image.Image | None:
    """What of the job's control picture lies in `where`, RGB at its size."""
    if job.control is None:
        return None
    picture = _open(job.control.image, job, ("L", "RGB"))
    return _cut(picture.convert("RGB"), where.box, where.size)


def hole(where: Region) -> Image.Image:
    """What is to be painted, L at its size: all of it without a mask or empty parts."""
    if where.image is None or (where.redo is None and where.empty is None):
        return Image.new("L", where.size, 255)
    return _union(where.redo, where.empty)


def compose(painted: Image.Image, where: Region, job: Job) -> Image.Image:
    """The finished picture at the job's size: RGB, or RGBA where `where.alpha` says so."""
    x, y, width, height = where.box
    if where.image is not None and where.alpha is not None:
        painted = _match_seam(painted, where)
    if painted.size != (width, height):
        painted = painted.resize((width, height), Image.Resampling.LANCZOS)
    if where.alpha is None:
        return painted
    whole = Image.new("RGB", (job.width, job.height))
    whole.paste(painted, (x, y))
    whole = Image.composite(whole, Image.new("RGB", whole.size), _solid(where.alpha))
    whole.putalpha(where.alpha)
    return whole


def encode_png(picture: Image.Image) -> bytes:
    """Fast rather than small: it is read once by everybody and then lives in a blob store.

    What PNG's filters leave of a picture holds hardly any strings to be found again: looking for
    runs alone takes less time, and what comes out is smaller by a tenth to a fifth.
    """
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=_PNG_LEVEL, compress_type=zlib.Z_RLE)
    return out.getvalue()


def _open(picture: Picture, job: Job, modes: tuple[str, ...]) -> Image.Image:
    expected = picture.width * picture.height * len(picture.mode)
    if (
        picture.mode not in modes
        or (picture.width, picture.height) != (job.width, job.height)
        or len(picture.data) != expected
    ):
        raise PictureError(
            f"expected {' or '.join(modes)} pixels of {job.width}x{job.height}, got {picture.mode} "
            f"of {picture.width}x{picture.height} in {len(picture.data)} bytes"
        )
    return Image.frombytes(picture.mode, (picture.width, picture.height), picture.data)


def _emptiness(image: Image.Image) -> Image.Image | None:
    """255 minus alpha, or None where the picture is opaque throughout."""
    if image.mode != "RGBA":
        return None
    alpha = image.getchannel("A")
    return None if alpha.getextrema()[0] == 255 else ImageChops.invert(alpha)


def _union(first: Image.Image | None, second: Image.Image | None) -> Image.Image:
    if first is None or second is None:
        found = first or second
        assert found is not None
        return found
    return ImageChops.lighter(first, second)


def _solid(mask: Image.Image) -> Image.Image:
    return mask.point(lambda value: 255 if value else 0)


def _crop(mask: Image.Image, native_px: int, multiple_px: int) -> Box:
    """The mask's bounds plus a margin of half its size, in steps of `multiple_px`."""
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    margin = max(multiple_px, max(right - left, bottom - top) // 2)
    least = int(native_px / _MAX_ZOOM)
    x, width = _span(left - margin, right + margin, mask.width, least, multiple_px)
    y, height = _span(top - margin, bottom + margin, mask.height, least, multiple_px)
    if width * height >= _WHOLE_FROM * mask.width * mask.height:
        return (0, 0, mask.width, mask.height)
    return (x, y, width, height)


def _span(start: int, stop: int, total: int, least: int, multiple: int) -> tuple[int, int]:
    """Grow [start, stop) to at least `least` and a multiple, and move it inside [0, total)."""
    length = max(stop - start, least)
    length = min(-(-length // multiple) * multiple, total)
    middle = (start + stop) // 2
    return min(max(0, middle - length // 2), total - length), length


def _working_size(
    box: Box, whole: tuple[int, int], native_px: int, multiple_px: int
) -> tuple[int, int]:
    """A crop is worked on at about the model's native area, never smaller than it is."""
    width, height = box[2], box[3]
    if (width, height) == whole:
        return whole
    zoom = min(_MAX_ZOOM, max(1.0, (native_px**2 / (width * height)) ** 0.5))
    return (
        max(1, round(width * zoom / multiple_px)) * multiple_px,
        max(1, round(height * zoom / multiple_px)) * multiple_px,
    )


def _cut(picture: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    x, y, width, height = box
    part = picture.crop((x, y, x + width, y + height))
    return part if part.size == size else part.resize(size, Image.Resampling.BICUBIC)


def _feather(mask: Image.Image) -> Image.Image:
    """Fade towards the mask's edge, on its inner side only; thin strokes fade over less."""
    radius = max(mask.size) / 64
    inked = sum(mask.histogram()[128:])
    while radius >= 0.5:
        blurred = mask.filter(ImageFilter.GaussianBlur(radius))
        inner = blurred.point(lambda value: max(0, min(255, 2 * value - 255)))
        faded = ImageChops.darker(inner, mask)
        if sum(faded.histogram()[128:]) >= 0.75 * inked:
            return faded
        radius /= 2
    return mask


def _filled(image: Image.Image) -> Image.Image:
    """Fill transparent parts from the colours around them, finer detail nearer the edge.

    Each pass lays a wider blur of what is there under what is still missing, as pull-push
    interpolation does (Gortler et al. 1996), and noise keeps the far parts from looking flat.
    """
    pixels = np.asarray(image, np.float32)
    coverage = pixels[..., 3:] / 255
    colour = pixels[..., :3] * coverage
    result, missing = colour.copy(), 1 - coverage
    for radius in (2, 6, 18, 54, 162):
        spread, weight = _blur(colour, radius), _blur(coverage, radius)
        share = missing * np.clip(weight * 8, 0, 1)
        result += share * spread / np.maximum(weight, 1e-4)
        missing -= share
    total = coverage.sum()
    mean = colour.sum((0, 1)) / total if total else np.full(3, 255.0, np.float32)
    result += missing * mean
    noise = np.random.default_rng(0).normal(0, 8, coverage.shape).astype(np.float32)
    return Image.fromarray(np.clip(result + (1 - coverage) * noise, 0, 255).astype(np.uint8))


def _match_seam(painted: Image.Image, where: Region) -> Image.Image:
    """Carry the colour error that the decoder makes beside a seam over it, fading out.

    What is kept is known exactly, so the decoder's error there is too; without this the eye
    finds the edge of what was painted.
    """
    assert where.image is not None
    pixels = np.asarray(painted, np.float32)
    known = 255.0 - np.asarray(_union(where.redo, where.empty), np.float32)[..., None]
    known = np.floor(known / 255)
    radius = max(painted.size) // _SEAM_PART
    error = (np.asarray(where.image, np.float32) - pixels) * known
    weight = _blur(known, radius)
    # At a straight edge half of the neighbourhood is known: there the whole error is carried.
    carried = _blur(error, radius) / np.maximum(weight, 1e-4) * np.clip(2 * weight, 0, 1)
    return Image.fromarray((pixels + carried).round().clip(0, 255).astype(np.uint8))


def _blur(values: np.ndarray, radius: int) -> np.ndarray:
    """Two box blurs of (H, W, C) with the picture's edge counted as empty."""
    for axis in (0, 1) * 2:
        padded = np.concatenate(
            [_zeros(values, axis, radius + 1), values, _zeros(values, axis, radius)], axis
        )
        sums = padded.cumsum(axis, dtype=np.float64)
        width, length = 2 * radius + 1, values.shape[axis]
        upper = sums.take(range(width, width + length), axis)
        values = ((upper - sums.take(range(length), axis)) / width).astype(np.float32)
    return values


def _zeros(values: np.ndarray, axis: int, length: int) -> np.ndarray:
    shape = list(values.shape)
    shape[axis] = length
    return np.zeros(shape, values.dtype)
