"""The part of the model card that says which words the model knows, written from those words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .colours import COLOURS
from .places import LANDSCAPES, PLAIN
from .styles import STYLES
from .templates import BARE_STYLES, CORNER_WORDS, NUMBERS, RELATIONS, SIZE_WORDS
from .things import KINDS
from .words import COLOUR_WORDS, LANDSCAPE_WORDS, NOUNS, POSITION_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .templates import Language, Relation

_FIRST: Final = "Words in brackets mean the same.\n"
_AFTER: Final = "\n\nLeft out, "
_RELATIONS: Final[dict[Relation, str]] = {
    "beside": "Two things side by side",
    "above": "One above the other",
    "on": "One on the other",
    "three": "Three in a row",
}


def refresh(card: str) -> str:
    """The card with its list of words as they are now; what people wrote around it stays."""
    before, opening, rest = card.partition(_FIRST)
    _, closing, after = rest.partition(_AFTER)
    assert closing, f"the card must hold {_FIRST!r} and, after its list, {_AFTER.strip()!r}"
    return f"{before}{opening}\n{knowledge()}{closing}{after}"


def knowledge() -> str:
    """Every word for every thing, colour, place, position, size, number, style and relation."""
    lines = [
        f"- **Things:** {'; '.join(_thing(kind) for kind in KINDS)}",
        f"- **Colours:** {'; '.join(_colour(name) for name in COLOURS)}",
        '- **Plain backgrounds** ("on a blue background", "蓝色背景"): ' + "; ".join(PLAIN),
        "- **Places:**",
        *(f"  - {name}: {_setting(name)}" for name in LANDSCAPES),
        "- **Positions:**",
        *(f"  - {name}: {_setting(name)}" for name in POSITION_WORDS),
        *(f"  - {name}: {_both(words)}" for name, words in CORNER_WORDS.items()),
        f"- **Sizes:** {'; '.join(_named(name, SIZE_WORDS[name]) for name in SIZE_WORDS)}",
        f"- **Numbers:** {'; '.join('{en} ({zh})'.format(**words) for words in NUMBERS.values())}",
        f"- **Styles:** {'; '.join(_named(name, BARE_STYLES[name]) for name in STYLES[1:])}",
        *(f"- **{title}:** {_relation(name)}" for name, title in _RELATIONS.items()),
    ]
    return "\n".join(lines)


def _thing(kind: str) -> str:
    name, *others = dict.fromkeys(NOUNS[kind].english)
    return f"{name} ({', '.join(dict.fromkeys((*others, *NOUNS[kind].chinese)))})"


def _colour(name: str) -> str:
    english, chinese = COLOUR_WORDS[name]
    return f"{name} ({', '.join(w for w in dict.fromkeys((*english, *chinese)) if w != name)})"


def _setting(name: str) -> str:
    words = LANDSCAPE_WORDS[name] if name in LANDSCAPE_WORDS else POSITION_WORDS[name]
    return " · ".join(
        ", ".join(dict.fromkeys(one))
        for one in (words.phrases + words.bare, words.chinese_phrases + words.chinese_bare)
    )


def _both(words: dict[Language, tuple[str, ...]]) -> str:
    return " · ".join(", ".join(words[language]) for language in words)


def _named(name: str, words: dict[Language, tuple[str, ...]]) -> str:
    return f"{name} ({', '.join(dict.fromkeys(words['en'] + words['zh']))})"


def _relation(name: Relation) -> str:
    return " · ".join(
        (
            ", ".join(f'"{pattern}"' for pattern in _patterns(RELATIONS["en"][name])),
            ", ".join(_patterns(RELATIONS["zh"][name])),
        )
    )


def _patterns(patterns: Iterable[str]) -> list[str]:
    return [p.format(a="A", b="B", c="C") for p in dict.fromkeys(patterns)]
