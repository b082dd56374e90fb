"""Captions of scenes in many wordings, English and Chinese, telegraphic and plain.

A caption names some of what is true of its scene and nothing else; it carries the tags of what
it names. Filler and unknown words are strewn in, so that the text encoder learns to skip them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .places import PLAIN
from .things import THINGS
from .words import (
    ADJECTIVES,
    CHINESE_ADJECTIVES,
    CHINESE_PREFIXES,
    CHINESE_STRANGERS,
    CHINESE_SUFFIXES,
    COLOUR_WORDS,
    LANDSCAPE_WORDS,
    NOUNS,
    PLAIN_WORDS,
    POSITION_WORDS,
    PREFIXES,
    STRANGERS,
    SUFFIXES,
    Setting,
)

if TYPE_CHECKING:
    import random

    from .scenes import Scene

Language = Literal["en", "zh"]

# Slots: {thing}, {place}, {position}; a template is used where it has exactly the slots at hand.
_ENGLISH: Final[dict[frozenset[str], tuple[str, ...]]] = {
    frozenset(): ("{thing}", "{thing}", "one {bare_thing}", "the {bare_thing}"),
    frozenset({"place"}): (
        "{thing} {place}", "{thing} {place}", "{place}, {thing}", "{thing}, {place}",
        "{thing} standing {place}", "{thing} that is {place}", "{place} there is {thing}",
        "{thing} floating {place}", "the {bare_thing} is {place}",
    ),
    frozenset({"position"}): (
        "{thing} {position}", "{position} {thing}", "{thing}, {position}", "{position}, {thing}",
        "{thing} placed {position}",
    ),
    frozenset({"place", "position"}): (
        "{thing} {position} {place}", "{thing} {place}, {position}", "{place}, {thing} {position}",
        "{position} {thing} {place}", "{position}, {thing} {place}", "{thing} {place} {position}",
        "{thing}, {place}, {position}", "{place} there is {thing} {position}",
    ),
}  # fmt: skip
_CHINESE: Final[dict[frozenset[str], tuple[str, ...]]] = {
    frozenset(): ("{thing}", "{bare_thing}", "有{thing}"),
    frozenset({"place"}): (
        "{thing}{place}", "{place},{thing}", "{place}有{thing}", "{place}的{thing}",
        "{thing},{place}",
    ),
    frozenset({"position"}): ("{thing}{position}", "{position}有{thing}", "{position}的{thing}"),
    frozenset({"place", "position"}): (
        "{place}有{thing},{position}", "{thing}{position},{place}", "{thing}{place},{position}",
        "{place},{thing}{position}", "{position}有{thing},{place}", "{place},{position}有{thing}",
    ),
}  # fmt: skip
# Wordings that training never sees.
_HELD_OUT: Final[dict[Language, dict[frozenset[str], tuple[str, ...]]]] = {
    "en": {
        frozenset(): ("could you create {thing}",),
        frozenset({"place"}): ("{place} we see {thing}", "look at {thing}, seen {place}"),
        frozenset({"position"}): ("{position} we see {thing}",),
        frozenset({"place", "position"}): (
            "{place}, {position}, we see {thing}", "could you put {thing} {position}, {place}",
        ),
    },
    "zh": {
        frozenset(): ("能不能画出{thing}",),
        frozenset({"place"}): ("{place}能看到{thing}", "{thing}出现{place}"),
        frozenset({"position"}): ("{position}能看到{thing}",),
        frozenset({"place", "position"}): ("{place}能看到{thing}{position}",),
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Caption:
    text: str
    language: Language
    tags: frozenset[str]


def named_tags(rng: random.Random, scene: Scene) -> frozenset[str]:
    """Chooses what a caption says. What a prompt leaves out must stay what people expect."""
    thing = THINGS[scene.kind]
    tags = {f"kind:{scene.kind}"}
    if scene.colour not in thing.natural_colours or rng.random() < 0.75:
        tags.add(f"colour:{scene.colour}")
    if scene.place not in thing.natural_places or rng.random() < 0.75:
        tags.add(f"place:{scene.place}")
    if scene.position != "centre" or rng.random() < 0.2:
        tags.add(f"position:{scene.position}")
    return frozenset(tags)


def caption(
    rng: random.Random,
    scene: Scene,
    language: Language | None = None,
    held_out: bool = False,
) -> Caption:
    """One wording of the scene; `held_out` takes those that training never sees."""
    chosen: Language = language or ("zh" if rng.random() < 0.4 else "en")
    tags = named_tags(rng, scene)
    write = _write_english if chosen == "en" else _write_chinese
    if held_out or rng.random() < 0.72:
        text = _fill_template(rng, scene, tags, chosen, held_out)
    else:
        text = _telegraph(rng, scene, tags, chosen)
    return Caption(write(rng, text, held_out), chosen, tags)


def _pick(rng: random.Random, setting: Setting, language: Language, bare: bool) -> str:
    if language == "en":
        return rng.choice(setting.bare if bare else setting.phrases)
    return rng.choice(setting.chinese_bare if bare else setting.chinese_phrases)


def _place(rng: random.Random, name: str, language: Language, bare: bool) -> str:
    if name not in PLAIN:
        return _pick(rng, LANDSCAPE_WORDS[name], language, bare)
    words = COLOUR_WORDS[name][0 if language == "en" else 1]
    if language == "zh":
        words = tuple(word for word in words if len(word) > 1)
    return _pick(rng, PLAIN_WORDS, language, bare).format(rng.choice(words))


def _english_thing(rng: random.Random, scene: Scene, with_colour: bool) -> str:
    words = [rng.choice(NOUNS[scene.kind].english)]
    colour = rng.choice(COLOUR_WORDS[scene.colour][0])
    after = with_colour and rng.random() < 0.06
    if with_colour and not after:
        words.insert(0, colour)
    if rng.random() < 0.15:
        words.insert(0, rng.choice(ADJECTIVES))
    text = " ".join(words)
    return f"{text} that is {colour}" if after else text


def _with_article(rng: random.Random, text: str) -> str:
    chance = rng.random()
    if chance < 0.15:
        return text
    if chance < 0.25:
        return f"the {text}"
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _chinese_thing(rng: random.Random, scene: Scene, with_colour: bool) -> str:
    noun = rng.choice(NOUNS[scene.kind].chinese)
    if rng.random() < 0.12:
        noun = rng.choice(CHINESE_ADJECTIVES) + noun
    if not with_colour:
        return noun
    colour = rng.choice(COLOUR_WORDS[scene.colour][1])
    if len(colour) > 1 and rng.random() < 0.7:
        colour += "的"
    return colour + noun


def _fill_template(
    rng: random.Random, scene: Scene, tags: frozenset[str], language: Language, held_out: bool
) -> str:
    attributes = {tag.split(":")[0] for tag in tags}
    shared = _ENGLISH if language == "en" else _CHINESE
    templates = _HELD_OUT[language] if held_out else shared
    template = rng.choice(templates[frozenset(attributes & {"place", "position"})])
    with_colour = "colour" in attributes
    if language == "en":
        bare_thing = _english_thing(rng, scene, with_colour)
        thing = _with_article(rng, bare_thing)
    else:
        bare_thing = _chinese_thing(rng, scene, with_colour)
        thing = f"一{NOUNS[scene.kind].measure}{bare_thing}"
    return template.format(
        thing=thing,
        bare_thing=bare_thing,
        place=_place(rng, scene.place, language, bare=False),
        position=_pick(rng, POSITION_WORDS[scene.position], language, bare=False),
    )


def _telegraph(rng: random.Random, scene: Scene, tags: frozenset[str], language: Language) -> str:
    """Bare words in any order: "snow, red cat, left"."""
    attributes = {tag.split(":")[0] for tag in tags}
    thing = _english_thing if language == "en" else _chinese_thing
    parts = [thing(rng, scene, "colour" in attributes)]
    if "place" in attributes:
        parts.append(_place(rng, scene.place, language, bare=True))
    if "position" in attributes:
        parts.append(_pick(rng, POSITION_WORDS[scene.position], language, bare=True))
    rng.shuffle(parts)
    # Without commas a background's colour could be read as the thing's.
    is_loose = scene.place not in PLAIN and rng.random() < 0.4
    if language == "en":
        return (" " if is_loose else ", ").join(parts)
    return (" " if is_loose else rng.choice((",", "，", "、"))).join(parts)


def _write_english(rng: random.Random, text: str, held_out: bool) -> str:
    if not held_out and rng.random() < 0.3:
        text = f"{rng.choice(PREFIXES)} {text}"
    if rng.random() < 0.2:
        text = f"{text}, {rng.choice(SUFFIXES)}"
    if rng.random() < 0.15:
        text = _strew(rng, text.split(" "), STRANGERS)
    if rng.random() < 0.2:
        text = text.capitalize()
    return text + "." if rng.random() < 0.1 else text


def _write_chinese(rng: random.Random, text: str, held_out: bool) -> str:
    if not held_out and rng.random() < 0.3:
        text = rng.choice(CHINESE_PREFIXES) + text
    if rng.random() < 0.2:
        text = f"{text},{rng.choice(CHINESE_SUFFIXES)}"
    if rng.random() < 0.12:
        text = f"{rng.choice(CHINESE_STRANGERS)},{text}"
    return text + "。" if rng.random() < 0.15 else text


def _strew(rng: random.Random, words: list[str], strangers: tuple[str, ...]) -> str:
    """Puts one or two words without meaning here at the ends, never inside a phrase's core."""
    for _ in range(rng.randint(1, 2)):
        word = rng.choice(strangers) if rng.random() < 0.6 else _invent(rng)
        words.insert(rng.choice((0, len(words))), word)
    return " ".join(words)


def _invent(rng: random.Random) -> str:
    """A pronounceable word that means nothing."""
    syllables = rng.randint(1, 3)
    return "".join(
        rng.choice("bcdfghjklmnprstvwz")
        + rng.choice("aeiou")
        + rng.choice(("", "n", "r", "s", "l"))
        for _ in range(syllables)
    )


def plain_caption(scene: Scene, language: Language = "en") -> str:
    """The full description in the plainest words, for measuring."""
    settings = LANDSCAPE_WORDS.get(scene.place, PLAIN_WORDS)
    position = POSITION_WORDS[scene.position]
    is_centred = scene.position == "centre"
    if language == "en":
        thing = f"{COLOUR_WORDS[scene.colour][0][0]} {NOUNS[scene.kind].english[0]}"
        place = settings.phrases[0].format(scene.place)
        where = "" if is_centred else f" {position.phrases[0]}"
        return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}{where} {place}"
    noun = NOUNS[scene.kind]
    thing = f"一{noun.measure}{COLOUR_WORDS[scene.colour][1][0]}的{noun.chinese[0]}"
    ground = COLOUR_WORDS[scene.place][1][0] if scene.place in PLAIN else ""
    where = "" if is_centred else f",{position.chinese_phrases[0]}"
    return f"{thing}{settings.chinese_phrases[0].format(ground)}{where}"
