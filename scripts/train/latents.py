"""Scenes as latents, on the device that trains, with their captions and what is to be stressed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import torch
from torch import Tensor

from .devices import Device, load_checkpoint, save_checkpoint
from .drawings import SQUARE, Drawing, Order, draw_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from diffusers import AutoencoderTiny
    from transformers import CLIPTokenizer

    from .scenes import Scene

# On a CPU more pictures at a time fall out of its cache.
_CPU_BATCH: Final = 4
_GPU_BATCH: Final = 125


class Batch(NamedTuple):
    """Rows of a `LatentSet`, each with one of its captions.

    `latents` float32 (batch, 16, height, width), `ids` int64 (batch, 64), `emphasis` float32
    (batch, 1, height, width), `lines` uint8 (batch, 8192) or (batch, 0).
    """

    latents: Tensor
    ids: Tensor
    emphasis: Tensor
    lines: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        return cls(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


@dataclass(slots=True)
class LatentSet:
    """Scenes of one shape: their latents float16 (count, 16, height / 16, width / 16), the rest as
    `Drawing` has it."""

    scenes: list[Scene]
    latents: Tensor
    ids: Tensor
    emphasis: Tensor
    lines: Tensor

    @classmethod
    def joined(cls, sets: Sequence[LatentSet]) -> LatentSet:
        tensors = (torch.cat([getattr(one, name) for one in sets]) for name in _TENSORS)
        return cls([scene for one in sets for scene in one.scenes], *tensors)

    def to(self, device: str) -> LatentSet:
        return LatentSet(self.scenes, *(getattr(self, name).to(device) for name in _TENSORS))

    def pick(self, count: int) -> Batch:
        """Random rows, chosen on the device: a training step must wait for nothing."""
        device = self.latents.device
        rows = torch.randint(len(self.scenes), (count,), device=device)
        wordings = torch.randint(self.ids.shape[1], (count,), device=device)
        return Batch(
            self.latents[rows].float(),
            self.ids[rows, wordings].long(),
            self.emphasis[rows].float(),
            self.lines[rows],
        )


_TENSORS: Final = tuple(field.name for field in fields(LatentSet))[1:]


@torch.no_grad()
def encode(vae: AutoencoderTiny, device: Device, drawing: Drawing) -> LatentSet:
    parts = []
    for pictures in drawing.pictures.split(_GPU_BATCH if device.is_cuda else _CPU_BATCH):
        batch = pictures.to(device.name).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        with device.autocast():
            parts.append(vae.encoder(batch.contiguous(memory_format=torch.channels_last)).half())
    latents = torch.cat(parts).contiguous()
    one = LatentSet(drawing.scenes, latents, drawing.ids, drawing.emphasis, drawing.lines)
    return one.to(device.name)


def open_latents(
    folder: Path | None,
    vae: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    device: Device,
    orders: Sequence[Order],
) -> Iterator[LatentSet]:
    """The orders as latents, one after another, each drawn when asked for or before.

    What is drawn is kept in `folder`, if one is given, so that a run that was cut goes on at once.
    """
    paths = [None if folder is None else folder / "latents" / _name(order) for order in orders]
    missing = [o for o, path in zip(orders, paths, strict=True) if not path or not path.exists()]
    drawings = draw_ahead(missing, tokenizer, device.num_workers)
    for path in paths:
        saved = load_checkpoint(path) if path else None
        if saved is not None:
            yield LatentSet(**cast("dict[str, Any]", saved)).to(device.name)
            continue
        one = encode(vae, device, next(drawings))
        if path:
            kept = one.to("cpu")
            save_checkpoint(path, {field.name: getattr(kept, field.name) for field in fields(kept)})
        yield one


def _name(order: Order) -> str:
    shape = "" if order.shape == SQUARE else f"-{order.shape[0]}x{order.shape[1]}"
    loose = "-loose" if order.is_loose else ""
    style = f"-{order.style}" if order.style else ""
    return f"{order.stage}{shape}{style}{loose}-{order.seed}-{order.count}.pt"
