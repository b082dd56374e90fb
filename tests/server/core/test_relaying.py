"""What is only passed on keeps its bytes, and is as it should be all the same. Rules S2, S17."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core import codec, relaying
from server.core.ids import RoomId
from server.core.limits import FlowLimits, Rate, Rates
from server.core.messages import Hello, Ink, InkStyle, Look, PeerInk, PeerPresence, Presence
from server.core.session import Close, Drop, Effect, Gone, Relay, Session
from tests.support.sessions import new_session

ROOM = RoomId("r" * 22)
STYLE = InkStyle(kind="stroke", size=3.0)
INK = Ink(stroke="a", first=0, points=bytes(13), style=STYLE)
NAN = float("nan")

coordinates = st.floats(-1e6, 1e6)
inks = st.builds(
    Ink,
    stroke=st.text("abcXYZ019_-", min_size=1, max_size=40),
    first=st.integers(0, 2**40),
    points=st.integers(0, 60).flatmap(lambda n: st.binary(min_size=8 + 5 * n, max_size=8 + 5 * n)),
    style=st.none() | st.builds(InkStyle, kind=st.just("mask"), size=st.floats(1, 100)),
    end=st.booleans(),
)
presences = st.builds(
    Presence,
    cursor=st.none() | st.tuples(coordinates, coordinates),
    tool=st.text(max_size=20).filter(lambda text: text.isprintable()),
)
sights = st.tuples(coordinates, coordinates, st.floats(1, 100), st.floats(1, 100))
looks = st.builds(Look, sight=sights)


def joined(limits: FlowLimits | None = None) -> Session:
    session = new_session(ROOM, limits)
    session.receive(codec.encode(Hello(protocol=1, key=bytes(16))), 0.0)
    return session


def fields_of(message: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return fields


def packed(fields: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode(fields)


def told(effect: Effect | Drop | None) -> object:
    assert isinstance(effect, Relay)
    return codec.decode_server(effect.message)


def received(session: Session, data: bytes) -> object:
    (effect,) = session.receive(data, 0.0)
    return told(effect)


@given(inks | presences | looks)
def test_s17_what_is_passed_on_is_what_would_have_been_rebuilt(
    message: Ink | Presence | Look,
) -> None:
    data = codec.encode(message)
    relay = joined().relay(data, 0.0)
    assert told(relay) == received(joined(), data)
    assert isinstance(relay, Relay)
    tail = data[data.index(b"\xa1t") :].split(relay.kind.encode(), 1)[1]
    assert relay.message.endswith(tail), "the bytes that came are those that go"


def test_s17_nothing_is_unpacked_or_encoded_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    session, sent = joined(), [codec.encode(INK), codec.encode(Presence(cursor=(1.0, 2.0)))]

    def never(*_: object) -> NoReturn:
        raise AssertionError("expected the bytes to be left alone")

    for name in ("encode", "decode", "_unpack"):
        monkeypatch.setattr(codec, name, never)
    assert all(isinstance(session.relay(data, 0.0), Relay) for data in sent)


@pytest.mark.parametrize(
    "fields",
    [
        {**fields_of(INK), "points": bytes(12)},
        {**fields_of(INK), "points": bytes(8 + 5 * 2_001)},
        {**fields_of(INK), "stroke": "no/id"},
        {**fields_of(INK), "first": -1},
        {**fields_of(INK), "end": 1},
        {**fields_of(INK), "style": {**fields_of(STYLE), "size": "wide"}},
        {**fields_of(INK), "session": "s2"},
        {**fields_of(Presence(cursor=(1.0, 2.0))), "cursor": [NAN, 1.0]},
        {**fields_of(Presence()), "tool": "x" * 21},
        {**fields_of(Look(sight=(0.0, 0.0, 1.0, 1.0))), "sight": [0.0, 0.0, float("inf"), 1.0]},
        {**fields_of(Look(sight=(0.0, 0.0, 1.0, 1.0))), "sight": [0.0, 0.0, 1.0]},
    ],
)
def test_s2_what_is_wrong_isnt_passed_on_and_closes(fields: dict[str, Any]) -> None:
    session = joined()
    assert session.relay(packed(fields), 0.0) is None
    (close,) = session.receive(packed(fields), 0.0)
    assert isinstance(close, Close)
    assert close.code == 4400


def test_s2_no_field_hides_behind_another_of_its_name() -> None:
    """Six fields, as ink has them, but one is there twice and one isn't."""
    twice = codec.encode(INK).replace(b"\xa3end\xc2", b"\xa5first\x07")
    assert twice != codec.encode(INK)
    assert joined().relay(twice, 0.0) is None
    named = codec.encode(INK).replace(b"\xa3end\xc2", b"\xa1t\xa3ink")
    assert joined().relay(named, 0.0) is None


@pytest.mark.parametrize("cut", range(1, 60))
def test_s2_what_is_cut_short_isnt_passed_on(cut: int) -> None:
    assert joined().relay(codec.encode(INK)[:-cut], 0.0) is None


def test_s17_what_looks_unusual_is_rebuilt_for_the_others() -> None:
    """Fields in another order, or left out where they have a default."""
    turned = packed(dict(reversed(fields_of(INK).items())))
    short = packed({"t": "ink", "stroke": "a", "first": 3})
    bare = packed({"t": "presence"})
    session = joined()
    assert [session.relay(data, 0.0) for data in (turned, short, bare)] == [None] * 3
    whole = PeerInk(session="s1", stroke="a", first=0, points=bytes(13), style=STYLE)
    assert received(session, turned) == whole
    assert received(session, short) == PeerInk(session="s1", stroke="a", first=3)
    assert received(session, bare) == PeerPresence(session="s1")


def test_s17_anything_else_is_for_the_room() -> None:
    hello = codec.encode(Hello(protocol=1, key=bytes(16)))
    assert joined().relay(hello, 0.0) is None
    assert new_session(ROOM).relay(codec.encode(INK), 0.0) is None, "nobody has come in"
    assert relaying.read(b"") is None


def test_s11_what_is_passed_on_is_counted_and_a_flood_is_closed() -> None:
    many = Rate(1_000, 1_000)
    session = joined(FlowLimits(ink=Rates(Rate(1, 1), many, many, many), messages=Rate(1, 5)))
    end = codec.encode(msgspec.structs.replace(INK, end=True))
    assert isinstance(session.relay(codec.encode(INK), 0.0), Relay)
    assert isinstance(session.relay(codec.encode(INK), 0.0), Drop)
    assert isinstance(session.relay(end, 0.0), Relay), "the end of ink is never dropped"
    session.relay(end, 0.0)
    close = session.relay(end, 0.0)
    assert isinstance(close, Close)
    assert close.code == 4429
    assert isinstance(session.state, Gone)
