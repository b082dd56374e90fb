"""Stable Diffusion 3 and 3.5 (Esser et al. 2024): flow matching, two CLIP encoders, perhaps T5.

T5 may be left out of the folder; its part of a prompt is zeros then. It reads a prompt without
weights. Loads a diffusers folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from gpu.errors import ModelError
from gpu.models.advice import Advice
from gpu.models.family import Reading, Words
from gpu.models.flow import FlowFamily, PlainReader, padded_ids, shift
from gpu.models.flow_controls import SD3Controls
from gpu.models.flow_parts import Parts, load_parts
from gpu.models.text import PromptReader, of_one_length, penultimate_states

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gpu.models.family import Family, LoadOptions, Report, Row
    from gpu.models.lora_file import Part

_PLAIN = Reading()
_T5_TOKENS = 256
_MAX_SHIFT = 1.16
_CLIP = "CLIPTextModelWithProjection"
_CLIPS: tuple[Part, ...] = ("text_encoder", "text_encoder_2")


class StableDiffusion3(FlowFamily):
    control_nets = SD3Controls
    usual = Advice(steps=28, guidance=7.0, sampler="euler", live_steps=8)

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        super().__init__(parts, options, report)
        config = self._transformer.config
        self.native_px = int(config.sample_size) * self.latent_factor
        self._width = int(config.joint_attention_dim)
        self._clips = [
            PromptReader(
                parts.tokenizers[part.replace("text_encoder", "tokenizer")],
                parts.encoders[part],
                options,
                self._adapters.mixers[part],
                self._reserve.fetched,
                penultimate_states,
            )
            for part in _CLIPS
        ]
        self._t5 = parts.encoders.get("text_encoder_3")
        self._t5_tokenizer = parts.tokenizers.get("tokenizer_3")
        self._t5_reader = PlainReader(self._t5_tokens)

    def pace(self, scheduler: Any, num_steps: int, size: tuple[int, int]) -> None:
        shifts = bool(scheduler.config.get("use_dynamic_shifting"))
        more = {"mu": shift(scheduler.config, size, _MAX_SHIFT)} if shifts else {}
        scheduler.set_timesteps(num_steps, **more)

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        return self._whole(self._clip(text, reading), text)

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        clips = of_one_length(*(self._clip(text, reading) for text in (prompt, negative, "")))
        return self._whole(clips[0], prompt), self._whole(clips[1], negative)

    def _clip(self, text: str, reading: Reading) -> Words:
        first, second = (reader.read(text, reading) for reader in self._clips)
        assert first.pooled is not None
        assert second.pooled is not None
        return Words(
            torch.cat([first.tokens, second.tokens], -1), torch.cat([first.pooled, second.pooled])
        )

    def _whole(self, clip: Words, text: str) -> Words:
        """CLIP's tokens, filled up to the transformer's width, and T5's after them."""
        widened = functional.pad(clip.tokens, (0, self._width - clip.tokens.shape[-1]))
        return Words(torch.cat([widened, self._t5_reader.read(text)]), clip.pooled)

    def _t5_tokens(self, text: str) -> Tensor:
        if self._t5 is None:
            return torch.zeros(_T5_TOKENS, self._width, device=self.device, dtype=self.dtype)
        ids = padded_ids(self._t5_tokenizer, text, _T5_TOKENS, self.device)
        with self._reserve.fetched(), torch.inference_mode():
            tokens: Tensor = self._t5(ids)[0][0]
        return tokens.to(self.dtype)

    def inputs(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> dict[str, Any]:
        pooled = [row.words.pooled for row in rows if row.words.pooled is not None]
        return {
            "hidden_states": latents,
            "timestep": timesteps,
            "encoder_hidden_states": torch.stack([row.words.tokens for row in rows]),
            "pooled_projections": torch.stack(pooled),
        }


def claims(parts: Mapping[str, str]) -> bool:
    """Whether a folder's parts, by name and class, are this family's."""
    return parts.get("transformer") == "SD3Transformer2DModel"


def load_folder(options: LoadOptions, classes: Mapping[str, str], report: Report) -> Family:
    """Load a diffusers folder; raises ModelError."""
    encoders = {"text_encoder": (_CLIP,), "text_encoder_2": (_CLIP,)}
    if "text_encoder_3" in classes:
        encoders["text_encoder_3"] = ("T5EncoderModel",)
    parts = load_parts(options, classes, "SD3Transformer2DModel", encoders, report)
    wide = parts.encoders.get("text_encoder_3")
    width = int(parts.transformer.config.joint_attention_dim)
    if wide is not None and wide.config.d_model != width:
        raise ModelError(
            f"{options.path}: expected a text_encoder_3 that is {width} wide, got "
            f"{wide.config.d_model}: its parts are of different models"
        )
    return StableDiffusion3(parts, options, report)
