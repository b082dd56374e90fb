"""Scenes: chosen and drawn deterministically, every kind visible, in frame and of its colour."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from scripts.train import styles
from scripts.train.brush import Brush, Canvas
from scripts.train.colours import COLOURS, distance
from scripts.train.places import PLACES, draw_place
from scripts.train.sampling import STAGES, is_held_out, sample_scene, stands_out
from scripts.train.scenes import (
    POSITIONS,
    Item,
    Position,
    Scene,
    draw_scene,
    loose_layout,
    single,
)
from scripts.train.styles import EXTRA_STYLES, SCRIBBLE, SILHOUETTE, STYLES
from scripts.train.things import KINDS, THINGS

if TYPE_CHECKING:
    from scripts.train.sampling import Stage

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


def redness(picture: np.ndarray) -> np.ndarray:
    """Where a picture is red, bool (height, width)."""
    return np.asarray((picture[..., 0].astype(int) - picture[..., 1]) > 60)


@pytest.mark.parametrize("position", POSITIONS)
def test_thing_lies_where_its_position_says(position: Position) -> None:
    ys, xs = np.nonzero(redness(draw_scene(single("circle", "red", "white", position, seed=3))))
    right, down = xs.mean() / 256 - 0.5, ys.mean() / 256 - 0.5

    assert (right < -0.1) == ("left" in position)
    assert (right > 0.1) == ("right" in position)
    assert (down < -0.1) == ("top" in position)
    assert (down > 0.1) == ("bottom" in position)
    assert xs.min() > 0
    assert xs.max() < 255


def test_sizes_differ_clearly() -> None:
    small, medium, big = (
        redness(draw_scene(Scene((Item("circle", "red", "centre", size),), "white"))).mean()
        for size in ("small", "medium", "big")
    )

    assert 2 * small < medium < 0.7 * big


@pytest.mark.parametrize("count", [2, 3, 4])
def test_row_has_as_many_things_as_it_says(count: int) -> None:
    mask = redness(draw_scene(Scene((Item("square", "red", count=count),), "white", "flat")))
    columns = np.flatnonzero(np.diff(mask.any(axis=0).astype(int)) == 1)
    rows = np.flatnonzero(np.diff(mask.any(axis=1).astype(int)) == 1)

    assert len(columns) * len(rows) == count


@pytest.mark.parametrize("seat", ["car", "house", "whale", "circle"])
def test_thing_on_another_touches_it(seat: str) -> None:
    upper, lower = Item("square", "red", "top"), Item(seat, "blue", "bottom")
    picture = draw_scene(Scene((upper, lower), "white", "flat", is_touching=True)).astype(int)
    red = np.nonzero(redness(picture.astype(np.uint8)).any(axis=1))[0]
    painted = (255 * 3 - picture.sum(axis=2)) > 60

    # From the upper thing's head down there is paint in every row: no gap.
    assert painted[red.min() : 200].any(axis=1).all()
    assert red.min() < 110


@pytest.mark.parametrize("style", [*STYLES, *EXTRA_STYLES, SCRIBBLE, SILHOUETTE])
def test_every_style_draws_any_shape_its_own_way(style: str) -> None:
    scene = Scene((Item("cat", "orange"),), "meadow", style, seed=1)

    assert draw_scene(scene, 192, 320).shape == (192, 320, 3)
    others = [s for s in (*STYLES, *EXTRA_STYLES) if s != style]
    picture = draw_scene(scene).astype(int)
    for other in others:
        apart = np.abs(draw_scene(Scene(scene.items, "meadow", other, seed=1)) - picture).mean()
        assert apart > 3, (style, other)


def test_scribble_is_white_lines_about_the_thing_alone() -> None:
    lines = draw_scene(Scene((Item("circle", "red"),), "street", SCRIBBLE, seed=2))
    _, xs = np.nonzero(lines[..., 0])

    assert set(np.unique(lines)) == {0, 255}
    assert 0.005 < (lines > 0).mean() < 0.15
    assert 30 < xs.min() < xs.max() < 226
    assert not lines[118:138, 118:138].any()


def test_lines_that_need_no_widening_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def divide_by_zero(*_: object) -> None:
        raise AssertionError("some versions of pillow end the process here")

    mask = np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8)
    monkeypatch.setattr("PIL.ImageFilter.MaxFilter", divide_by_zero)

    assert np.abs(styles._grown(mask, 0) - mask).max() < 1


def test_silhouette_leaves_the_inner_lines_out() -> None:
    items = (Item("robot", "red"),)
    whole, outer = (
        draw_scene(Scene(items, "white", style, seed=2))[..., 0] > 0
        for style in (SCRIBBLE, SILHOUETTE)
    )
    face = np.s_[60:100, 112:144]

    assert whole[face].any()
    assert not outer[face].any()
    assert outer.sum() > 500


def test_same_scene_draws_the_same_pixels() -> None:
    scene = single("cat", "orange", "snow", "left", style="watercolour", seed=7)
    other = single("cat", "orange", "snow", "left", style="watercolour", seed=8)

    assert np.array_equal(draw_scene(scene), draw_scene(scene))
    assert not np.array_equal(draw_scene(scene), draw_scene(other))


@pytest.mark.parametrize("stage", STAGES)
def test_same_seed_samples_the_same_scenes(stage: Stage) -> None:
    first = [sample_scene(random.Random(4), stage) for _ in range(3)]

    assert first == [sample_scene(random.Random(4), stage) for _ in range(3)]


@pytest.mark.parametrize("stage", STAGES)
def test_training_scenes_are_visible_and_never_held_out(stage: Stage) -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng, stage) for _ in range(2500)]

    for scene in scenes:
        assert all(stands_out(item.colour, scene.place) for item in scene.items)
        assert not is_held_out(scene)
    assert {item.kind for scene in scenes for item in scene.items} == set(KINDS)
    if stage != "centred":
        assert {scene.place for scene in scenes} == set(PLACES)
    assert {scene.style for scene in scenes} == set(STYLES)


def test_centred_stage_is_plain_and_centred() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng, "centred") for _ in range(300)]

    assert {item for scene in scenes for item in scene.items if item.position != "centre"} == set()
    assert "meadow" not in {scene.place for scene in scenes}


def test_composed_stage_has_rows_pairs_stacks_and_threes() -> None:
    rng = random.Random(0)
    scenes = [sample_scene(rng, "composed") for _ in range(400)]
    layouts = {tuple(item.position for item in scene.items) for scene in scenes}

    assert layouts == {
        ("centre",), ("left", "right"), ("top", "bottom"), ("left", "centre", "right"),
    }  # fmt: skip
    assert {item.count for scene in scenes for item in scene.items} == {1, 2, 3, 4}
    assert any(scene.is_touching for scene in scenes)


def test_held_out_scenes_are_there_for_one_thing_and_for_two() -> None:
    rng = random.Random(0)
    for stage in ("placed", "composed"):
        scene = sample_scene(rng, stage, held_out=True)
        assert is_held_out(scene)


@pytest.mark.parametrize("place", PLACES)
def test_place_covers_the_canvas_in_any_aspect(place: str) -> None:
    canvas = Canvas(np.full((192, 320, 3), -1.0, dtype=np.float32))
    draw_place(canvas, place, random.Random(0))

    assert canvas.pixels.min() >= 0
    assert canvas.image().shape == (192, 320, 3)


def test_a_loose_layout_moves_things_within_the_picture() -> None:
    scenes = [single("cat", "red", "snow", seed=seed) for seed in range(60)]
    spots = [loose_layout(scene)[0] for scene in scenes]

    assert loose_layout(scenes[0]) == loose_layout(scenes[0])
    for spot in spots:
        assert abs(spot.right) + spot.extent <= 0.5 + 1e-9
        assert abs(spot.down) + spot.extent <= 0.5 + 1e-9
    assert max(spot.right for spot in spots) > 0.12
    assert min(spot.down for spot in spots) < -0.12
    assert max(spot.extent for spot in spots) > 1.6 * min(spot.extent for spot in spots)
