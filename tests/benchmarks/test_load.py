"""The clients of `scripts/bench rooms` see each arrival once, and send what each server reads."""

from __future__ import annotations

import itertools
import random
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from scripts.benchmarks.load import yjs
from scripts.benchmarks.load.dialects import (
    Atelier,
    Dialect,
    Hocuspocus,
    YWebsocket,
    x_of,
)
from scripts.benchmarks.load.lines import ACK, Crowd, Line
from server.core import codec, relaying
from server.core.messages import Ink, Op, Presence

if TYPE_CHECKING:
    from collections.abc import Iterator

DIALECTS: tuple[Dialect, ...] = (Atelier(), YWebsocket(), Hocuspocus())
MASKED = 0x80


def payload(frame: bytes) -> bytes:
    """Of a frame whose mask is zero."""
    assert frame[0] == 0x82
    assert frame[1] & MASKED
    head = {126: 4, 127: 10}.get(frame[1] & ~MASKED, 2)
    assert frame[head : head + 4] == bytes(4)
    return frame[head + 4 :]


@pytest.fixture
def pair() -> Iterator[tuple[Line, socket.socket]]:
    ours, theirs = socket.socketpair()
    line = Line(0, 0)
    line.socket.close()
    line.socket = ours
    ours.setblocking(False)
    yield line, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(3))
def test_each_point_is_counted_and_timed_once_however_the_bytes_are_cut(
    dialect: Dialect, seed: int, pair: tuple[Line, socket.socket]
) -> None:
    line, server = pair
    chance = random.Random(seed)
    crowd = Crowd(dialect, 0, ["room"])
    crowd.sent_at = {(0, number): 0.0 for number in range(0, 90, 2)}
    crowd.asked_at = {b"0123456789abcdef": 0.0}
    frames = itertools.islice(dialect.ink("room", 0), 100)
    data = b"".join(map(payload, frames)) + ACK + b"0123456789abcdef" + bytes(3)
    while data:
        size = chance.choice((1, 2, 3, 10, 50, 400))
        server.send(data[:size])
        crowd._take(line)
        data = data[size:]
    assert line.seen == 100
    assert len(crowd.delays_s) == 45
    assert len(crowd.ack_delays_s) == 1
    crowd.close()


def test_what_atelier_is_sent_is_what_its_client_sends() -> None:
    """In the usual form, so that it is passed on as it came."""
    dialect = Atelier()
    inks = [payload(frame) for frame in itertools.islice(dialect.ink("room", 2), 130)]
    cursors = [payload(frame) for frame in itertools.islice(dialect.cursors("room", 2), 3)]
    assert all(relaying.read(data) for data in inks + cursors)
    first, second = codec.decode(inks[0]), codec.decode(inks[1])
    assert isinstance(first, Ink)
    assert isinstance(second, Ink)
    assert (first.style is None, second.style is None) == (False, True)
    assert (first.first, second.first, first.stroke) == (0, 1, second.stroke)
    assert struct.unpack_from("<f", second.points) == (x_of(2, 1),)
    assert isinstance(codec.decode(cursors[0]), Presence)
    name, put = dialect.strokes(3, 60)
    op = codec.decode(payload(put))
    assert isinstance(op, Op)
    assert (op.id, len(op.changes)) == (name, 3)
    assert dialect.ink_mark not in put, "a stroke that is put isn't taken for ink"


def test_yjs_numbers_and_updates_are_laid_out_as_lib0_does() -> None:
    assert [yjs.number(n) for n in (0, 127, 128, 300)] == [b"\0", b"\x7f", b"\x80\1", b"\xac\2"]
    assert yjs.text("é") == b"\2\xc3\xa9"
    # What yjs 13.6 makes of doc.getArray("a").push(["x"]), client 5, then of push(["y"]).
    assert yjs.append(5, 0, b"\x77\1x", "a") == bytes.fromhex("00020d010105000801016101770178 00")
    assert yjs.append(5, 1, b"\x77\1y", "a") == bytes.fromhex("00020c01010501880500 0177017900")
