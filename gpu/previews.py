"""Latents to small pictures by one linear map, fitted to the model's own decoder.

Each latent cell becomes `scale` x `scale` pixels, linear in the cell and its eight neighbours:
a model with 16 channels a cell carries far more than one pixel of it. Costs one small
convolution. Latents beyond what the encoder makes (guidance overshoots) are limited softly, as
decoders do themselves. The first fit is to drawn pictures; finished pictures then refine it,
since what the denoiser makes is not quite what the encoder would. Knows nothing of jobs.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from gpu.models.family import Family

_QUALITY = 80
_MEMORY = 0.95
"""What older pictures weigh after each new one."""
_CELLS = 16
"""Side of the fitting pictures, in latent cells."""


@dataclass(frozen=True, slots=True)
class SoftLimit:
    """Squeezes latents into the range that the encoder uses; `centre`, `reach` (C, 1, 1)."""

    centre: Tensor
    reach: Tensor

    @classmethod
    def around(cls, encoded: Tensor) -> SoftLimit:
        """The range of (B, C, h, w) encoded pictures: two standard deviations each way."""
        spread, centre = torch.std_mean(encoded, (0, 2, 3), keepdim=True)
        return cls(centre[0], 2 * spread[0] + 1e-3)

    def __call__(self, latents: Tensor) -> Tensor:
        return self.centre + self.reach * torch.tanh((latents - self.centre) / self.reach)


@dataclass(frozen=True, slots=True)
class PreviewMap:
    """`weight` (scale² * 3, C, 3, 3) and `bias`, from limited latents to RGB in 0..255.

    What comes out for a cell are its pixels, row by row: so they are nearly as a picture has them,
    and laying them out copies runs of bytes instead of single numbers.
    """

    weight: Tensor
    bias: Tensor
    scale: int
    limit: SoftLimit

    def render(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) fp32 to (B, h * scale, w * scale, 3) uint8, on the same device."""
        if latents.is_cuda:
            # Another stream made the map, and may replace it before this is computed.
            for tensor in (self.weight, self.bias):
                tensor.record_stream(torch.cuda.current_stream())
        edges = functional.pad(self.limit(latents), (1, 1, 1, 1), mode="replicate")
        edges = edges.contiguous(memory_format=torch.channels_last)
        cells = functional.conv2d(edges, self.weight, self.bias).clamp_(0, 255).to(torch.uint8)
        (b, _, h, w), s = latents.shape, self.scale
        in_rows = cells.permute(0, 2, 3, 1).reshape(b, h, w, s, 3 * s).transpose(2, 3)
        return in_rows.reshape(b, h * s, w * s, 3)


def encode_jpeg(pixels: Tensor) -> bytes:
    """JPEG of one rendered preview, (h, w, 3) uint8 on the CPU."""
    height, width, _ = pixels.shape
    out = io.BytesIO()
    picture = Image.frombytes("RGB", (width, height), pixels.numpy().tobytes())
    picture.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Lesson:
    """What latents decode to: (B, C, h, w) limited latents and (B, 3, h * scale, w * scale) RGB in
    0..255, both fp32."""

    limited: Tensor
    shown: Tensor


class PreviewFit:
    """Running least squares from latents to decoded pixels; `map` is the latest solution.

    `learn` may be called from one thread at a time; `map` may be read from any.
    """

    def __init__(self, family: Family, limit: SoftLimit) -> None:
        self._device = family.device
        self._limit = limit
        self._channels = family.latent_channels
        self._factor = family.latent_factor
        self._scale = max(1, math.isqrt(family.latent_channels))
        size = 9 * self._channels + 1
        self._gram = torch.zeros(size, size, dtype=torch.float64)
        self._cross = torch.zeros(size, 3 * self._scale**2, dtype=torch.float64)
        self.map = self._solve()

    def lesson(self, latents: Tensor, pixels: Tensor) -> Lesson:
        """That (B, C, h, w) `latents` decode to (B, 3, H, W) `pixels` in [-1, 1], on the model's
        device."""
        return Lesson(self._limit(latents), self.shrink(pixels))

    def learn(self, lesson: Lesson) -> None:
        """Refine the map by a lesson on the CPU."""
        inputs = _neighbourhoods(lesson.limited).double()
        outputs = functional.pixel_unshuffle(lesson.shown, self._scale)
        outputs = outputs.flatten(2).transpose(1, 2).reshape(len(inputs), -1).double()
        self._gram = _MEMORY * self._gram + inputs.t() @ inputs
        self._cross = _MEMORY * self._cross + inputs.t() @ outputs
        self.map = self._solve()

    def shrink(self, pixels: Tensor) -> Tensor:
        """Decoded pixels in [-1, 1] as a preview ought to show them, in 0..255."""
        levels = (pixels.clamp(-1, 1) + 1) * 127.5
        return functional.interpolate(levels, scale_factor=self._scale / self._factor, mode="area")

    def _solve(self) -> PreviewMap:
        # Just enough ridge that channels which never vary are left alone; none on the bias.
        ridge = torch.full((len(self._gram),), 1e-3, dtype=torch.float64)
        ridge[-1] = 1e-9
        penalty = torch.diag(ridge * (self._gram.diagonal()[:-1].mean() + 1e-6))
        solution = torch.linalg.solve(self._gram + penalty, self._cross)
        # Colour by colour, as pixel_unshuffle has them; the map has pixel by pixel.
        by_pixel = solution.float().unflatten(1, (3, -1)).transpose(1, 2).flatten(1)
        weight = by_pixel[:-1].t().reshape(-1, self._channels, 3, 3)
        return PreviewMap(
            weight.contiguous(memory_format=torch.channels_last).to(self._device),
            by_pixel[-1].to(self._device),
            self._scale,
            self._limit,
        )


def fit(family: Family, num_pictures: int = 6) -> tuple[PreviewFit, float]:
    """A fit to drawn pictures, and its PSNR in dB at its own size on ones it had not seen."""
    side_px = _CELLS * family.latent_factor
    latents = family.encode_image(drawn_pictures(num_pictures, side_px), None)
    fitted = PreviewFit(family, SoftLimit.around(latents))
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    # Predicted x0 of early steps are soft and off the encoder's own manifold: show it some.
    latents = latents + 0.2 * latents.std() * noise.to(latents)
    decoded = family.decode(latents)
    held_out = max(1, num_pictures // 4)
    _observe(fitted, latents[held_out:], decoded[held_out:])
    shown = fitted.map.render(latents[:held_out]).permute(0, 3, 1, 2).float().cpu()
    error = float((shown - fitted.shrink(decoded[:held_out]).cpu()).square().mean())
    _observe(fitted, latents[:held_out], decoded[:held_out])
    return fitted, 10 * math.log10(255**2 / max(error, 1e-9))


def _observe(fitted: PreviewFit, latents: Tensor, pixels: Tensor) -> None:
    lesson = fitted.lesson(latents, pixels)
    fitted.learn(Lesson(lesson.limited.cpu(), lesson.shown.cpu()))


def _neighbourhoods(latents: Tensor) -> Tensor:
    """(B * h * w, 9 * C + 1): each cell with its neighbours, and a one for the bias."""
    edges = functional.pad(latents, (1, 1, 1, 1), mode="replicate")
    cells = functional.unfold(edges, 3).transpose(1, 2).reshape(-1, 9 * latents.shape[1])
    return torch.cat([cells, torch.ones(len(cells), 1)], 1)


def drawn_pictures(count: int, side_px: int) -> Tensor:
    """Gradients and shapes of all colours, (count, 3, side, side) in [-1, 1]; always the same."""
    rng = np.random.default_rng(7)
    pictures = [_draw(rng, side_px) for _ in range(count)]
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return stacked / 127.5 - 1


def _draw(rng: np.random.Generator, side_px: int) -> np.ndarray:
    corners = rng.integers(0, 256, (2, 2, 3), np.uint8)
    picture = Image.fromarray(corners).resize((side_px, side_px), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = rng.integers(0, side_px, 2)
        w, h = rng.integers(side_px // 24, side_px // 2, 2)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        box = (int(x - w // 2), int(y - h // 2), int(x + w // 2), int(y + h // 2))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)(box, fill=colour)
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(side_px / 40))
    return np.asarray(picture)
