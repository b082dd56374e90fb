"""What is kept for those who resume. Rules S5 and J7."""

from __future__ import annotations

from server.core.entries import Entry
from server.core.records import Change, Delete, Edit, Layer, Patch, Put, Stroke
from server.core.tail import Tail, entry_bytes


def entry(seq: int, num_points: int = 1) -> Entry:
    stroke = Stroke(id=f"stroke-{seq}", z="a0", points=bytes(8 + 5 * num_points), size=4.0)
    return Entry(seq, f"op-{seq:05}", "ann", "op", 0, [Put(stroke)])


def seqs(entries: list[Entry] | None) -> list[int] | None:
    return None if entries is None else [entry.seq for entry in entries]


def test_s5_the_tail_serves_those_who_miss_no_more_than_it_has() -> None:
    tail = Tail(map(entry, range(4, 7)), max_entries=10)
    assert seqs(tail.since(4, newest=6)) == [5, 6]
    assert seqs(tail.since(3, newest=6)) == [4, 5, 6]
    assert seqs(tail.since(6, newest=6)) == []
    assert tail.since(2, newest=6) is None
    assert tail.since(7, newest=6) is None
    assert seqs(Tail([], max_entries=10).since(6, newest=6)) == []
    assert Tail([], max_entries=10).since(5, newest=6) is None


def test_s5_a_snapshot_newer_than_the_entries_leaves_no_gap_in_a_tail() -> None:
    tail = Tail(map(entry, range(4, 7)), max_entries=10)
    assert tail.since(5, newest=9) is None
    tail.append(entry(10))
    assert tail.since(5, newest=10) is None
    assert seqs(tail.since(9, newest=10)) == [10]


def test_j7_the_tail_is_bounded_in_number_and_in_bytes() -> None:
    tail = Tail(map(entry, range(1, 10)), max_entries=3)
    assert tail.since(5, newest=9) is None
    assert seqs(tail.since(6, newest=9)) == [7, 8, 9]

    large = entry(1, num_points=20_000)
    tail = Tail([], max_entries=1_000, max_bytes=3 * entry_bytes(large))
    for seq in range(1, 10):
        tail.append(entry(seq, num_points=20_000))
    assert tail.since(5, newest=9) is None
    assert seqs(tail.since(6, newest=9)) == [7, 8, 9]


def test_j7_each_change_counts_for_about_what_it_holds() -> None:
    def cost(change: Change) -> int:
        return entry_bytes(Entry(1, "op-00001", "ann", "op", 0, [change]))

    assert cost(Put(Layer(id="a", z="a0"))) == cost(Delete("a")) == cost(Patch("a", {"x": 1.0}))
    assert cost(Patch("a", {"points": bytes(1_000)})) == cost(Delete("a")) + 1_000
    assert cost(Edit("a", "prompt", 0, [5, "x" * 1_000])) > 1_000
