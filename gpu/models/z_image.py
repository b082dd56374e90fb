"""Z-Image and Z-Image-Turbo (Tongyi Lab 2025): flow matching in one stream, Qwen3 for the words.

A prompt is read as a request to an assistant, without weights, and is as long as it is: prompts
of other lengths are other forwards. Guidance counts from 1 as everywhere here, where diffusers'
own pipeline for it counts from 0. Loads a diffusers folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gpu.errors import ModelError
from gpu.models.advice import Advice
from gpu.models.family import Reading, Words
from gpu.models.flow import FlowFamily, PlainReader
from gpu.models.flow_controls import ZImageControls
from gpu.models.flow_parts import Parts, load_parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gpu.models.family import Family, LoadOptions, Report, Row

_PLAIN = Reading()
_MAX_TOKENS = 512


class ZImage(FlowFamily):
    control_nets = ZImageControls
    rowless = ("all_x_embedder.", "cap_embedder.")
    usual = Advice(steps=9, guidance=1.0, sampler="euler")
    """The turbo model's, which a folder doesn't say that it is."""

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        super().__init__(parts, options, report)
        self._encoder = parts.encoders["text_encoder"]
        self._tokenizer = parts.tokenizers["tokenizer"]
        self._reader = PlainReader(self._tokens)

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        return Words(self._reader.read(text))

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        return self.encode_prompt(prompt), self.encode_prompt(negative)

    def _tokens(self, text: str) -> Tensor:
        request = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        ids = self._tokenizer(
            request, max_length=_MAX_TOKENS, truncation=True, return_tensors="pt"
        ).input_ids.to(self.device)
        with self._reserve.fetched(), torch.inference_mode():
            tokens: Tensor = self._encoder(ids, output_hidden_states=True).hidden_states[-2][0]
        return tokens.to(self.dtype)

    def inputs(self, latents: Tensor, timesteps: Tensor, rows: Sequence[Row]) -> dict[str, Any]:
        # Its time runs from noise to picture, and what it tells points that way too.
        return {
            "x": list(latents.unsqueeze(2).unbind()),
            "t": (1000 - timesteps) / 1000,
            "cap_feats": [row.words.tokens for row in rows],
        }

    def latents(self, output: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        return -torch.stack([*output]).squeeze(2)


def claims(parts: Mapping[str, str]) -> bool:
    """Whether a folder's parts, by name and class, are this family's."""
    return parts.get("transformer") == "ZImageTransformer2DModel"


def load_folder(options: LoadOptions, classes: Mapping[str, str], report: Report) -> Family:
    """Load a diffusers folder; raises ModelError."""
    encoders = {"text_encoder": ("Qwen3Model",)}
    parts = load_parts(options, classes, "ZImageTransformer2DModel", encoders, report)
    wanted = int(parts.transformer.config.cap_feat_dim)
    width = int(parts.encoders["text_encoder"].config.hidden_size)
    if width != wanted:
        raise ModelError(
            f"{options.path}: expected a text_encoder that is {wanted} wide, got {width}: "
            "its parts are of different models"
        )
    return ZImage(parts, options, report)
