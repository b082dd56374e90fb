"""Reads prompts: which words weigh how much, and where a new window of text begins.

`(cat)` weighs 1.1 times as much, `[cat]` as much less, `(cat:1.3)` what it says; brackets nest, and
`\\(` `\\)` `\\[` `\\]` `\\\\` stand for themselves. A bracket without its partner is text. BREAK as
a word of its own begins a new window. Any text is a prompt, read in one pass: nothing is looked at
more than a fixed number of times. Knows nothing of tokens or models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = 1.1
"""What a pair of brackets without a number changes."""
MAX_WEIGHT = 3.0
_MAX_PRODUCT = 1e6
"""Keeps the product of many nested brackets a number."""
_NUMBER = re.compile(r":[ \t]*([+-]?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6}))[ \t]*\Z")
_NUMBER_REACH = 24
"""How far before its closing bracket a weight may begin."""
_CLOSES = {")": "(", "]": "["}
_ESCAPED = frozenset("()[]\\")
_BREAK = re.compile(r"(?<!\S)BREAK(?!\S)")


@dataclass(frozen=True, slots=True)
class Span:
    """Words of one weight, 0 to `MAX_WEIGHT`."""

    text: str
    weight: float


Passage = tuple[Span, ...]


@dataclass(slots=True)
class _Piece:
    """A run of text, or one bracket; `factor` is what a bracket with a partner multiplies by."""

    text: str
    bracket: bool = False
    factor: float | None = None


def parse(prompt: str) -> tuple[Passage, ...]:
    """The passages between BREAKs (at least one), each as spans of equal weight; never raises."""
    pieces = list(_pieces(prompt))
    _match(pieces)
    passages: list[list[Span]] = [[]]
    for text, weight in _weighted(pieces):
        first, *rest = _BREAK.split(text)
        _extend(passages[-1], first, weight)
        for part in rest:
            passages.append([])
            _extend(passages[-1], part, weight)
    return tuple(tuple(passage) for passage in passages)


def _pieces(prompt: str) -> Iterator[_Piece]:
    """Cut at brackets that aren't escaped: text, bracket, text, bracket, ... text."""
    run: list[str] = []
    characters = iter(prompt)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            run.append(following if following in _ESCAPED else character + following)
        elif character in "()[]":
            yield _Piece("".join(run))
            yield _Piece(character, bracket=True)
            run = []
        else:
            run.append(character)
    yield _Piece("".join(run))


def _match(pieces: list[_Piece]) -> None:
    """Give each bracket that has a partner its factor; each is opened and closed at most once."""
    opened: list[_Piece] = []
    num_open = dict.fromkeys(_CLOSES.values(), 0)
    for before, piece in pairwise(pieces):
        if not piece.bracket:
            continue
        if piece.text in num_open:
            opened.append(piece)
            num_open[piece.text] += 1
        elif num_open[wanted := _CLOSES[piece.text]]:
            # Brackets of the other kind that are still open in between have no partner.
            while (opener := opened.pop()).text != wanted:
                num_open[opener.text] -= 1
            num_open[wanted] -= 1
            opener.factor = _factor(before, piece)
            piece.factor = opener.factor


def _factor(before: _Piece, closing: _Piece) -> float:
    """What a pair multiplies by; takes a number at the end of `before` away from its text."""
    if closing.text == "]":
        return 1 / STEP
    number = _NUMBER.search(before.text[-_NUMBER_REACH:])
    if number is None:
        return STEP
    before.text = before.text[: -len(number[0])]
    return max(0.0, float(number[1]))


def _weighted(pieces: list[_Piece]) -> Iterator[tuple[str, float]]:
    """Text with its weight; what has the same weight comes together."""
    weights = [1.0]
    run: list[str] = []
    for piece in pieces:
        if piece.factor is None:
            run.append(piece.text)
            continue
        yield "".join(run), min(weights[-1], MAX_WEIGHT)
        run = []
        if piece.text in "([":
            weights.append(min(weights[-1] * piece.factor, _MAX_PRODUCT))
        else:
            weights.pop()
    yield "".join(run), min(weights[-1], MAX_WEIGHT)


def _extend(spans: list[Span], text: str, weight: float) -> None:
    if text.strip():
        spans.append(Span(text, weight))
