"""Seats: the connections of one room, with what each may do there and how to send to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from server.core import codec, ids
from server.core.ids import PersonId
from server.core.messages import Joined, Left
from server.net.outbox import Key, Packet
from server.net.senders import WRITE_BYTES, send_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.core.access import Grant, Standing
    from server.core.limits import Meter
    from server.core.messages import Person, ServerMessage
    from server.net.senders import Sender, SendNow


Later = Callable[[float, Callable[[], None]], object]
"""Runs something so many seconds later; 0: at the end of this turn of the event loop."""

MOVES_S = 0.016
"""How long a cursor may wait for others of its room: a frame of a screen."""


class Seat:
    """Whoever holds it came in with `grant`; `standing` is what that was good for, last time."""

    def __init__(
        self, person: Person, sender: Sender, grant: Grant, standing: Standing, meter: Meter
    ) -> None:
        self.person = person
        self.sender = sender
        self.grant = grant
        self.meter = meter
        self.latest: dict[str, Packet] = {}
        """Its presence and its look, if there were any, as others get them."""
        self.badge = ids.new_secret()
        self.stand(standing)

    @property
    def session(self) -> str:
        return self.person.session

    @property
    def person_id(self) -> PersonId:
        return PersonId(self.person.person)

    def stand(self, standing: Standing) -> None:
        self.standing = standing
        self.person = msgspec.structs.replace(self.person, role=standing.role, muted=standing.muted)

    def rename(self, name: str, color: str) -> None:
        self.person = msgspec.structs.replace(self.person, name=name, color=color)

    def send(self, message: ServerMessage) -> None:
        self.sender.send(packed(message))


class Seats:
    """Those who are here, and those who are on the way in: they wait for what they'll see."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._here: dict[str, Seat] = {}
        self._arriving: dict[str, Seat] = {}
        self._said: list[tuple[Packet, Seat | None]] = []
        """To all who are here, perhaps but one, in this turn of the event loop."""
        self._taken: dict[Seat, int] = {}
        """How much of that was put into somebody's outbox already."""
        self._sends: dict[Sender, SendNow] | None = None
        """Of all who are here, until that changes."""
        self._moves: dict[Key, Packet] = {}
        """Cursors and looks that are about to be told."""
        self._moves_due = False

    def __len__(self) -> int:
        return len(self._here) + len(self._arriving)

    def __iter__(self) -> Iterator[Seat]:
        """Those who are here."""
        return iter(self._here.values())

    def all(self) -> list[Seat]:
        return [*self._here.values(), *self._arriving.values()]

    def is_here(self, seat: Seat) -> bool:
        return seat.session in self._here

    def with_badge(self, badge: str) -> Seat | None:
        return next((seat for seat in self if ids.is_same(seat.badge, badge)), None)

    def name_of(self, person: str | None) -> str:
        """What this person is called now; "" if they aren't here."""
        return next((seat.person.name for seat in self if seat.person_id == person), "")

    def num_of(self, person: str) -> int:
        """How many connections this person has."""
        return sum(seat.person_id == person for seat in self.all())

    def expect(self, seat: Seat) -> None:
        self._arriving[seat.session] = seat

    def arrive(self, seat: Seat) -> bool:
        """False if this one has given up waiting."""
        if self._arriving.pop(seat.session, None) is None:
            return False
        self.broadcast(Joined(person=seat.person))
        self._here[seat.session] = seat
        self._taken[seat] = len(self._said)
        seat.sender.before = partial(self._catch_up, seat)
        seat.sender.on_change = self._forget_sends
        self._sends = None
        return True

    def leave(self, seat: Seat) -> None:
        self._arriving.pop(seat.session, None)
        if self._here.pop(seat.session, None) is not None:
            for key in [key for key in self._moves if key[1] == seat.session]:
                del self._moves[key]
            seat.sender.before = seat.sender.on_change = None
            self._sends = None
            self._taken.pop(seat, None)
            self.broadcast(Left(session=seat.session))

    def broadcast(self, message: ServerMessage) -> None:
        self.spread(packed(message))

    def spread(self, packet: Packet, but: Seat | None = None) -> None:
        """Send to everybody, perhaps but one, at the end of this turn of the event loop."""
        if not self._here:
            return
        self._said.append((packet, but))
        if len(self._said) == 1:
            self._later(0.0, self._end_turn)

    def _end_turn(self) -> None:
        """Write what this turn has brought: the same bytes to all who keep up and get all of it."""
        said, self._said = self._said, []
        taken, self._taken = self._taken, {}
        frames = [packet.frame for packet, _ in said]
        is_portion = sum(map(len, frames)) <= WRITE_BYTES
        some = {but for _, but in said if but is not None} | taken.keys()
        others = [seat for seat in some if self.is_here(seat)]
        sends = self._sends_now().copy() if is_portion else {}
        for seat in others:
            send_now = sends.pop(seat.sender, None)
            left = [packet for packet, but in said[taken.get(seat, 0) :] if but is not seat]
            if send_now is None:
                _put_all(seat.sender, left)
            elif left:
                send_at_once({seat.sender: send_now}, b"".join([p.frame for p in left]))
        if len(sends) + len(others) < len(self._here):
            for seat in self._here.values():
                if seat.sender not in sends and seat not in some:
                    _put_all(seat.sender, [packet for packet, _ in said])
        send_at_once(sends, b"".join(frames))

    def _sends_now(self) -> dict[Sender, SendNow]:
        """Those who can be sent to at once, by their senders."""
        if self._sends is None:
            senders = [seat.sender for seat in self._here.values()]
            self._sends = {s: s.send_now for s in senders if s.send_now is not None}
        return self._sends

    def _forget_sends(self) -> None:
        self._sends = None

    def _catch_up(self, seat: Seat) -> None:
        """Put into its outbox what was said to all before what it is told now."""
        num_taken = self._taken.get(seat, 0)
        if num_taken < len(self._said):
            self._taken[seat] = len(self._said)
            for packet, but in self._said[num_taken:]:
                if but is not seat:
                    seat.sender.put(packet)

    def move(self, seat: Seat, kind: str, message: bytes) -> None:
        """Tell the others where somebody's cursor, or view, is now.

        Those of a room go out together, at most once in MOVES_S: a write for each of them would
        cost several times as much, and no eye sees the difference.
        """
        key = (kind, seat.session)
        seat.latest[kind] = packet = Packet(message, ephemeral=True, key=key)
        self._moves[key] = packet
        if not self._moves_due:
            self._moves_due = True
            self._later(MOVES_S, self._tell_moves)

    def _tell_moves(self) -> None:
        self._moves_due = False
        moves, self._moves = self._moves, {}
        for (_, session), packet in moves.items():
            self.spread(packet, self._here.get(session))

    def update(self, seat: Seat) -> None:
        """Something about this one has changed: tell those who know of them."""
        if self.is_here(seat):
            self.broadcast(Joined(person=seat.person))

    def close(self, code: int, reason: str, person: str | None = None) -> None:
        """Close everybody's connections, or one person's."""
        for seat in self.all():
            if person is None or seat.person_id == person:
                seat.sender.close(code, reason)


def _put_all(sender: Sender, packets: list[Packet]) -> None:
    for packet in packets:
        sender.put(packet)


def on_loop(after_s: float, act: Callable[[], None]) -> None:
    """A `Later` on the event loop that is running."""
    loop = asyncio.get_running_loop()
    if after_s:
        loop.call_later(after_s, act)
    else:
        loop.call_soon(act)


def packed(message: ServerMessage) -> Packet:
    return Packet(codec.encode(message))
