"""Captions: they name only what is true of their scene, in both languages."""

from __future__ import annotations

import random

import pytest

from scripts.train.captions import LANGUAGES, caption, plain_caption
from scripts.train.places import PLAIN
from scripts.train.sampling import STAGES, Stage, sample_scene
from scripts.train.scenes import Item, Scene, single
from scripts.train.strangers import strange_english
from scripts.train.templates import (
    BARE_STYLES,
    CORNER_WORDS,
    NUMBERS,
    SIZE_WORDS,
    STYLE_NAMES,
    STYLE_WORDS,
    Language,
)
from scripts.train.text import SLOTS, TAGS
from scripts.train.things import THINGS
from scripts.train.words import COLOUR_WORDS, LANDSCAPE_WORDS, NOUNS, POSITION_WORDS


def words_of(tag: str, language: Language, held_out: bool) -> set[str]:
    """Every word that may stand for what a tag says; empty where its order says it."""
    column = 0 if language == "en" else 1
    attribute, value = tag.rsplit(".", 1)[-1].split(":")
    if attribute == "kind":
        noun = NOUNS[value]
        # People mix their languages: the other one's words count too.
        return {*noun.english, *noun.plural, *noun.chinese}
    if attribute == "colour":
        return {*COLOUR_WORDS[value][0], *COLOUR_WORDS[value][1]}
    if attribute == "size":
        return {*SIZE_WORDS[value]["en"], *SIZE_WORDS[value]["zh"]}
    if attribute == "count":
        return {NUMBERS[int(value)][language]}
    if attribute == "style":
        if held_out:
            return {STYLE_NAMES[value][language]}
        words = {p.replace("{}", "").strip(" ,:") for p in STYLE_WORDS[value][language]}
        return words | set(BARE_STYLES[value][language])
    if value in PLAIN:
        return set(COLOUR_WORDS[value][column])
    setting = LANDSCAPE_WORDS[value]
    if language == "en":
        return {*setting.phrases, *setting.bare}
    words = {*setting.chinese_phrases, *setting.chinese_bare}
    return words | {word.removeprefix("在") for word in words}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_caption_names_exactly_its_tags(language: Language, held_out: bool, stage: Stage) -> None:
    rng = random.Random(1)
    for _ in range(300):
        scene = sample_scene(rng, stage)
        one = caption(rng, scene, language, held_out)
        text = one.text.lower()

        assert one.tags <= scene.tags()
        for tag in one.tags - {"touching"}:
            if ".position:" in tag:
                continue  # Left out or said by order as often as by a word of its own.
            assert any(w in text for w in words_of(tag, language, held_out)), (tag, text)


def test_unnamed_colour_and_place_are_the_natural_ones() -> None:
    rng = random.Random(2)
    for _ in range(600):
        scene = sample_scene(rng, rng.choice(STAGES))
        tags = caption(rng, scene).tags
        for item in scene.items:
            if f"{item.position}.colour:{item.colour}" not in tags:
                assert item.colour in THINGS[item.kind].natural_colours
        if f"place:{scene.place}" not in tags:
            assert scene.place in THINGS[scene.items[0].kind].natural_places


@pytest.mark.parametrize("position", ["top left", "right"])
def test_position_off_the_middle_is_always_named(position: str) -> None:
    rng = random.Random(2)
    scene = single("cat", "red", "snow", position)  # type: ignore[arg-type]
    for _ in range(100):
        text = caption(rng, scene, "en").text.lower()
        words = CORNER_WORDS[position]["en"] if position in CORNER_WORDS else None
        words = words or POSITION_WORDS[position].phrases + POSITION_WORDS[position].bare
        assert any(word in text for word in words), text


def test_styles_and_numbers_are_always_named() -> None:
    rng = random.Random(4)
    scene = Scene((Item("boat", "red", count=3),), "sea", "crayon")
    for language in LANGUAGES:
        for _ in range(50):
            tags = caption(rng, scene, language).tags
            assert {"style:crayon", "centre.count:3"} <= tags


def test_caption_names_no_other_colour() -> None:
    rng = random.Random(3)
    for _ in range(300):
        scene = sample_scene(rng, "placed")
        text = caption(rng, scene, "zh").text.replace("粉红", "粉").replace("青绿", "青")
        named = {c for c, (_, chinese) in COLOUR_WORDS.items() if chinese[0] in text}
        assert named <= {scene.place, *(item.colour for item in scene.items)}


def test_held_out_wordings_are_not_used_in_training() -> None:
    rng = random.Random(5)
    texts = [caption(rng, sample_scene(rng, rng.choice(STAGES))).text for _ in range(3000)]

    for words in ("we see", "能看到", "挨着", "together with", "done as", "的画法", "resting on"):
        assert not any(words in text for text in texts), words


def test_same_seed_writes_the_same_captions() -> None:
    scene = single("boat", "red", "sea", "left")

    assert caption(random.Random(9), scene) == caption(random.Random(9), scene)


def test_every_tag_has_a_slot_of_the_text_encoder() -> None:
    rng = random.Random(6)
    tags = {
        tag for _ in range(1500) for tag in caption(rng, sample_scene(rng, rng.choice(STAGES))).tags
    }

    assert tags <= set(TAGS)
    assert len(SLOTS) == 10
    assert len(set(TAGS)) == len(TAGS)


@pytest.mark.parametrize(
    ("scene", "english", "chinese"),
    [
        (
            single("cat", "orange", "snow", "left"),
            "an orange cat on the left in the snow",
            "一只橙色的猫在雪地里,在左边",
        ),
        (
            single("fish", "blue", "white", style="crayon"),
            "a crayon drawing of a blue fish on a white background",
            "蜡笔画:一条蓝色的鱼在白色背景上",
        ),
        (
            Scene((Item("cat", "red", "left"), Item("dog", "blue", "right")), "night"),
            "a red cat and a blue dog at night",
            "一只红色的猫和一只蓝色的狗在夜晚",
        ),
        (
            Scene((Item("star", "white", count=3),), "desert"),
            "three white stars in the desert",
            "三颗白色的星星在沙漠里",
        ),
    ],
)
def test_plain_caption_says_everything_plainly(scene: Scene, english: str, chinese: str) -> None:
    assert plain_caption(scene) == english
    assert plain_caption(scene, "zh") == chinese


def test_no_stranger_is_a_word_of_ours() -> None:
    rng = random.Random(8)
    ours = {
        word
        for noun in NOUNS.values()
        for name in (*noun.english, *noun.plural)
        for word in name.split()
    } | {word for english, _ in COLOUR_WORDS.values() for word in english}
    strange = {strange_english(rng) for _ in range(20_000)}

    # These mean something of ours only beside "heart" and "balloon".
    assert strange & ours <= {"love", "air"}
    assert any(word.startswith("cre") for word in strange)
