"""Captions: they name only what is true of their scene, in both languages."""

from __future__ import annotations

import random

import pytest

from scripts.train.captions import Language, caption, plain_caption
from scripts.train.places import PLAIN
from scripts.train.scenes import Scene, sample_scene
from scripts.train.things import THINGS
from scripts.train.words import COLOUR_WORDS, LANDSCAPE_WORDS, NOUNS, POSITION_WORDS

LANGUAGES: tuple[Language, ...] = ("en", "zh")


def words_of(scene: Scene, attribute: str, language: Language) -> set[str]:
    """Every word that may stand for one attribute of the scene."""
    column = 0 if language == "en" else 1
    if attribute == "kind":
        noun = NOUNS[scene.kind]
        return set(noun.english if language == "en" else noun.chinese)
    if attribute == "colour":
        return set(COLOUR_WORDS[scene.colour][column])
    if attribute == "place" and scene.place in PLAIN:
        return set(COLOUR_WORDS[scene.place][column])
    table = LANDSCAPE_WORDS[scene.place] if attribute == "place" else POSITION_WORDS[scene.position]
    if language == "en":
        return {*table.phrases, *table.bare}
    return {*table.chinese_phrases, *table.chinese_bare}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("held_out", [False, True])
def test_caption_names_exactly_its_tags(language: Language, held_out: bool) -> None:
    rng = random.Random(1)
    for _ in range(400):
        scene = sample_scene(rng, "placed")
        one = caption(rng, scene, language, held_out)
        text = one.text.lower()

        assert one.tags <= scene.tags()
        for tag in one.tags:
            attribute = tag.split(":")[0]
            assert any(w in text for w in words_of(scene, attribute, language)), (tag, text)


def test_unnamed_colour_and_place_are_the_natural_ones() -> None:
    rng = random.Random(2)
    for _ in range(500):
        scene = sample_scene(rng, "placed")
        tags = caption(rng, scene).tags
        if f"colour:{scene.colour}" not in tags:
            assert scene.colour in THINGS[scene.kind].natural_colours
        if f"place:{scene.place}" not in tags:
            assert scene.place in THINGS[scene.kind].natural_places
        if scene.position != "centre":
            assert f"position:{scene.position}" in tags


def test_caption_names_no_other_colour() -> None:
    rng = random.Random(3)
    for _ in range(300):
        scene = sample_scene(rng, "placed")
        text = caption(rng, scene, "zh").text.replace("粉红", "粉")
        named = {c for c, (_, chinese) in COLOUR_WORDS.items() if chinese[0] in text}
        assert named <= {scene.colour, scene.place, "green"}


def test_held_out_wordings_are_not_used_in_training() -> None:
    rng = random.Random(5)
    texts = [caption(rng, sample_scene(rng, "placed")).text for _ in range(2000)]

    assert not any("we see" in text or "能看到" in text for text in texts)


def test_same_seed_writes_the_same_captions() -> None:
    scene = Scene("boat", "red", "sea", "left")

    assert caption(random.Random(9), scene) == caption(random.Random(9), scene)


def test_plain_caption_says_everything_plainly() -> None:
    assert plain_caption(Scene("cat", "orange", "snow", "left")) == (
        "an orange cat on the left in the snow"
    )
    assert plain_caption(Scene("fish", "blue", "white", "centre")) == (
        "a blue fish on a white background"
    )
    assert plain_caption(Scene("cat", "red", "night", "centre"), "zh") == "一只红色的猫在夜晚"
