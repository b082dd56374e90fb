"""Captions of scenes in many wordings, English and Chinese, telegraphic and plain.

A caption names some of what is true of its scene and nothing else; it carries the tags of what
it names. Filler and unknown words are strewn in, so that the text encoder learns to skip them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .places import PLAIN
from .scenes import item_tags
from .strangers import stranger
from .styles import STYLES
from .templates import (
    BARE_STYLES,
    CORNER_WORDS,
    HELD_OUT_RELATIONS,
    HELD_OUT_SENTENCES,
    HELD_OUT_STYLE_WORDS,
    NUMBERS,
    RELATIONS,
    SENTENCES,
    SIZE_WORDS,
    STRANGE_RELATIONS,
    STYLE_NAMES,
    STYLE_PATTERNS,
    STYLE_WORDS,
    Language,
    Relation,
)
from .things import THINGS
from .words import (
    ADJECTIVES,
    CHINESE_ADJECTIVES,
    CHINESE_PREFIXES,
    CHINESE_SUFFIXES,
    COLOUR_WORDS,
    LANDSCAPE_WORDS,
    NOUNS,
    PLAIN_WORDS,
    POSITION_WORDS,
    PREFIXES,
    SUFFIXES,
    Setting,
)

if TYPE_CHECKING:
    import random

    from .scenes import Item, Scene

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Caption:
    """A wording and the tags of what it names (of `Scene.tags`)."""

    text: str
    language: Language
    tags: frozenset[str]


def named_tags(rng: random.Random, scene: Scene) -> frozenset[str]:
    """Chooses what a caption says. What a prompt leaves out must stay what people expect."""
    tags: set[str] = set()
    natural_places: tuple[str, ...] = ()
    for item in scene.items:
        thing = THINGS[item.kind]
        natural_places = natural_places or thing.natural_places
        tags |= item_tags(item)
        if item.colour in thing.natural_colours and rng.random() < 0.25:
            tags.remove(f"{item.position}.colour:{item.colour}")
    if scene.place not in natural_places or rng.random() < 0.75:
        tags.add(f"place:{scene.place}")
    if scene.style in STYLE_WORDS:
        tags.add(f"style:{scene.style}")
    if scene.is_touching:
        tags.add("touching")
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
    writer = _Writer(rng, scene, tags, chosen, held_out)
    text = writer.telegraph() if not held_out and rng.random() < 0.22 else writer.sentence()
    return Caption(writer.finish(text), chosen, tags)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Words one scene; what is random comes from `rng`."""

    rng: random.Random
    scene: Scene
    tags: frozenset[str]
    language: Language
    held_out: bool

    def sentence(self) -> str:
        names_place = f"place:{self.scene.place}" in self.tags
        names_position = self._names_position()
        if not self.scene.items:
            return self._scenery(self._place(bare=self.rng.random() < 0.7))
        slots = {"place"} if names_place else set()
        if names_position:
            slots.add("position")
        sentences = (HELD_OUT_SENTENCES if self.held_out else SENTENCES)[self.language]
        pattern = self.rng.choice(sentences[frozenset(slots)])
        # Not too many: a caption that outgrows the tokens would not say what its tags say.
        for _ in range(2):
            if not self.held_out and self.rng.random() < 0.32:
                pattern = self._with_stranger(pattern)
        return pattern.format(
            thing=self._things(),
            place=self._place(bare=False),
            position=self._position(bare=False) if names_position else "",
        )

    def telegraph(self) -> str:
        """Bare words in any order: "snow, red cat, left"."""
        items = self.scene.items
        if len(items) > 1 or any(item.count > 1 for item in items):
            # Of several things the order says which is where, so they stay one phrase.
            parts = [self._things()]
        else:
            parts = [self._thing(item) for item in items]
        if f"place:{self.scene.place}" in self.tags or not self.scene.items:
            parts.append(self._place(bare=True))
        if self._names_position():
            parts.append(self._position(bare=True))
        self.rng.shuffle(parts)
        # Without commas a background's colour could be read as the thing's.
        is_loose = self.scene.place not in PLAIN and self.rng.random() < 0.4
        if is_loose:
            return " ".join(parts)
        return (", " if self.language == "en" else self.rng.choice((",", "，", "、"))).join(parts)

    def finish(self, text: str) -> str:
        """Names the style, and adds what people add."""
        if f"style:{self.scene.style}" in self.tags:
            text = self._in_style(text)
        return self._english(text) if self.language == "en" else self._chinese(text)

    def _english(self, text: str) -> str:
        rng = self.rng
        if not self.held_out and rng.random() < 0.25:
            text = f"{rng.choice(PREFIXES)} {text}"
        if rng.random() < 0.2:
            text = f"{text}, {rng.choice(SUFFIXES)}"
        if rng.random() < 0.2:
            text = _strew(rng, text.split(" "))
        if rng.random() < 0.2:
            text = text.capitalize()
        return text + "." if rng.random() < 0.1 else text

    def _chinese(self, text: str) -> str:
        rng = self.rng
        if not self.held_out and rng.random() < 0.25:
            text = rng.choice(CHINESE_PREFIXES) + text
        if rng.random() < 0.2:
            text = f"{text},{rng.choice(CHINESE_SUFFIXES)}"
        if rng.random() < 0.12:
            text = f"{stranger(rng, 'zh')},{text}"
        return text + "。" if rng.random() < 0.15 else text

    def _with_stranger(self, pattern: str) -> str:
        """Puts words that are not known before one of a pattern's slots."""
        i = self.rng.choice([i for i, letter in enumerate(pattern) if letter == "{"])
        if self.language == "zh":
            return f"{pattern[:i]}{stranger(self.rng, 'zh')}{pattern[i:]}"
        words = [stranger(self.rng, "en") for _ in range(self.rng.randint(1, 3))]
        return " ".join(filter(None, (pattern[:i].strip(), *words, pattern[i:])))

    def _fill_strangers(self, pattern: str) -> str:
        """Another word that means nothing for each {x}."""
        while "{x}" in pattern:
            pattern = pattern.replace("{x}", stranger(self.rng, self.language), 1)
        return pattern

    def _in_style(self, text: str) -> str:
        if self.held_out:
            name = STYLE_NAMES[self.scene.style][self.language]
            return HELD_OUT_STYLE_WORDS[self.language].format(text, style=name)
        if self.rng.random() < 0.6:
            return self.rng.choice(STYLE_WORDS[self.scene.style][self.language]).format(text)
        name = self.rng.choice(BARE_STYLES[self.scene.style][self.language])
        pattern = self.rng.choice(STYLE_PATTERNS[self.language])
        return self._fill_strangers(pattern).format(text, style=name)

    def _scenery(self, place: str) -> str:
        if self.language == "en":
            return self.rng.choice(("{}", "{}", "{}, landscape", "nothing but {}")).format(place)
        return self.rng.choice(("{}", "{}", "{},风景", "只有{}")).format(place.removeprefix("在"))

    def _things(self) -> str:
        items = self.scene.items
        if len(items) == 1:
            return self._counted(items[0])
        names = dict(zip("abc", map(self._counted, items), strict=False))
        relations = HELD_OUT_RELATIONS if self.held_out else RELATIONS
        kind = relation(self.scene)
        if not self.held_out and self.rng.random() < 0.25:
            pattern = self.rng.choice(STRANGE_RELATIONS[self.language][kind])
            return self._fill_strangers(pattern).format(**names)
        return self.rng.choice(relations[self.language][kind]).format(**names)

    def _counted(self, item: Item) -> str:
        thing = self._thing(item)
        if self.language == "zh":
            number = NUMBERS[item.count]["zh"] if item.count > 1 else "一"
            if item.count == 1 and self.rng.random() < 0.2:
                return thing
            return f"{number}{NOUNS[item.kind].measure}{thing}"
        if item.count > 1:
            return f"{NUMBERS[item.count]['en']} {thing}"
        return _with_article(self.rng, thing)

    def _thing(self, item: Item) -> str:
        with_colour = f"{item.position}.colour:{item.colour}" in self.tags
        # People mix their languages; the sentence stays in one.
        mixes = not self.held_out and item.count == 1 and self.rng.random() < 0.03
        is_english = (self.language == "en") != mixes
        write = self._english_thing if is_english else self._chinese_thing
        return write(item, with_colour)

    def _english_thing(self, item: Item, with_colour: bool) -> str:
        rng, noun = self.rng, NOUNS[item.kind]
        words = [rng.choice(noun.plural if item.count > 1 else noun.english)]
        if with_colour:
            words.insert(0, rng.choice(COLOUR_WORDS[item.colour][0]))
        if rng.random() < 0.12:
            words.insert(0, rng.choice(ADJECTIVES))
        if item.size != "medium":
            words.insert(0, rng.choice(SIZE_WORDS[item.size]["en"]))
        return " ".join(words)

    def _chinese_thing(self, item: Item, with_colour: bool) -> str:
        rng = self.rng
        noun = rng.choice(NOUNS[item.kind].chinese)
        if item.size != "medium":
            noun = rng.choice(SIZE_WORDS[item.size]["zh"]) + noun
        if rng.random() < 0.1:
            noun = rng.choice(CHINESE_ADJECTIVES) + noun
        if not with_colour:
            return noun
        colour = rng.choice(COLOUR_WORDS[item.colour][1])
        if len(colour) > 1 and rng.random() < 0.7:
            colour += "的"
        return colour + noun

    def _names_position(self) -> bool:
        items = self.scene.items
        if len(items) != 1 or items[0].count > 1:
            return False
        # What is in the middle is seldom said to be; it then is all the same.
        return items[0].position != "centre" or _chance(self.scene.seed, 0.15)

    def _position(self, *, bare: bool) -> str:
        position = self.scene.items[0].position
        if position in CORNER_WORDS:
            return self.rng.choice(CORNER_WORDS[position][self.language])
        return _pick(self.rng, POSITION_WORDS[position], self.language, bare)

    def _place(self, *, bare: bool) -> str:
        name = self.scene.place
        if name not in PLAIN:
            return _pick(self.rng, LANDSCAPE_WORDS[name], self.language, bare)
        words = COLOUR_WORDS[name][0 if self.language == "en" else 1]
        if self.language == "zh":
            words = tuple(word for word in words if len(word) > 1)
        return _pick(self.rng, PLAIN_WORDS, self.language, bare).format(self.rng.choice(words))


def relation(scene: Scene) -> Relation:
    """How a scene's two or three things stand to one another."""
    if len(scene.items) == 3:
        return "three"
    if scene.is_touching:
        return "on"
    return "above" if scene.items[0].position == "top" else "beside"


def _chance(seed: int, share: float) -> bool:
    """The same answer each time for one scene."""
    return seed % 997 < share * 997


def _pick(rng: random.Random, setting: Setting, language: Language, bare: bool) -> str:
    if language == "en":
        return rng.choice(setting.bare if bare else setting.phrases)
    return rng.choice(setting.chinese_bare if bare else setting.chinese_phrases)


def _with_article(rng: random.Random, text: str) -> str:
    chance = rng.random()
    if chance < 0.15:
        return text
    if chance < 0.25:
        return f"the {text}"
    return _article(text)


def _article(text: str) -> str:
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _strew(rng: random.Random, words: list[str]) -> str:
    """Puts a few words without meaning here at the ends, never inside a phrase's core."""
    for _ in range(rng.randint(1, 3)):
        words.insert(rng.choice((0, len(words))), stranger(rng, "en"))
    return " ".join(words)


def plain_caption(scene: Scene, language: Language = "en") -> str:
    """The full description in the plainest words, for measuring."""
    names = dict(zip("abc", (_plain_thing(item, language) for item in scene.items), strict=False))
    if len(scene.items) > 1:
        thing = RELATIONS[language][relation(scene)][0].format(**names)
    else:
        thing = names.get("a", "")
    position = scene.items[0].position if len(scene.items) == 1 else "centre"
    where = "" if position == "centre" else _plain_position(position, language)
    settings = LANDSCAPE_WORDS.get(scene.place, PLAIN_WORDS)
    column = 0 if language == "en" else 1
    ground = COLOUR_WORDS[scene.place][column][0] if scene.place in PLAIN else ""
    if language == "en":
        text = " ".join(filter(None, (thing, where, settings.phrases[0].format(ground))))
    else:
        text = f"{thing}{settings.chinese_phrases[0].format(ground)}" + (where and f",{where}")
    if scene.style in STYLE_WORDS:
        text = STYLE_WORDS[scene.style][language][0].format(text)
    return text


def _plain_position(position: str, language: Language) -> str:
    if position in CORNER_WORDS:
        return CORNER_WORDS[position][language][0]
    setting = POSITION_WORDS[position]
    return (setting.phrases if language == "en" else setting.chinese_phrases)[0]


def _plain_thing(item: Item, language: Language) -> str:
    noun, column = NOUNS[item.kind], 0 if language == "en" else 1
    size = SIZE_WORDS[item.size][language][0] if item.size != "medium" else ""
    colour = COLOUR_WORDS[item.colour][column][0]
    if language == "en":
        name = noun.plural[0] if item.count > 1 else noun.english[0]
        text = " ".join(filter(None, (size, colour, name)))
        return f"{NUMBERS[item.count]['en']} {text}" if item.count > 1 else _article(text)
    number = NUMBERS[item.count]["zh"] if item.count > 1 else "一"
    return f"{number}{noun.measure}{colour}的{size}{noun.chinese[0]}"


assert set(STYLE_WORDS) | {STYLES[0]} == set(STYLES), "every style but the first has words"
