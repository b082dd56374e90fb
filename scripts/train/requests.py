"""What the exported model is asked for when it is measured: held-out scenes in held-out words."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .captions import caption
from .places import LANDSCAPES, PLAIN
from .sampling import sample_scene
from .things import KINDS

if TYPE_CHECKING:
    from .scenes import Scene
    from .templates import Language


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and the scene that it asks for."""

    prompt: str
    scene: Scene


def things(seed: int, per_kind: int, language: Language, style: str | None = None) -> list[Request]:
    """`per_kind` of each kind, half of them held-out combinations, anywhere and of any size.

    The scenes are the same in every language, so that what differs is the words' doing.
    """
    rng = random.Random(f"{seed} things")
    waiting = dict.fromkeys(KINDS, per_kind)
    scenes = []
    while any(waiting.values()):
        scene = sample_scene(rng, "placed", held_out=rng.random() < 0.5, style=style)
        if scene.items and waiting[scene.items[0].kind]:
            waiting[scene.items[0].kind] -= 1
            scenes.append(scene)
    return _ask_all(f"{seed} {language} things", scenes, language)


def several(seed: int, count: int, num_items: int, language: Language) -> list[Request]:
    """Scenes of so many different things, the same in every language; 0 items: rows of one."""
    rng = random.Random(f"{seed} several {num_items}")
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = sample_scene(rng, "composed", held_out=rng.random() < 0.5)
        is_row = len(scene.items) == 1
        if len(scene.items) == num_items or (is_row and num_items == 0):
            scenes.append(scene)
    return _ask_all(f"{seed} {language} several {num_items}", scenes, language)


def centred(seed: int, per_kind: int, *, is_plain: bool, style: str = "soft") -> list[Request]:
    """One large thing in the middle, on plain colours or in places; English."""
    rng = random.Random(f"{seed} centred {is_plain}")
    waiting = dict.fromkeys(KINDS, per_kind)
    scenes: list[Scene] = []
    while any(waiting.values()):
        scene = sample_scene(rng, "centred" if is_plain else "placed", rng.random() < 0.3, style)
        item = scene.items[0] if scene.items else None
        grounds = PLAIN if is_plain else tuple(LANDSCAPES)
        if item is None or not waiting[item.kind] or scene.place not in grounds:
            continue
        if item.position != "centre" or item.size != "medium":
            continue
        waiting[item.kind] -= 1
        scenes.append(scene)
    return _ask_all(f"{seed} en centred {is_plain}", scenes, "en")


def _ask_all(seed: str, scenes: list[Scene], language: Language) -> list[Request]:
    rng = random.Random(seed)
    return [Request(_ask(rng, scene, language), scene) for scene in scenes]


def _ask(rng: random.Random, scene: Scene, language: Language) -> str:
    """Held-out words that name everything, so that every attribute can be judged."""
    while True:
        one = caption(rng, scene, language, held_out=True)
        if scene.tags() - one.tags <= {"style:soft"}:
            return one.text
