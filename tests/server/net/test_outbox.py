"""What waits for one client is bounded, and what may be lost is lost first. Rule S9."""

from __future__ import annotations

from server.net.outbox import EPHEMERAL_BYTES, MAX_REPLACED, Key, Outbox, Packet


def packet(text: str) -> Packet:
    return Packet(text.encode())


def ephemeral(text: str, key: Key | None = None) -> Packet:
    return Packet(text.encode(), ephemeral=True, key=key)


def taken(outbox: Outbox, max_bytes: int = 1_000) -> list[str]:
    return [packet.payload.decode() for packet in outbox.take(max_bytes)]


def test_s9_packets_leave_in_the_order_in_which_they_came() -> None:
    outbox = Outbox(100)
    outbox.put(packet("op 1"))
    outbox.put(ephemeral("ink"))
    outbox.put(packet("op 2"))
    assert taken(outbox) == ["op 1", "ink", "op 2"]
    assert not outbox
    assert outbox.counted_bytes == 0


def test_s9_of_ephemerals_with_one_key_the_latest_is_kept_at_its_place() -> None:
    outbox = Outbox(100)
    outbox.put(ephemeral("old", ("presence", "s1")))
    outbox.put(packet("op"))
    outbox.put(ephemeral("other", ("presence", "s2")))
    outbox.put(ephemeral("new", ("presence", "s1")))
    assert taken(outbox) == ["op", "other", "new"]


def test_s9_ephemerals_give_way_and_may_fill_half_only() -> None:
    outbox = Outbox(20)
    for _ in range(5):
        outbox.put(ephemeral("inkink"))
    assert outbox.counted_bytes == 6
    assert outbox.put(packet("op" * 8))
    assert taken(outbox) == ["op" * 8]


def test_s9_no_more_than_64_kib_of_what_may_be_lost_waits() -> None:
    outbox = Outbox(8 * 1024 * 1024)
    for _ in range(1_000):
        outbox.put(ephemeral("i" * 1_000))
    assert 60_000 < outbox.counted_bytes <= EPHEMERAL_BYTES == 65_536
    assert outbox.put(packet("op"))
    assert len(taken(outbox, 1_000_000)) == 66
    outbox.put(ephemeral("ink"))
    assert taken(outbox) == ["ink"], "there is room again"


def test_s9_cursors_that_were_replaced_leave_nothing_behind() -> None:
    outbox = Outbox(1_000)
    outbox.put(packet("op"))
    for number in range(10 * MAX_REPLACED):
        outbox.put(ephemeral(f"{number}", ("presence", "s1")))
    assert len(outbox._items) <= MAX_REPLACED + 2
    assert taken(outbox) == ["op", f"{10 * MAX_REPLACED - 1}"]


def test_s9_what_must_arrive_and_doesnt_fit_makes_the_client_too_slow() -> None:
    outbox = Outbox(20)
    assert outbox.put(packet("x" * 20))
    assert not outbox.put(packet("x"))


def test_s9_a_join_may_be_as_large_as_the_room() -> None:
    outbox = Outbox(20)
    for _ in range(10):
        outbox.put_join(packet("snapshot" * 10))
    assert outbox.put(packet("op"))
    assert len(taken(outbox, 10_000)) == 11


def test_s9_packets_are_taken_in_portions() -> None:
    outbox = Outbox(100)
    for number in range(4):
        outbox.put(packet(f"op {number}"))
    assert taken(outbox, 5) == ["op 0", "op 1"]
    assert taken(outbox, 1) == ["op 2"]


def test_s9_a_packet_is_framed_once() -> None:
    once = packet("x" * 200)
    assert once.frame is once.frame
    assert once.frame == b"\x82\x7e\x00\xc8" + b"x" * 200
