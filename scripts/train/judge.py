"""Small CNNs that say what a picture shows: the measure of whether prompts are followed.

One looks at a crop around each position and says which thing is there, if any; the other looks
at the whole and says place, style and number. Both are trained on rendered scenes only, partly
after a pass through the autoencoder. Their own accuracy on fresh renders stands beside every
figure that they give.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import to_pictures, to_tensor
from .colours import COLOURS
from .devices import Device, Progress, freeze, load_checkpoint, save_checkpoint, seed_everything
from .places import PLACES
from .sampling import STAGES, sample_scene
from .scenes import MAX_COUNT, POSITIONS, Position, Scene, draw_scene
from .styles import EXTRA_STYLES, STYLES
from .things import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderTiny

WHOLE_PX: Final = 64
CROP_PX: Final = 48
_BATCH: Final = 48
_POOL: Final = 12_000
_THROUGH: Final = 3_000
_EMPTY_CROPS: Final = 3
ALL_STYLES: Final = (*STYLES, *EXTRA_STYLES)
# The crop's half side about a position's centre, as a share of the picture's side.
_HALF_SIDES: Final[dict[str, float]] = {"centre": 0.44, "side": 0.27, "corner": 0.24}
_OFFSET: Final = {"left": -0.23, "right": 0.23, "top": -0.23, "bottom": 0.23}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a picture shows: what is where, and what is true of the whole."""

    things: dict[Position, tuple[str, str]]
    """Kind and colour of what each position most looks like."""
    position: Position
    """Where there most surely is a thing."""
    occupied: frozenset[Position]
    place: str
    style: str
    count: int


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.crop_features = _features((3, 32, 64, 96, 128))
        self.kind = nn.Linear(128 * 9, len(KINDS) + 1)
        self.colour = nn.Linear(128 * 9, len(COLOURS))
        self.whole_features = _features((3, 24, 48, 64, 96))
        self.place = nn.Linear(96 * 16, len(PLACES))
        self.style = nn.Linear(96 * 16, len(ALL_STYLES))
        self.count = nn.Linear(96 * 16, MAX_COUNT)

    def crops(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of kind (last: nothing) and colour from (batch, 3, 48, 48) in -1..1."""
        features = self.crop_features(crops).flatten(1)
        return self.kind(features), self.colour(features)

    def whole(self, pictures: Tensor) -> dict[str, Tensor]:
        """Logits of place, style and count - 1 from (batch, 3, 64, 64) in -1..1."""
        features = self.whole_features(pictures).flatten(1)
        return {
            "place": self.place(features),
            "style": self.style(features),
            "count": self.count(features),
        }

    @torch.no_grad()
    def verdicts(self, pictures: list[np.ndarray]) -> list[Verdict]:
        """What each picture, uint8 (side, side, 3), shows."""
        return [v for i in range(0, len(pictures), 50) for v in self._judge(pictures[i : i + 50])]

    def _judge(self, pictures: list[np.ndarray]) -> list[Verdict]:
        batch = to_tensor(pictures)
        crops = torch.cat([crop(batch, position) for position in POSITIONS])
        kinds, colours = self.crops(crops)
        shape = (len(POSITIONS), len(pictures), -1)
        empty = kinds.softmax(1)[:, -1].view(shape[:2])
        kinds = kinds[:, :-1].argmax(1).view(shape[:2])
        colours = colours.argmax(1).view(shape[:2])
        whole = {k: v.argmax(1).tolist() for k, v in self.whole(_shrink(batch, WHOLE_PX)).items()}
        names = tuple(COLOURS)
        return [
            Verdict(
                things={
                    position: (KINDS[kinds[p, i]], names[colours[p, i]])
                    for p, position in enumerate(POSITIONS)
                },
                position=POSITIONS[int(empty[:, i].argmin())],
                occupied=frozenset(q for p, q in enumerate(POSITIONS) if empty[p, i] < 0.5),
                place=PLACES[whole["place"][i]],
                style=ALL_STYLES[whole["style"][i]],
                count=whole["count"][i] + 1,
            )
            for i in range(len(pictures))
        ]


def _features(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.GELU()]
    return nn.Sequential(*layers)


def crop(pictures: Tensor, position: Position) -> Tensor:
    """What lies about a position of (batch, 3, side, side), as (batch, 3, 48, 48)."""
    words = position.split()
    right = sum(_OFFSET[word] for word in words if word in ("left", "right"))
    down = sum(_OFFSET[word] for word in words if word in ("top", "bottom"))
    name = "centre" if position == "centre" else "side" if len(words) == 1 else "corner"
    side, half = pictures.shape[-1], _HALF_SIDES[name]
    # Beyond the border the border's pixels go on.
    x0, x1 = (round((0.5 + right + d) * side) for d in (-half, half))
    y0, y1 = (round((0.5 + down + d) * side) for d in (-half, half))
    margins = (max(0, -x0), max(0, x1 - side), max(0, -y0), max(0, y1 - side))
    padded = F.pad(pictures, margins, mode="replicate") if any(margins) else pictures
    x, y = x0 + margins[0], y0 + margins[2]
    return _shrink(padded[..., y : y + y1 - y0, x : x + x1 - x0], CROP_PX)


def _shrink(pictures: Tensor, side_px: int) -> Tensor:
    return F.interpolate(pictures, size=(side_px, side_px), mode="area")


@torch.no_grad()
def reconstruct(vae: AutoencoderTiny, pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Pictures after a pass through the autoencoder."""
    device = next(vae.parameters()).device
    out: list[np.ndarray] = []
    for i in range(0, len(pictures), 20):
        batch = to_tensor(pictures[i : i + 20]).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            out += to_pictures(vae.decoder(vae.encoder(batch)))
    return out


def judged_scenes(seed: int, count: int, extra: float) -> list[Scene]:
    """Scenes of all stages, held-out combinations among them.

    A share `extra` of them is in the styles of the adapters, the others in those of the model.
    """
    rng = random.Random(seed)
    return [
        sample_scene(
            rng,
            rng.choice(STAGES),
            rng.random() < 0.1,
            rng.choice(EXTRA_STYLES) if rng.random() < extra else None,
        )
        for _ in range(count)
    ]


@dataclass(frozen=True, slots=True)
class _Lessons:
    """Small pictures and what they show; crops belong to pictures by index."""

    whole: Tensor
    labels: dict[str, Tensor]
    crops: Tensor
    kinds: Tensor
    colours: Tensor


def _lessons(vae: AutoencoderTiny, seed: int) -> _Lessons:
    rng = random.Random(seed)
    scenes = judged_scenes(seed, _POOL, extra=0.2)
    whole, crops, kinds, colours = [], [], [], []
    shown: list[Scene] = []
    for i in range(0, _POOL, 100):
        part = scenes[i : i + 100]
        pictures = [draw_scene(scene) for scene in part]
        if i < _THROUGH:
            pictures += reconstruct(vae, pictures)
            part = part * 2
        shown += part
        batch = to_tensor(pictures)
        whole.append(_shrink(batch, WHOLE_PX).half())
        for row, scene in enumerate(part):
            for position, kind, colour in _crops_of(rng, scene):
                crops.append(crop(batch[row : row + 1], position).half())
                kinds.append(kind)
                colours.append(colour)
    labels = {
        "place": [PLACES.index(scene.place) for scene in shown],
        "style": [ALL_STYLES.index(scene.style) for scene in shown],
        # Only rows of one kind count; several different things have no number to name.
        "count": [(scene.items[0].count if len(scene.items) == 1 else 0) - 1 for scene in shown],
    }
    return _Lessons(
        torch.cat(whole),
        {name: torch.tensor(values) for name, values in labels.items()},
        torch.cat(crops),
        torch.tensor(kinds),
        torch.tensor(colours),
    )


def _crops_of(rng: random.Random, scene: Scene) -> list[tuple[Position, int, int]]:
    """Positions to learn from: all that hold a thing and a few that don't. -1 is no colour."""
    found: list[tuple[Position, int, int]] = [
        (item.position, KINDS.index(item.kind), list(COLOURS).index(item.colour))
        for item in scene.items
    ]
    if any(item.count > 1 for item in scene.items):
        return []
    taken = {item.position for item in scene.items}
    free = [position for position in POSITIONS if position not in taken]
    return found + [(position, len(KINDS), -1) for position in rng.sample(free, _EMPTY_CROPS)]


def _disturb(batch: Tensor, rng: random.Random) -> Tensor:
    """Blur, noise and a small shift: what samples have and renders lack."""
    if rng.random() < 0.5:
        small = F.avg_pool2d(batch, 2)
        batch = F.interpolate(small, scale_factor=2, mode="bilinear")
    batch = batch + torch.randn_like(batch) * (0.08 * rng.random())
    return torch.roll(batch, (rng.randint(-2, 2), rng.randint(-2, 2)), (2, 3))


def train_judge(
    folder: Path, device: Device, vae: AutoencoderTiny, seed: int, num_steps: int
) -> Judge:
    """Trains the judge into `folder`, or loads it from there."""
    judge = Judge()
    saved = load_checkpoint(folder / "judge.pt")
    if saved is not None:
        judge.load_state_dict(cast("dict[str, Tensor]", saved["model"]))
        return cast("Judge", freeze(judge))
    seed_everything(seed)
    lessons = _lessons(vae, seed)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    rng, progress = random.Random(seed), Progress("judge", num_steps, 200)
    for step in range(num_steps):
        with device.autocast():
            loss = _crop_loss(judge, lessons, rng) + _whole_loss(judge, lessons, rng)
        loss.backward()
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1.01 - step / num_steps)
        optimiser.step()
        optimiser.zero_grad()
        progress.report(step + 1, loss=loss.item())
    save_checkpoint(folder / "judge.pt", {"model": judge.state_dict()})
    return cast("Judge", freeze(judge))


def _crop_loss(judge: Judge, lessons: _Lessons, rng: random.Random) -> Tensor:
    rows = torch.randint(0, len(lessons.crops), (3 * _BATCH,))
    kinds, colours = judge.crops(_disturb(lessons.crops[rows].float(), rng))
    return F.cross_entropy(kinds.float(), lessons.kinds[rows]) + F.cross_entropy(
        colours.float(), lessons.colours[rows], ignore_index=-1
    )


def _whole_loss(judge: Judge, lessons: _Lessons, rng: random.Random) -> Tensor:
    rows = torch.randint(0, len(lessons.whole), (_BATCH,))
    logits = judge.whole(_disturb(lessons.whole[rows].float(), rng))
    losses = [
        F.cross_entropy(logits[name].float(), lessons.labels[name][rows], ignore_index=-1)
        for name in logits
    ]
    return torch.stack(losses).sum()


Figures = dict[str, float]


def accuracy(judge: Judge, pictures: list[np.ndarray], scenes: list[Scene]) -> Figures:
    """Shares of pictures that show their scenes' attributes.

    `kind`, `colour`, `position` count scenes of one thing, `count` rows of things alike,
    `two` and `two_coloured` scenes of two (both kinds, with their colours, where they belong).
    """
    verdicts = judge.verdicts(pictures)
    hits: dict[str, list[bool]] = {}
    for verdict, scene in zip(verdicts, scenes, strict=True):
        for name, hit in _compare(verdict, scene).items():
            hits.setdefault(name, []).append(hit)
    return {name: float(np.mean(values)) for name, values in sorted(hits.items())}


def _compare(verdict: Verdict, scene: Scene) -> dict[str, bool]:
    found = {"background": verdict.place == scene.place, "style": verdict.style == scene.style}
    items = scene.items
    if len(items) == 1 and items[0].count == 1:
        # Kind and colour are read wherever the thing is; where it is, is another figure.
        kind, colour = verdict.things[verdict.position]
        found["kind"], found["colour"] = kind == items[0].kind, colour == items[0].colour
        found["position"] = verdict.position == items[0].position
        found["all"] = all(found.values())
    elif len(items) == 1:
        found["count"] = verdict.count == items[0].count
    elif len(items) == 2:
        kinds = [
            item.position in verdict.occupied and verdict.things[item.position][0] == item.kind
            for item in items
        ]
        colours = [verdict.things[item.position][1] == item.colour for item in items]
        found["two"] = all(kinds)
        found["two_coloured"] = all(kinds) and all(colours)
    return found


def own_accuracy(
    judge: Judge, vae: AutoencoderTiny, seed: int, count: int = 900
) -> dict[str, Figures]:
    """The judge's accuracy on fresh renders, also after the autoencoder and in adapters' styles."""
    scenes = judged_scenes(seed, count, extra=0.0)
    pictures = [draw_scene(scene) for scene in scenes]
    in_extra = judged_scenes(seed + 1, count // 3, extra=1.0)
    extra_pictures = reconstruct(vae, [draw_scene(scene) for scene in in_extra])
    return {
        "renders": accuracy(judge, pictures, scenes),
        "through_autoencoder": accuracy(judge, reconstruct(vae, pictures), scenes),
        # A blueprint shows no colours, so of these only the style and the kind mean something.
        "adapter_styles": accuracy(judge, extra_pictures, in_extra),
    }
