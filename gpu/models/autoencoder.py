"""Pixels to latents at the scale that a denoiser is trained on, and back.

Knows nothing of denoisers or jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gpu.models.family import LoadOptions
    from gpu.models.parts import Reserve

CLASSES = ("AutoencoderKL", "AutoencoderTiny")
TILE_PX = 1536
"""Longer than the sides of usual pictures of 1024 x 1024 pixels' area."""
LOW_VRAM_TILE_PX = 768


def autoencoder_dtype(name: str, options: LoadOptions, *, fits_fp16: bool = False) -> torch.dtype:
    """What an autoencoder of this class computes in; on a GPU the denoiser's format, as in
    diffusers' pipelines, where its numbers fit into that.

    `fits_fp16` is whether those of AutoencoderKL do: XL's and later ones overflow in fp16, and
    none in bf16. The tiny one keeps within half a grey level of fp32 in either.
    """
    if name == "AutoencoderTiny":
        return options.dtype
    if options.device.type != "cuda" or (options.dtype == torch.float16 and not fits_fp16):
        return torch.float32
    return options.dtype


class Autoencoder:
    def __init__(self, vae: Any, options: LoadOptions, reserve: Reserve) -> None:
        """`reserve` holds `vae`, and brings it onto the device."""
        self._vae = vae
        self._device = options.device
        self._reserve = reserve
        config = vae.config
        self.channels = int(config.latent_channels)
        # No config of AutoencoderTiny says it.
        blocks = config.get("block_out_channels") or config.encoder_block_out_channels
        self.factor = int(2 ** (len(blocks) - 1))
        self.draws_posterior = not hasattr(config, "encoder_block_out_channels")
        self._centre, self._scale = self._normalisation()
        if self.draws_posterior:
            self._tile(LOW_VRAM_TILE_PX if options.low_vram else TILE_PX)

    def _tile(self, side_px: int) -> None:
        """Take pictures with a side longer than this in overlapping tiles, so that the memory for
        one is bounded. Tiles differ faintly in tone, which their overlap blends."""
        self._vae.enable_tiling()
        self._vae.tile_sample_min_size = side_px
        self._vae.tile_latent_min_size = side_px // self.factor

    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """What is taken from encoded latents, and what they are then multiplied by, each
        (1, C or 1, 1, 1): some models know it for each channel."""
        config = self._vae.config
        scale = torch.tensor(float(config.scaling_factor)).reshape(1, 1, 1, 1)
        mean, std = config.get("latents_mean"), config.get("latents_std")
        if mean is None or std is None:
            shift = float(config.get("shift_factor") or 0.0)
            return torch.full_like(scale, shift).to(self._device), scale.to(self._device)
        centre, spread = (torch.tensor(v).float().reshape(1, -1, 1, 1) for v in (mean, std))
        return centre.to(self._device), (scale / spread).to(self._device)

    def encode(
        self, pixels: Tensor, generator: torch.Generator | None, *, is_centred: bool = True
    ) -> Tensor:
        """See `family.Family.encode_image`; without `is_centred` only the scale is the model's."""
        pixels = pixels.to(self._device, self._vae.dtype, memory_format=torch.channels_last)
        with self._reserve.fetched(), torch.inference_mode():
            encoded = self._vae.encode(pixels)
            if hasattr(encoded, "latents"):
                latents = encoded.latents
            elif generator is None:
                latents = encoded.latent_dist.mode()
            else:
                latents = encoded.latent_dist.sample(generator)
            centre = self._centre if is_centred else 0.0
            return ((latents.float() - centre) * self._scale).contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        """See `family.Family.decode`."""
        with self._reserve.fetched(), torch.inference_mode():
            scaled = (latents.to(self._device) / self._scale + self._centre).to(
                self._vae.dtype, memory_format=torch.channels_last
            )
            pixels: Tensor = self._vae.decode(scaled, return_dict=False)[0]
        return pixels.float()
