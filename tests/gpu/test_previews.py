"""The fitted preview map (G8)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch
from PIL import Image

from gpu.previews import PreviewFit, SoftLimit, encode_jpeg, fit

if TYPE_CHECKING:
    from gpu.models.stable_diffusion import StableDiffusion


class LinearDecoder:
    """A family whose decoder is linear in a cell: the map must find it exactly."""

    device = torch.device("cpu")
    latent_channels = 16
    latent_factor = 16

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._paint = torch.randn(3, 16, generator=generator) / 20

    def encode_image(self, pixels: torch.Tensor, generator: object) -> torch.Tensor:
        cells = torch.nn.functional.avg_pool2d(pixels, 16)
        return torch.cat([cells, torch.randn(len(pixels), 13, *cells.shape[2:])], 1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        pixels = torch.einsum("oc,bchw->bohw", self._paint, latents)
        return torch.nn.functional.interpolate(pixels, scale_factor=16, mode="nearest")


def test_g8_the_map_is_what_the_decoder_does_where_that_is_linear() -> None:
    torch.manual_seed(0)

    _, psnr_db = fit(LinearDecoder())  # type: ignore[arg-type]

    assert psnr_db > 25


class MosaicDecoder(LinearDecoder):
    """Each channel of a cell is one of its 4 x 4 pixels, each colour another shade of it."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        grey = torch.nn.functional.pixel_shuffle(latents, 4)
        shades = grey * torch.tensor([0.1, 0.2, 0.3]).reshape(1, 3, 1, 1)
        return torch.nn.functional.interpolate(shades, scale_factor=4, mode="nearest")


def test_g8_each_pixel_of_a_cell_lies_where_the_decoder_paints_it() -> None:
    torch.manual_seed(0)
    family = MosaicDecoder()
    limit = SoftLimit(torch.zeros(16, 1, 1), torch.full((16, 1, 1), 1e3))
    fitted = PreviewFit(family, limit)  # type: ignore[arg-type]
    for _ in range(4):
        latents = torch.randn(1, 16, 12, 8)
        fitted.learn(fitted.lesson(latents, family.decode(latents)))
    unseen = torch.randn(2, 16, 5, 7)

    shown = fitted.map.render(unseen)

    target = fitted.shrink(family.decode(unseen)).permute(0, 2, 3, 1)
    assert float((shown - target).abs().mean()) < 1


def test_g8_a_finished_picture_teaches_the_map() -> None:
    torch.manual_seed(0)
    family = LinearDecoder()
    limit = SoftLimit.around(3 * torch.randn(8, 16, 16, 16))
    fitted = PreviewFit(family, limit)  # type: ignore[arg-type]
    unseen = torch.randn(1, 16, 16, 16) / 3
    target = fitted.shrink(family.decode(unseen)).permute(0, 2, 3, 1)

    errors = []
    for _ in range(3):
        errors.append(float((fitted.map.render(unseen) - target).square().mean()))
        latents = torch.randn(1, 16, 16, 16) / 3
        fitted.learn(fitted.lesson(latents, family.decode(latents)))

    assert errors[0] > 100 * errors[2]


def test_g8_latents_beyond_the_encoders_range_are_limited_softly() -> None:
    limit = SoftLimit.around(torch.randn(8, 16, 16, 16))
    far = limit(torch.full((1, 16, 2, 2), 100.0))

    assert float(far.max()) < 2.3
    torch.testing.assert_close(limit(limit.centre), limit.centre)


def test_g8_sixteen_channels_give_four_by_four_pixels_a_cell(tiny: StableDiffusion) -> None:
    preview_map = fit(tiny, 4)[0].map

    assert preview_map.scale == 4
    assert preview_map.render(torch.randn(2, 16, 6, 4)).shape == (2, 24, 16, 3)


def test_g8_a_preview_is_a_small_jpeg(tiny: StableDiffusion) -> None:
    preview_map = fit(tiny, 4)[0].map

    jpeg = encode_jpeg(preview_map.render(torch.randn(1, 16, 16, 16))[0])

    assert len(jpeg) < 6_000
    assert Image.open(io.BytesIO(jpeg)).size == (64, 64)
