"""What the families with a U-Net share: Stable Diffusion 1.x, 2.x and XL.

A U-Net with cross-attention, its adapters and controls, and the autoencoder beside it. How a
prompt is read, and what the U-Net is told besides, is each family's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpu.errors import ModelError
from gpu.models.adapters import AdapterShelf
from gpu.models.advice import Advice
from gpu.models.attention import use_xformers
from gpu.models.autoencoder import Autoencoder, autoencoder_dtype
from gpu.models.compiled import Denoiser
from gpu.models.controls import ControlShelf, added
from gpu.models.parts import Reserve, weight_bytes
from gpu.models.quantised import quantise
from gpu.models.unet_controls import check_control, control_parts, load_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from gpu.models.family import Adapters, ControlNet, LoadOptions, Report, Row
    from gpu.models.lora_file import Part
    from gpu.samplers.table import Pace


@dataclass(frozen=True, slots=True)
class Parts:
    """A model as it was read; `encoders` are text encoders with their tokenizers."""

    name: str
    unet: Any
    vae: Any
    encoders: Mapping[Part, tuple[Any, Any]]
    scheduler_config: Mapping[str, Any]


class UNetFamily:
    """See `family.Family` for the methods; a subclass reads prompts."""

    usual = Advice()
    autoencoder_fits_fp16 = False

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        self.name = parts.name
        self.device = options.device
        self.dtype = options.dtype
        self.scheduler_config = parts.scheduler_config
        self.pace: Pace | None = None
        self._unet = parts.unet.to(options.device, memory_format=torch.channels_last).eval()
        encoders = {part: encoder.eval() for part, (_, encoder) in parts.encoders.items()}
        fits_fp16 = self.autoencoder_fits_fp16
        dtype = autoencoder_dtype(type(parts.vae).__name__, options, fits_fp16=fits_fp16)
        parts.vae.to(dtype).eval()
        self._reserve = Reserve([*encoders.values(), parts.vae], options)
        quantise([self._unet, *encoders.values()], options, report)
        self.num_bytes = weight_bytes([self._unet, parts.vae, *encoders.values()])
        self._autoencoder = Autoencoder(parts.vae, options, self._reserve)
        self.latent_channels = self._autoencoder.channels
        self.latent_factor = self._autoencoder.factor
        self.draws_posterior = self._autoencoder.draws_posterior
        config = self._unet.config
        self.native_px = int(config.sample_size) * self.latent_factor
        self.multiple_px = self.latent_factor * 2 ** (len(config.block_out_channels) - 1)
        self.takes_guidance = config.time_cond_proj_dim is not None
        self.fills = int(config.in_channels) > self.latent_channels
        self._adapters = AdapterShelf({"unet": self._unet, **encoders}, options, report)
        self.adapter_names = self._adapters.names
        self._controls = ControlShelf(
            options.beside,
            lambda path, config: check_control(path, config, parts.unet, self.latent_factor),
            lambda path: load_control(path, parts.unet, options, report),
            report,
        )
        self.controls = self._controls.infos
        if options.attention == "xformers":
            use_xformers(self._unet, options, report)
        self._denoiser = Denoiser(self._unet, report)

    def compile(self) -> None:
        self._denoiser.compile()

    def take_adapters(self, chosen: Mapping[str, float]) -> Adapters:
        return self._adapters.take(chosen)

    def adapter_versions(self, names: Iterable[str]) -> tuple[object, ...]:
        return self._adapters.versions(names)

    def take_control(self, name: str) -> ControlNet:
        return self._controls.take(name)

    def encode_image(self, pixels: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._autoencoder.encode(pixels, generator)

    def decode(self, latents: Tensor) -> Tensor:
        return self._autoencoder.decode(latents)

    def denoise(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> Tensor:
        latents = latents.to(self.dtype, memory_format=torch.channels_last)
        inputs: dict[str, Any] = {
            "sample": latents,
            "timestep": timesteps,
            "encoder_hidden_states": torch.stack([row.words.tokens for row in rows]),
            "added_cond_kwargs": self._told(latents, rows),
        }
        parts = added(rows, latents, lambda steered: control_parts(steered, inputs))
        inputs["sample"] = self._with_surroundings(latents, rows)
        with self._adapters.mixers["unet"].rows([row.adapters for row in rows]):
            return self._denoiser(
                plain=parts is None and not any(row.adapters for row in rows),
                timestep_cond=self._guidance(rows),
                down_block_additional_residuals=parts and parts[:-1],
                mid_block_additional_residual=parts and parts[-1],
                **inputs,
            )

    def _told(self, latents: Tensor, rows: Sequence[Row]) -> dict[str, Tensor] | None:
        """What the U-Net is told of each row besides its text, by the names it has for them."""
        return None

    def _with_surroundings(self, latents: Tensor, rows: Sequence[Row]) -> Tensor:
        """(R, C, h, w), or (R, 2C + 1, h, w) for a model that fills holes."""
        if not self.fills:
            return latents
        around = torch.stack([row.surroundings for row in rows if row.surroundings is not None])
        return torch.cat([latents, around.to(latents.dtype)], 1)

    def _guidance(self, rows: Sequence[Row]) -> Tensor | None:
        """(R, width): guidance as consistency models see it (Luo et al. 2023), from 0 on."""
        if not self.takes_guidance:
            return None
        from diffusers.models.embeddings import get_timestep_embedding

        scales = torch.tensor([1000 * (row.guidance - 1) for row in rows])
        width = self._unet.config.time_cond_proj_dim
        embedded = get_timestep_embedding(scales, width, downscale_freq_shift=1)
        return embedded.to(self.device, self.dtype, non_blocking=True)


def check_unet(
    source: Path, unet: Any, vae: Any, text_width: int, wanted: Mapping[str, Any]
) -> None:
    """Raise ModelError unless the parts fit each other and the U-Net takes what it will be given:
    latents, perhaps with a hole and its surroundings, a time, a text, and what `wanted` allows."""
    channels = int(vae.config.latent_channels)
    checks: dict[str, tuple[Any, ...]] = {
        "in_channels": (channels, 2 * channels + 1),
        "cross_attention_dim": (text_width,),
        "class_embed_type": (None,),
        "num_class_embeds": (None,),
        **wanted,
    }
    for name, values in checks.items():
        if (found := unet.config.get(name)) not in values:
            raise ModelError(
                f"{source}: expected its unet's {name} to be "
                f"{' or '.join(map(str, values))}, got {found}: "
                "depth, unCLIP and refiner models can't be used"
            )
