"""FLUX.1 (Black Forest Labs 2024): flow matching, T5 for the words and CLIP for their sum.

Guidance is an input of the dev model, which was distilled from guided pictures; schnell takes
none. There is no negative prompt, and T5 reads a prompt without weights. Loads a diffusers folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gpu.errors import ModelError
from gpu.models.advice import Advice
from gpu.models.family import Reading, Words
from gpu.models.flow import FlowFamily, PlainReader, padded_ids
from gpu.models.flow_controls import FluxControls
from gpu.models.flow_parts import Parts, load_parts
from gpu.models.packing import PATCH, packed, places, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gpu.models.family import Family, LoadOptions, Report, Row

_PLAIN = Reading()
_T5_TOKENS = 512
_DEV = Advice(steps=28, guidance=3.5, sampler="euler", live_steps=8)
_SCHNELL = Advice(steps=4, guidance=1.0, sampler="euler")


class Flux(FlowFamily):
    takes_guidance = True
    control_nets = FluxControls

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        super().__init__(parts, options, report)
        self._clip = parts.encoders["text_encoder"]
        self._clip_tokenizer = parts.tokenizers["tokenizer"]
        self._t5 = parts.encoders["text_encoder_2"]
        self._t5_tokenizer = parts.tokenizers["tokenizer_2"]
        is_guided = bool(self._transformer.config.guidance_embeds)
        self.usual = _DEV if is_guided else _SCHNELL
        self._sums = PlainReader(self._sum, self._adapters.mixers["text_encoder"])
        self._readers = PlainReader(self._tokens)

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        return Words(self._readers.read(text), self._sums.read(text, reading.adapters))

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        return self.encode_prompt(prompt, reading), self.encode_prompt(negative, reading)

    def _tokens(self, text: str) -> Tensor:
        ids = padded_ids(self._t5_tokenizer, text, _T5_TOKENS, self.device)
        with self._reserve.fetched(), torch.inference_mode():
            tokens: Tensor = self._t5(ids)[0][0]
        return tokens.to(self.dtype)

    def _sum(self, text: str) -> Tensor:
        length = self._clip_tokenizer.model_max_length
        ids = padded_ids(self._clip_tokenizer, text, length, self.device)
        with self._reserve.fetched(), torch.inference_mode():
            pooled: Tensor = self._clip(ids).pooler_output[0]
        return pooled.to(self.dtype)

    def inputs(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> dict[str, Any]:
        tokens = torch.stack([row.words.tokens for row in rows])
        pooled = [row.words.pooled for row in rows if row.words.pooled is not None]
        return {
            "hidden_states": packed(latents),
            "timestep": (timesteps / 1000).to(latents.dtype),
            "guidance": self._guidance(rows, latents.device),
            "pooled_projections": torch.stack(pooled),
            "encoder_hidden_states": tokens,
            "txt_ids": latents.new_zeros(tokens.shape[1], 3),
            "img_ids": places(*latents.shape[2:]).to(latents, non_blocking=True),
        }

    def latents(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        return unpacked(output, *size)

    def _guidance(self, rows: Sequence[Row], device: torch.device) -> Tensor | None:
        if not self._transformer.config.guidance_embeds:
            return None
        scales = torch.tensor([row.guidance for row in rows], device="cpu")
        return scales.to(device, non_blocking=True)


def claims(parts: Mapping[str, str]) -> bool:
    """Whether a folder's parts, by name and class, are this family's."""
    return parts.get("transformer") == "FluxTransformer2DModel"


def load_folder(options: LoadOptions, classes: Mapping[str, str], report: Report) -> Family:
    """Load a diffusers folder; raises ModelError."""
    encoders = {"text_encoder": ("CLIPTextModel",), "text_encoder_2": ("T5EncoderModel",)}
    parts = load_parts(options, classes, "FluxTransformer2DModel", encoders, report)
    taken, wanted = (
        int(parts.transformer.config.in_channels),
        PATCH**2 * parts.vae.config.latent_channels,
    )
    if taken != wanted:
        raise ModelError(
            f"{options.path}: expected a transformer of {wanted} channels, got {taken}: "
            "fill, depth, canny and redux models can't be used"
        )
    return Flux(parts, options, report)
