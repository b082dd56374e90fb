"""One connection's side of the protocol: what a message means, given what came before.

A session is Connected until its hello, then Joined, and Gone after an error or the end.
`receive` gives the effects that a message asks for; carrying them out is for others. Knows
no socket, no clock and no room but its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core import codec, ids, relaying
from server.core.access import STRANGER, Grant
from server.core.codec import BAD_MESSAGE, BadRequest
from server.core.errors import ProtocolError
from server.core.ids import PersonId, RoomId, SessionId
from server.core.messages import (
    PROTOCOL_VERSION,
    Accept,
    Cancel,
    ClientMessage,
    Discard,
    Generate,
    Hello,
    Ink,
    Look,
    Moderate,
    Op,
    PeerInk,
    PeerLook,
    PeerPresence,
    Person,
    Ping,
    Pong,
    Presence,
    Profile,
    Redo,
    Refused,
    ServerMessage,
    Undo,
    Vote,
)
from server.core.relaying import Heads, Kind
from server.core.room import Request

if TYPE_CHECKING:
    from server.core.limits import Kind as LimitedKind
    from server.core.limits import Meter

WRONG_VERSION = 4409
TOO_MANY = 4429

# --- states ------------------------------------------------------------------------------------


class Connected(msgspec.Struct, frozen=True):
    """Nothing has come yet."""


class Joined(msgspec.Struct, frozen=True):
    person: Person


class Gone(msgspec.Struct, frozen=True):
    """Whatever comes now is ignored."""


State = Connected | Joined | Gone

# --- effects -----------------------------------------------------------------------------------


class Enter(msgspec.Struct, frozen=True):
    """Let this person into the room and send what `hello` asks for."""

    person: Person
    hello: Hello


class Ask(msgspec.Struct, frozen=True):
    """Hand the request to the room, in the order of arrival."""

    request: Request


class Decide(msgspec.Struct, frozen=True):
    """Let the room do what a host asks for."""

    request: Moderate


class Make(msgspec.Struct, frozen=True):
    """Start or stop making pictures."""

    request: Generate | Cancel


class Relay(msgspec.Struct, frozen=True):
    """Pass on to the others; of a session's presence, and of its looks, the last one counts."""

    kind: Kind
    message: bytes
    """As it goes to them."""
    ends: bool = False
    """It is the end of a stroke that was abandoned."""


class Drop(msgspec.Struct, frozen=True):
    """Too much came at once, of what may be lost."""


class Rename(msgspec.Struct, frozen=True):
    person: Person


class Reply(msgspec.Struct, frozen=True):
    message: ServerMessage


class Close(msgspec.Struct, frozen=True):
    code: int
    reason: str


DROP = Drop()
FLOODED = Close(TOO_MANY, "too many messages: wait a little, then reconnect")

Effect = Enter | Ask | Decide | Make | Relay | Rename | Reply | Close


class Session:
    """The protocol of one connection to one room."""

    def __init__(self, id: SessionId, room: RoomId, meter: Meter, grant: Grant = STRANGER) -> None:
        self.id = id
        self.state: State = Connected()
        self._room = room
        self._meter = meter
        self._grant = grant
        self._heads = Heads(id)

    @property
    def person(self) -> PersonId:
        assert isinstance(self.state, Joined)
        return PersonId(self.state.person.person)

    def receive(self, data: bytes, now: float) -> list[Effect]:
        """What one message from the client asks for. `now` is in seconds, monotonic."""
        if isinstance(self.state, Gone):
            return []
        if not self._meter.take_message(now):
            self.state = Gone()
            return [FLOODED]
        try:
            return self._effects(codec.decode(data), now)
        except ProtocolError as error:
            self.state = Gone()
            return [Close(error.code, error.reason)]

    def relay(self, data: bytes, now: float) -> Relay | Close | Drop | None:
        """What a message asks for that is only passed on; None of any other: `receive` it.

        It may not be one although it is ink or a cursor, if it doesn't look as usual.
        """
        if not isinstance(self.state, Joined):
            return None
        passing = relaying.read(data)
        if passing is None:
            return None
        if not self._meter.take_message(now):
            self.state = Gone()
            return FLOODED
        if not self._may_pass(passing.kind, passing.ends, now):
            return DROP
        return Relay(passing.kind, self._heads.put(passing), passing.ends)

    def close(self) -> None:
        self.state = Gone()

    def _effects(self, message: ClientMessage | BadRequest, now: float) -> list[Effect]:
        if isinstance(self.state, Connected):
            if not isinstance(message, Hello):
                raise ProtocolError(BAD_MESSAGE, "expected hello as the first message")
            return [self._enter(message)]
        assert isinstance(self.state, Joined)
        return self._in_room(self.state.person, message, now)

    def _in_room(
        self, person: Person, message: ClientMessage | BadRequest, now: float
    ) -> list[Effect]:
        match message:
            case Op() | Undo() | Redo() | Accept() | Discard() | Vote():
                return [self._limited("ops", message.id, Ask(message), now)]
            case Moderate():
                return [self._limited("ops", message.id, Decide(message), now)]
            case Generate():
                return [self._limited("pictures", message.id, Make(message), now)]
            case Cancel():
                return [Make(message)]
            case Presence() | Look() | Ink():
                return self._rebuilt(message, now)
            case Profile():
                # What everybody hears of costs as much as an op.
                return [self._rename(person, message)] if self._meter.take("ops", now) else []
            case Ping(n=n):
                return [Reply(Pong(n=n))]
            case BadRequest(id, reason):
                return [Reply(Refused(id=id, code="bad_record", reason=reason))]
            case Hello():
                raise ProtocolError(BAD_MESSAGE, "expected hello once only")

    def _enter(self, hello: Hello) -> Enter:
        if hello.protocol != PROTOCOL_VERSION:
            raise ProtocolError(
                WRONG_VERSION,
                f"expected protocol {PROTOCOL_VERSION}, got {hello.protocol}: reload the page",
            )
        login, name = self._grant.login, self._grant.name or hello.name
        id = ids.login_id(self._room, login) if login else ids.person_id(self._room, hello.key)
        person = Person(session=self.id, person=id, name=name, color=hello.color)
        self._meter.belongs_to(id)
        self.state = Joined(person)
        return Enter(person, hello)

    def _limited(self, kind: LimitedKind, id: str, effect: Effect, now: float) -> Effect:
        if self._meter.take(kind, now):
            return effect
        reason = "too much at once: send it again in a second"
        return Reply(Refused(id=id, code="rate", reason=reason))

    def _may_pass(self, kind: Kind, ends: bool, now: float) -> bool:
        if kind != "ink":
            return self._meter.take("cursors", now)
        # The end of ink is never dropped: the stroke would stay on the others' screens.
        return self._meter.take("ink", now) or ends

    def _rebuilt(self, message: Presence | Look | Ink, now: float) -> list[Effect]:
        """What came in another form than `relay` knows, as the others get it."""
        kind: Kind
        peer: PeerInk | PeerLook | PeerPresence
        ends = False
        match message:
            case Ink():
                kind, ends = "ink", message.end
                peer = PeerInk(session=self.id, **msgspec.structs.asdict(message))
            case Look():
                kind, peer = "look", PeerLook(session=self.id, sight=message.sight)
            case Presence():
                kind = "presence"
                peer = PeerPresence(session=self.id, cursor=message.cursor, tool=message.tool)
        if not self._may_pass(kind, ends, now):
            return []
        return [Relay(kind, codec.encode(peer), ends)]

    def _rename(self, person: Person, profile: Profile) -> Rename:
        # A login that says what somebody is called means it.
        name = self._grant.name or profile.name
        person = msgspec.structs.replace(person, name=name, color=profile.color)
        self.state = Joined(person)
        return Rename(person)
