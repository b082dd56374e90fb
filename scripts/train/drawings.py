"""Scenes drawn and worded ahead of need, in processes of their own where there are cores for it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .autoencoder import DOWNSCALE
from .captions import caption
from .sampling import Stage, sample_scene
from .scenes import SIZE_PX, Scene, Spot, draw_scene, layout, loose_layout
from .styles import SCRIBBLE, SILHOUETTE
from .text import tokenise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import CLIPTokenizer

# Height and width in pixels.
Shape = tuple[int, int]
SQUARE: Final[Shape] = (SIZE_PX, SIZE_PX)
# Captions of each scene. With fewer, a scene that is seen often is learnt with its words.
WORDINGS: Final = 8
_SHARD: Final = 250
# How many of the scribbles are outer outlines only.
_OUTER_ONLY: Final = 0.3
# How much more an error counts where a thing is. Most cells of a picture are background, which is
# learnt in no time; small things would otherwise be learnt last.
_THING_WEIGHT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Order:
    """Which scenes to draw; the same order always gives the same ones.

    `is_loose`: everything is somewhere near where the words put it, and its lines are wanted too.
    """

    stage: Stage
    seed: int
    count: int
    shape: Shape = SQUARE
    style: str | None = None
    is_loose: bool = False


def shards(order: Order) -> list[Order]:
    """The order as several small ones, so that the first scenes are there soon."""
    return [
        replace(order, seed=order.seed + begin, count=min(_SHARD, order.count - begin))
        for begin in range(0, order.count, _SHARD)
    ]


@dataclass(slots=True)
class Drawing:
    """What an order gave.

    `pictures` uint8 (count, height, width, 3), `ids` int16 (count, WORDINGS, 64), `emphasis`
    float16 (count, 1, height / 16, width / 16), `lines` uint8 (count, 8192): white on black, a bit
    a pixel; (count, 0) where they aren't wanted.
    """

    scenes: list[Scene]
    pictures: Tensor
    ids: Tensor
    emphasis: Tensor
    lines: Tensor


def draw(order: Order, tokenizer: CLIPTokenizer) -> Drawing:
    rng = random.Random(f"{order.stage} {order.seed}")
    scenes = [sample_scene(rng, order.stage, style=order.style) for _ in range(order.count)]
    arrange = loose_layout if order.is_loose else layout
    pictures = [draw_scene(scene, *order.shape, arrange) for scene in scenes]
    texts = [caption(rng, scene).text for scene in scenes for _ in range(WORDINGS)]
    cells = [emphasis(arrange(s), *(side // DOWNSCALE for side in order.shape)) for s in scenes]
    lines = [_packed_scribble(scene) if order.is_loose else np.empty(0, "u1") for scene in scenes]
    return Drawing(
        scenes,
        torch.from_numpy(np.stack(pictures)),
        tokenise(tokenizer, texts).short().view(order.count, WORDINGS, -1),
        torch.stack(cells).half(),
        torch.from_numpy(np.stack(lines)),
    )


def emphasis(spots: Sequence[Spot], height: int, width: int) -> Tensor:
    """How much the errors of the latents' cells count, float32 (1, height, width), 1 or more."""
    weights = torch.ones(1, height, width)
    side = min(height, width)
    for spot in spots:
        x, y = width * (0.5 + spot.right), height * (0.5 + spot.down)
        reach = side * spot.extent * 1.1
        top, bottom = max(0, round(y - reach)), max(0, round(y + reach))
        left, right = max(0, round(x - reach)), max(0, round(x + reach))
        weights[0, top:bottom, left:right] = _THING_WEIGHT
    return weights


def scribble(scene: Scene, style: str = SCRIBBLE) -> np.ndarray:
    """The scene's things, loosely arranged, as white lines on black, uint8 (256, 256, 3)."""
    return draw_scene(replace(scene, style=style), SIZE_PX, SIZE_PX, loose_layout)


def _packed_scribble(scene: Scene) -> np.ndarray:
    style = SILHOUETTE if random.Random(scene.seed).random() < _OUTER_ONLY else SCRIBBLE
    return np.packbits(scribble(scene, style)[..., 0] > 127)


def draw_ahead(
    orders: Sequence[Order], tokenizer: CLIPTokenizer, num_workers: int
) -> Iterator[Drawing]:
    """The drawings in the order of their orders; without workers each is drawn when asked for."""
    return iter(
        DataLoader(
            _Drawings(orders, tokenizer),
            batch_size=None,
            num_workers=num_workers,
            collate_fn=_as_it_is,
            # Waiting for one another's slowest picture, they would idle with fewer.
            prefetch_factor=2 if num_workers else None,
        )
    )


class _Drawings(Dataset[Drawing]):
    def __init__(self, orders: Sequence[Order], tokenizer: CLIPTokenizer) -> None:
        self._orders, self._tokenizer = orders, tokenizer

    def __len__(self) -> int:
        return len(self._orders)

    def __getitem__(self, index: int) -> Drawing:
        return draw(self._orders[index], self._tokenizer)


def _as_it_is(drawing: Any) -> Any:
    return drawing
