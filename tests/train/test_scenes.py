"""Scenes: chosen and drawn deterministically, every kind visible, in frame and of its colour."""

from __future__ import annotations

import random

import numpy as np
import pytest

from scripts.train.brush import Brush, Canvas
from scripts.train.colours import COLOURS, distance
from scripts.train.places import PLACES, draw_place
from scripts.train.scenes import (
    POSITIONS,
    Scene,
    draw_scene,
    is_held_out,
    sample_scene,
    stands_out,
)
from scripts.train.things import KINDS, THINGS

KEY = (255.0, 0.0, 255.0)


def painted_mask(kind: str, colour: str) -> np.ndarray:
    """Where a thing alone leaves paint, bool (256, 256)."""
    canvas = Canvas.blank(256, 256)
    canvas.pixels[:] = KEY
    THINGS[kind].paint(Brush(canvas, 128.0, 128.0, 87.0), COLOURS[colour])
    return np.abs(canvas.pixels - np.asarray(KEY)).sum(axis=2) > 8


@pytest.mark.parametrize("kind", KINDS)
def test_thing_fills_its_unit_square_and_stays_in_frame(kind: str) -> None:
    mask = painted_mask(kind, "blue")

    assert 0.08 < mask.mean() < 0.6
    assert not mask[:18].any()
    assert not mask[-18:].any()
    assert not mask[:, :18].any()
    assert not mask[:, -18:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_good_part_of_a_thing_has_the_said_colour(kind: str) -> None:
    for colour in COLOURS:
        canvas = Canvas.blank(256, 256)
        THINGS[kind].paint(Brush(canvas, 128.0, 128.0, 87.0), COLOURS[colour])
        pixels = canvas.pixels[painted_mask(kind, colour)]
        nearest = [
            min((distance(COLOURS[name], (r, g, b)), name) for name in COLOURS)[1]
            for r, g, b in pixels[::97].tolist()
        ]
        assert nearest.count(colour) > 0.2 * len(nearest), colour


@pytest.mark.parametrize("position", POSITIONS)
def test_thing_lies_where_its_position_says(position: str) -> None:
    with_thing = draw_scene(Scene("circle", "red", "white", position, 3))  # type: ignore[arg-type]
    is_red = (with_thing[..., 0].astype(int) - with_thing[..., 1]) > 60
    ys, xs = np.nonzero(is_red)
    right, down = xs.mean() / 256 - 0.5, ys.mean() / 256 - 0.5

    assert (right < -0.1) == (position == "left")
    assert (right > 0.1) == (position == "right")
    assert (down < -0.1) == (position == "top")
    assert (down > 0.1) == (position == "bottom")
    assert xs.min() > 0
    assert xs.max() < 255


def test_same_scene_draws_the_same_pixels() -> None:
    scene = Scene("cat", "orange", "snow", "left", 7)

    assert np.array_equal(draw_scene(scene), draw_scene(scene))
    assert not np.array_equal(draw_scene(scene), draw_scene(Scene("cat", "orange", "snow", "left")))


def test_same_seed_samples_the_same_scenes() -> None:
    first = [sample_scene(random.Random(4), "placed") for _ in range(3)]

    assert first == [sample_scene(random.Random(4), "placed") for _ in range(3)]


def test_training_scenes_are_visible_and_never_held_out() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng, "placed") for _ in range(2000)]

    assert all(stands_out(scene.colour, scene.place) for scene in scenes)
    assert not any(is_held_out(scene.kind, scene.colour, scene.place) for scene in scenes)
    assert {scene.kind for scene in scenes} == set(KINDS)
    assert {scene.place for scene in scenes} == set(PLACES)


def test_centred_stage_is_plain_and_centred() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng, "centred") for _ in range(300)]

    assert {scene.position for scene in scenes} == {"centre"}
    assert "meadow" not in {scene.place for scene in scenes}


@pytest.mark.parametrize("place", PLACES)
def test_place_covers_the_canvas_in_any_aspect(place: str) -> None:
    canvas = Canvas(np.full((192, 320, 3), -1.0, dtype=np.float32))
    draw_place(canvas, place, random.Random(0))

    assert canvas.pixels.min() >= 0
    assert canvas.image().shape == (192, 320, 3)
