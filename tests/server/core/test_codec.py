"""Whatever bytes come, only the documented errors go out, and the room stays as it is. S1, S2."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core import codec
from server.core.access import Standing
from server.core.errors import ProtocolError, Refusal
from server.core.ids import Epoch, PersonId, RoomId
from server.core.messages import CLOSE_CODES, Hello, Op, Redo, Refused, Undo
from server.core.moderation import Decider
from server.core.room import Room
from server.core.session import Ask, Close, Decide, Enter, Reply, Session
from tests.support.sessions import new_session

ROOM = RoomId("r" * 22)
FRAMES = json.loads(
    (Path(__file__).parents[2] / "golden" / "protocol" / "frames.json").read_text("utf-8")
)
VALID = [bytes.fromhex(case["hex"]) for case in FRAMES["client"]]
JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    frame = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(frame) - 1))
        frame[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
        frame = frame or bytearray(1)
    return bytes(frame)


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A valid message with one field of any value."""
    message = msgpack.unpackb(draw(st.sampled_from(VALID)))
    message[draw(st.sampled_from([*message, "more"]))] = draw(JSON_LIKE)
    packed: bytes = msgpack.packb(message)
    return packed


def joined() -> Session:
    session = new_session(ROOM)
    (enter,) = session.receive(codec.encode(Hello(protocol=1, key=bytes(16))), now=0.0)
    assert isinstance(enter, Enter)
    return session


def feed(data: bytes) -> None:
    """Give the bytes to a session and what they ask for to a room."""
    room = Room(ROOM, Epoch("e1"))
    for effect in joined().receive(data, now=1.0):
        if isinstance(effect, Close):
            assert effect.code in CLOSE_CODES
            assert effect.reason
        elif isinstance(effect, Ask):
            before = room.state()
            try:
                room.request(effect.request, PersonId("ann"), at_ms=0)
            except Refusal:
                assert room.state() == before
        elif isinstance(effect, Decide):
            before = room.state()
            try:
                room.moderate(effect.request, Decider(person="ann", now_ms=0), Standing("host"))
            except Refusal:
                assert room.state() == before


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_s2_random_bytes_do_no_harm(data: bytes) -> None:
    feed(data)


@settings(max_examples=500, deadline=None)
@given(mutated())
def test_s2_damaged_frames_do_no_harm(data: bytes) -> None:
    feed(data)


@settings(max_examples=500, deadline=None)
@given(altered())
def test_s2_frames_with_wrong_fields_do_no_harm(data: bytes) -> None:
    feed(data)


@pytest.mark.parametrize("depth", [17, 500, 100_000])
def test_s2_deep_nesting_is_a_protocol_error(depth: int) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(b"\x81\xa1t" + b"\x91" * depth + b"\xc0")


def test_s2_an_op_that_can_be_named_is_refused_and_the_connection_stays() -> None:
    session = joined()
    bad = msgpack.packb({"t": "op", "id": "op-00001", "changes": [{"c": "put", "record": {}}]})
    (reply,) = session.receive(bad, now=1.0)
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Refused)
    assert (reply.message.id, reply.message.code) == ("op-00001", "bad_record")
    assert session.receive(codec.encode(Undo(id="op-00002")), now=1.0) == [Ask(Undo(id="op-00002"))]


@given(st.sampled_from([Op, Undo, Redo]))
def test_s2_nothing_comes_before_hello(kind: type) -> None:
    session = new_session(ROOM)
    changes = {"changes": [{"c": "delete", "id": "a"}]} if kind is Op else {}
    frame = msgpack.packb({"t": kind.__name__.lower(), "id": "op-00001", **changes})
    (close,) = session.receive(frame, now=0.0)
    assert isinstance(close, Close)
    assert close.code == 4400
    assert session.receive(VALID[0], now=0.0) == []
