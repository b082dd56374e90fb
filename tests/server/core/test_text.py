"""Operational transformation: both orders of two edits end in the same text. Rule R7."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.core.text import apply, transform

TEXT = st.text("ab😀é", max_size=8)


@st.composite
def deltas(draw: st.DrawFn, length: int) -> list[int | str]:
    delta: list[int | str] = []
    left = length
    for _ in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, left)) if left else 0
        kind = draw(st.sampled_from(["insert", "keep", "delete"]))
        if kind == "insert" or not count:
            delta.append(draw(st.text("XY😎", min_size=1, max_size=3)))
        else:
            left -= count
            delta.append(count if kind == "keep" else -count)
    return delta


@given(st.data(), TEXT, st.booleans())
def test_r7_both_orders_of_two_edits_end_in_the_same_text(
    data: st.DataObject, text: str, a_first: bool
) -> None:
    a = data.draw(deltas(len(text)))
    b = data.draw(deltas(len(text)))
    a_then_b = apply(apply(text, a), transform(b, a, first=not a_first))
    b_then_a = apply(apply(text, b), transform(a, b, first=a_first))
    assert a_then_b == b_then_a


@given(st.data(), TEXT)
def test_r7_no_insertion_is_ever_lost(data: st.DataObject, text: str) -> None:
    a = data.draw(deltas(len(text)))
    b = data.draw(deltas(len(text)))
    typed = [part for part in a + b if isinstance(part, str)]
    result = apply(apply(text, a), transform(b, a, first=False))
    for char in "XY😎":
        assert result.count(char) == sum(part.count(char) for part in typed)
