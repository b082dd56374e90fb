"""Operational transformation of plain text: `apply`, `transform`.

A delta walks over the old text in code points: n > 0 keeps n, n < 0 deletes -n, a string is
inserted there; what is left at the end is kept. The classic of the method is Ellis and
Gibbs 1989; as in Jupiter (Nichols et al. 1995) a server orders the edits, so transforming
one edit against one other (TP1) is all that is needed. Knows nothing of records.
"""

from __future__ import annotations

from collections.abc import Sequence

Component = int | str
Delta = Sequence[Component]


class DeltaError(ValueError):
    """A delta that is malformed or doesn't fit the text."""


def apply(text: str, delta: Delta) -> str:
    """Apply `delta` to `text`; raises DeltaError if it reaches beyond the end."""
    check(delta, len(text))
    parts: list[str] = []
    at = 0
    for component in delta:
        if isinstance(component, str):
            parts.append(component)
        elif component > 0:
            parts.append(text[at : at + component])
            at += component
        else:
            at -= component
    parts.append(text[at:])
    return "".join(parts)


def check(delta: Delta, length: int) -> None:
    """Raise DeltaError unless `delta` is well-formed and spans at most `length` code points."""
    if any(component in (0, "") for component in delta):
        raise DeltaError("expected counts other than 0 and strings that aren't empty")
    span = old_span(delta)
    if span > length:
        raise DeltaError(f"expected an edit of a text of {length} characters, got one of {span}")


def old_span(delta: Delta) -> int:
    """How many code points of the old text the delta walks over."""
    return sum(abs(component) for component in delta if isinstance(component, int))


def transform(delta: Delta, against: Delta, *, first: bool) -> list[Component]:
    """Change `delta` so that it can be applied after `against`, made on the same text.

    Where both insert at one place, the insertion of `delta` comes `first` or second. Then
    both orders of a and b end in the same text, if one of them is `first`.
    """
    out = _Builder()
    mine, other = _Walker(delta), _Walker(against)
    while True:
        if isinstance(other.head, str) and not (first and isinstance(mine.head, str)):
            out.keep(len(other.take_text()))
        elif isinstance(mine.head, str):
            out.insert(mine.take_text())
        elif mine.head is None:
            return out.finish()
        else:
            _step_over(mine, other, out)


def _step_over(mine: _Walker, other: _Walker, out: _Builder) -> None:
    """Both stand at a stretch of old text (`other` keeps all that follows its end)."""
    count = abs(mine.count)
    if other.head is not None:
        count = min(count, abs(other.count))
    deleted_already = other.head is not None and other.count < 0
    if not deleted_already:
        if mine.count < 0:
            out.delete(count)
        else:
            out.keep(count)
    mine.skip(count)
    other.skip(count)


class _Walker:
    """A place within a delta; `head` is what stands there, None at its end."""

    def __init__(self, delta: Delta) -> None:
        self._rest = list(reversed(delta))

    @property
    def head(self) -> Component | None:
        return self._rest[-1] if self._rest else None

    @property
    def count(self) -> int:
        head = self.head
        assert isinstance(head, int)
        return head

    def take_text(self) -> str:
        text = self._rest.pop()
        assert isinstance(text, str)
        return text

    def skip(self, count: int) -> None:
        if self.head is None:
            return
        left = self.count - count if self.count > 0 else self.count + count
        self._rest.pop()
        if left:
            self._rest.append(left)


class _Builder:
    """Joins neighbours of a kind and drops what keeps at the end."""

    def __init__(self) -> None:
        self._delta: list[Component] = []

    def insert(self, text: str) -> None:
        if self._delta and isinstance(self._delta[-1], str):
            self._delta[-1] += text
        else:
            self._delta.append(text)

    def keep(self, count: int) -> None:
        self._count(count)

    def delete(self, count: int) -> None:
        self._count(-count)

    def _count(self, count: int) -> None:
        last = self._delta[-1] if self._delta else ""
        if isinstance(last, int) and (last > 0) == (count > 0):
            self._delta[-1] = last + count
        else:
            self._delta.append(count)

    def finish(self) -> list[Component]:
        if self._delta and isinstance(self._delta[-1], int) and self._delta[-1] > 0:
            self._delta.pop()
        return self._delta
