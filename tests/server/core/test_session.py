"""What a message means, given what came before. Rules S2, S10, S11."""

from __future__ import annotations

from server.core import codec
from server.core.access import Grant
from server.core.ids import RoomId
from server.core.limits import FlowLimits, Rate, Rates, TokenBucket
from server.core.messages import (
    ClientMessage,
    Hello,
    Ink,
    PeerInk,
    PeerPresence,
    Ping,
    Pong,
    Presence,
    Profile,
    Refused,
    ServerMessage,
    Undo,
)
from server.core.session import Ask, Close, Effect, Enter, Gone, Relay, Rename, Reply, Session
from tests.support.sessions import new_session

ROOM = RoomId("r" * 22)
OTHER = RoomId("q" * 22)
MANY = Rate(1_000, 1_000)
ONE = Rates(Rate(1, 1), MANY, MANY, MANY)
HELLO = Hello(protocol=1, key=bytes(16), name="Ann")


def session(limits: FlowLimits | None = None, room: RoomId = ROOM) -> Session:
    return new_session(room, limits)


def say(to: Session, message: ClientMessage, now: float = 0.0) -> list[Effect]:
    return to.receive(codec.encode(message), now)


def told(relay: Relay) -> ServerMessage:
    return codec.decode_server(relay.message)


def test_s10_the_same_key_is_the_same_person_in_one_room_only() -> None:
    people = []
    for room in (ROOM, ROOM, OTHER):
        (enter,) = say(session(room=room), HELLO)
        assert isinstance(enter, Enter)
        people.append(enter.person.person)
    assert people[0] == people[1] != people[2]
    assert HELLO.key.hex() not in people[0]


def test_a11_a_login_says_who_somebody_is_and_what_they_are_called() -> None:
    grant = Grant(login="bob@example.org", name="Bob")
    people = []
    for key in (bytes(16), bytes(17)):
        known = new_session(ROOM, grant=grant)
        (enter,) = say(known, Hello(protocol=1, key=key, name="The Queen"))
        (rename,) = say(known, Profile(name="Ann", color="#00ff00"))
        assert isinstance(enter, Enter)
        assert isinstance(rename, Rename)
        assert (enter.person.name, rename.person.name) == ("Bob", "Bob")
        people.append(enter.person.person)
    (enter,) = say(session(), HELLO)
    assert isinstance(enter, Enter)
    assert people[0] == people[1] != enter.person.person


def test_s10_another_version_is_told_to_reload() -> None:
    fresh = session()
    (close,) = say(fresh, Hello(protocol=2, key=bytes(16)))
    assert isinstance(close, Close)
    assert close.code == 4409
    assert isinstance(fresh.state, Gone)


def test_s10_a_second_hello_is_out_of_place() -> None:
    joined = session()
    say(joined, HELLO)
    (close,) = say(joined, HELLO)
    assert isinstance(close, Close)
    assert close.code == 4400


def test_s7_presence_and_ink_carry_the_session_and_presence_a_key() -> None:
    joined = session()
    say(joined, HELLO)
    (presence,) = say(joined, Presence(cursor=(1.0, 2.0)))
    assert isinstance(presence, Relay)
    assert presence.kind == "presence"
    assert told(presence) == PeerPresence(session="s1", cursor=(1.0, 2.0))
    (ink,) = say(joined, Ink(stroke="a", first=0, points=bytes(13)))
    assert isinstance(ink, Relay)
    assert ink.kind == "ink"
    assert told(ink) == PeerInk(session="s1", stroke="a", first=0, points=bytes(13))
    assert say(joined, Ping(n=3)) == [Reply(Pong(n=3))]
    (rename,) = say(joined, Profile(name="Anna", color="#00ff00"))
    assert isinstance(rename, Rename)
    assert rename.person.name == "Anna"


def test_s11_ops_that_come_too_fast_are_refused_and_may_come_again() -> None:
    joined = session(FlowLimits(ops=ONE))
    say(joined, HELLO)
    assert isinstance(say(joined, Undo(id="op-00001"))[0], Ask)
    (reply,) = say(joined, Undo(id="op-00002"))
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Refused)
    assert (reply.message.id, reply.message.code) == ("op-00002", "rate")
    assert isinstance(say(joined, Undo(id="op-00002"), now=1.5)[0], Ask)


def test_s11_ink_that_comes_too_fast_is_dropped_but_never_its_end() -> None:
    joined = session(FlowLimits(ink=ONE, cursors=ONE))
    say(joined, HELLO)
    for _ in range(2):
        last = say(joined, Ink(stroke="a", first=0, points=bytes(13)))
        last_presence = say(joined, Presence())
    assert last == last_presence == []
    assert len(say(joined, Ink(stroke="a", first=3, end=True))) == 1


def test_s11_a_flood_is_closed() -> None:
    joined = session(FlowLimits(messages=Rate(1, 2)))
    say(joined, HELLO)
    say(joined, Ping(n=1))
    (close,) = say(joined, Ping(n=2))
    assert isinstance(close, Close)
    assert close.code == 4429


def test_s11_a_bucket_refills_and_never_overflows() -> None:
    bucket = TokenBucket(Rate(per_s=2, burst=3), now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(99.0) for _ in range(4)] == [True, True, True, False]
