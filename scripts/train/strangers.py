"""Words that name nothing that the model knows: it must learn to pass over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .templates import (
    BARE_STYLES,
    NUMBERS,
    RELATIONS,
    SENTENCES,
    SIZE_WORDS,
    STYLE_PATTERNS,
    STYLE_WORDS,
)
from .words import (
    CHINESE_STRANGERS,
    COLOUR_WORDS,
    LANDSCAPE_WORDS,
    NOUNS,
    PLAIN_WORDS,
    POSITION_WORDS,
    STRANGERS,
)

if TYPE_CHECKING:
    import random

    from .templates import Language

_KNOWN_WORDS: Final = tuple(
    sorted(
        {
            word
            for phrase in (
                *(name for noun in NOUNS.values() for name in noun.english + noun.plural),
                *(english for words, _ in COLOUR_WORDS.values() for english in words),
                *(word for setting in LANDSCAPE_WORDS.values() for word in setting.bare),
                *(word for setting in POSITION_WORDS.values() for word in setting.bare),
                *(word for words in SIZE_WORDS.values() for word in words["en"]),
                *(word for words in BARE_STYLES.values() for word in words["en"]),
                *(words["en"] for words in NUMBERS.values()),
            )
            for word in phrase.split()
            if len(word) > 2
        }
    )
)
_ENDINGS: Final = (
    "ate", "ed", "er", "ing", "ly", "ness", "on", "al", "est", "ment", "ive", "ous", "ise", "ty",
    "ain", "ect", "ow", "ile", "ant", "ure", "ish", "ford", "ton", "y", "o", "um", "in", "le",
)  # fmt: skip
_KNOWN_CHARACTERS: Final = frozenset(
    "".join(
        word
        for words in (
            *(noun.chinese for noun in NOUNS.values()),
            *(chinese for _, chinese in COLOUR_WORDS.values()),
            *(s.chinese_phrases + s.chinese_bare for s in LANDSCAPE_WORDS.values()),
            *(s.chinese_phrases + s.chinese_bare for s in POSITION_WORDS.values()),
            *(
                words["zh"]
                for words in (*SIZE_WORDS.values(), *STYLE_WORDS.values(), *BARE_STYLES.values())
            ),
            STYLE_PATTERNS["zh"],
            *(pattern for pattern in RELATIONS["zh"].values()),
            *(pattern for pattern in SENTENCES["zh"].values()),
            PLAIN_WORDS.chinese_phrases,
        )
        for word in words
    )
)


def stranger(rng: random.Random, language: Language) -> str:
    """A word without meaning, known to people or made up."""
    return strange_english(rng) if language == "en" else strange_chinese(rng)


def strange_english(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.55:
        return rng.choice(STRANGERS)
    return _lookalike(rng) if chance < 0.75 else _invent(rng)


def strange_chinese(rng: random.Random) -> str:
    """One to three characters that no word of ours has, or a word without meaning here."""
    if rng.random() < 0.2:
        return rng.choice(CHINESE_STRANGERS)
    letters: list[str] = []
    while len(letters) < rng.randint(1, 3):
        letter = chr(rng.randrange(0x4E00, 0x9FA6))
        if letter not in _KNOWN_CHARACTERS:
            letters.append(letter)
    return "".join(letters)


def _lookalike(rng: random.Random) -> str:
    """A word that only begins as one of ours: "create" is no crescent.

    The tokenizer cuts both into the same first piece.
    """
    while True:
        word = rng.choice(_KNOWN_WORDS)
        made = word[: rng.randint(2, max(2, len(word) - 1))] + rng.choice(_ENDINGS)
        if made not in _KNOWN_WORDS and made[:-1] not in _KNOWN_WORDS:
            return made


def _invent(rng: random.Random) -> str:
    """A pronounceable word that means nothing."""
    while True:
        word = "".join(
            rng.choice("bcdfghjklmnprstvwz")
            + rng.choice("aeiou")
            + rng.choice(("", "n", "r", "s", "l"))
            for _ in range(rng.randint(1, 3))
        )
        # "car" and "sun" are easily invented.
        if word not in _KNOWN_WORDS:
            return word
