"""The measures: right for what is right, wrong for what is wrong."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from scripts.train.drawings import scribble
from scripts.train.judge import CROP_PX, Judge, accuracy, crop
from scripts.train.measures import blob, edge_f1, middle_square, painted
from scripts.train.requests import centred, several, things
from scripts.train.sampling import is_held_out
from scripts.train.scenes import Item, Scene, draw_scene, loose_layout, single
from scripts.train.things import KINDS


def test_edges_of_a_scene_follow_its_own_lines_and_no_others() -> None:
    cat, boat = single("cat", "red", "white", seed=1), single("boat", "red", "white", seed=1)

    def drawn_loosely(scene: Scene) -> np.ndarray:
        return draw_scene(scene, arrange=loose_layout)

    assert edge_f1(drawn_loosely(cat), scribble(cat)) > 0.75
    assert edge_f1(drawn_loosely(cat), scribble(boat)) < 0.6
    # The same cat where its caption leads one to expect it.
    assert edge_f1(draw_scene(cat), scribble(cat)) < 0.6


def test_a_blank_picture_follows_no_line() -> None:
    blank = np.full((256, 256, 3), 255, np.uint8)

    assert edge_f1(blank, scribble(single("cat", "red", "white"))) == 0


def test_blob_is_where_the_thing_is() -> None:
    scene = single("house", "red", "yellow", "left", seed=4)
    _, where = blob(scene)
    found = painted(draw_scene(scene))

    assert (found & where).sum() / (found | where).sum() > 0.7
    assert np.nonzero(where)[1].mean() < 100


@pytest.mark.parametrize("language", ["en", "zh"])
def test_requests_name_everything_and_half_are_held_out(language: str) -> None:
    asked = things(0, 1, language)  # type: ignore[arg-type]

    assert sorted(r.scene.items[0].kind for r in asked) == sorted(KINDS)
    assert 8 < sum(is_held_out(r.scene) for r in asked) < 31
    assert len({r.prompt for r in asked}) == len(KINDS)


def test_both_languages_ask_for_the_same_scenes_in_their_own_words() -> None:
    english, chinese = things(0, 1, "en"), things(0, 1, "zh")

    assert [r.scene for r in english] == [r.scene for r in chinese]
    assert all(a.prompt != b.prompt for a, b in zip(english, chinese, strict=True))
    assert [r.scene for r in several(0, 6, 2, "en")] == [r.scene for r in several(0, 6, 2, "zh")]


def test_requests_for_several_have_as_many_things() -> None:
    assert {len(r.scene.items) for r in several(0, 6, 2, "en")} == {2}
    assert {r.scene.items[0].count > 1 for r in several(0, 6, 0, "zh")} == {True}
    assert {r.scene.items[0].position for r in centred(0, 1, is_plain=False)} == {"centre"}


def test_crops_show_what_lies_at_their_position() -> None:
    picture = torch.zeros(1, 3, 256, 256)
    picture[..., 200:, 200:] = 1.0

    assert crop(picture, "bottom right").shape == (1, 3, CROP_PX, CROP_PX)
    assert crop(picture, "bottom right").mean() > 0.1
    assert crop(picture, "top left").max() == 0


class FixedJudge(Judge):
    """Sees red cats on the left and blue dogs on the right, whatever is shown."""

    def crops(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(crops) // 9
        kinds = torch.zeros(9, count, len(KINDS) + 1)
        kinds[..., -1] = 9.0
        colours = torch.zeros(9, count, 12)
        for slot, kind, colour in ((1, "cat", 0), (2, "dog", 4)):
            kinds[slot, :, KINDS.index(kind)] = 20.0 - slot
            colours[slot, :, colour] = 5.0
        return kinds.flatten(0, 1), colours.flatten(0, 1)


def test_accuracy_asks_for_both_things_where_they_belong() -> None:
    cat, dog = Item("cat", "red", "left"), Item("dog", "blue", "right")
    swapped = (Item("dog", "blue", "left"), Item("cat", "red", "right"))
    scenes = [Scene((cat, dog), "snow"), Scene(swapped, "snow"), Scene((cat,), "snow")]
    pictures = [np.zeros((256, 256, 3), np.uint8)] * 3
    torch.manual_seed(random.Random(0).randrange(100))

    figures = accuracy(FixedJudge(), pictures, scenes)

    assert figures["two"] == figures["two_coloured"] == 0.5
    assert figures["kind"] == figures["colour"] == figures["position"] == 1.0


def test_the_middle_of_a_wide_picture_is_judged() -> None:
    wide = np.zeros((192, 288, 3), np.uint8)
    wide[:, 48:240] = 200

    square = middle_square(wide)

    assert square.shape == (256, 256, 3)
    assert (square == 200).all()
