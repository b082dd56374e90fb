"""The frozen text encoder's side of training: captions dropped now and then, for guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor

from .captions import plain_caption
from .text import embed, tokenise

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

    from .scenes import Scene

DROPPED: Final = 0.1


class Conditioner:
    def __init__(
        self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, dropped: float = DROPPED
    ) -> None:
        self.encoder, self.tokenizer = encoder, tokenizer
        self._empty = tokenise(tokenizer, [""])[0].to(encoder.device)
        self._dropped = dropped

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """float32 (batch, 64, 128) of token ids (batch, 64); some are taken as empty captions."""
        is_dropped = torch.rand(len(ids), 1, device=ids.device) < self._dropped
        ids = torch.where(is_dropped, self._empty, ids)
        return cast("Tensor", self.encoder(ids).last_hidden_state).float()

    def embed_plain(self, scenes: list[Scene]) -> Tensor:
        return embed(self.encoder, self.tokenizer, [plain_caption(scene) for scene in scenes])
