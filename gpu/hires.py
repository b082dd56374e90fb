"""A picture larger than the model's native size in two passes: composed small, then refined.

A model that sees more pixels at once than it was trained on repeats itself: two horizons, twins.
So the first pass makes the picture at about the native area, the second begins from that one
enlarged, as image to image at a strength of its own. AUTOMATIC1111's web UI calls it the
high-resolution fix. Enlarged are pixels, not latents: latents that are interpolated decode to
blots, which only a high strength repaints, and then the composition goes with them.

Knows nothing of jobs' turns, models or steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from gpu.inpaint import Region
    from gpu.samplers.table import Table

_WORTHWHILE = 0.9
"""A picture whose sides are hardly longer than native ones is well made in one pass."""


@dataclass(frozen=True, slots=True)
class Refinement:
    """The second pass of a picture, while the first is made.

    `composed` is what the first pass works on; `whole` what the second does, as one pass alone
    would, and `control` what steers it there, at its size.
    """

    whole: Region
    composed: Region
    strength: float
    table: Table
    control: Image.Image | None = None

    @property
    def painted(self) -> Region:
        """What the second pass paints: all that the first did, empty parts too, which by then
        are none any more."""
        whole = self.whole
        both = [mask for mask in (whole.redo, whole.empty) if mask is not None]
        redo = both[0] if len(both) == 1 else None
        if len(both) == 2:
            redo = ImageChops.lighter(both[0], both[1])
        return replace(whole, redo=redo, empty=None)


def composed_at(whole: Region, native_px: int, multiple_px: int) -> Region | None:
    """The region at about the model's native area; None where it isn't larger than that."""
    width, height = whole.size
    zoom = native_px / (width * height) ** 0.5
    size = _nearest(width * zoom, multiple_px), _nearest(height * zoom, multiple_px)
    if zoom > _WORTHWHILE or size == whole.size:
        return None
    return replace(
        whole,
        size=size,
        image=_resized(whole.image, size),
        redo=_resized(whole.redo, size),
        empty=_resized(whole.empty, size),
    )


def enlarged(pixels: Tensor, refinement: Refinement) -> Tensor:
    """What the first pass painted, at the second's size: (1, 3, h, w) to (1, 3, H, W) fp32 in
    [-1, 1], on the CPU. What isn't painted is as sharp as it was."""
    width, height = refinement.whole.size
    clipped = pixels.clamp(-1, 1)
    larger = functional.interpolate(clipped, (height, width), mode="bicubic").clamp(-1, 1)
    where = refinement.painted
    if where.image is None or where.redo is None:
        return larger
    share = torch.from_numpy(np.array(where.redo))[None, None].float() / 255
    around = torch.from_numpy(np.array(where.image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    return around.lerp(larger, share)


def _nearest(side: float, multiple_px: int) -> int:
    return max(1, round(side / multiple_px)) * multiple_px


def _resized(picture: Image.Image | None, size: tuple[int, int]) -> Image.Image | None:
    return picture and picture.resize(size, Image.Resampling.BICUBIC)
