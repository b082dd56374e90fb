"""A loaded room with the people in it: every op to the journal first, and then to everybody.

Implements `server.ports.RoomPort`. Runs on the event loop; no method here waits. What depends
on an op is held back until that op is durable (J1); cursors, ink and previews go past it.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from server.core import codec
from server.core.errors import Refusal
from server.core.ids import PersonId, RoomId
from server.core.messages import (
    PROTOCOL_VERSION,
    Ack,
    Applied,
    Engine,
    Generate,
    Hello,
    History,
    Joined,
    JoinReady,
    Left,
    Limits,
    PeerInk,
    PeerPresence,
    Person,
    Preview,
    Refused,
    ServerMessage,
    Snapshot,
    Welcome,
)
from server.core.messages import Cancel as CancelRequest
from server.core.room import Entry, Request, Room, Settled, Taken
from server.core.snapshots import in_portions
from server.core.tail import Tail, entry_bytes
from server.net.outbox import Key, Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from server.core.records import Change, Record
    from server.net.senders import Sender
    from server.ports import GenerationPort
    from server.storage.base import Opened

logger = logging.getLogger(__name__)

SNAPSHOT_BYTES = 64 * 1024 * 1024
"""Of entries since the last snapshot, after which the room is written anew: what is read when it
is loaded stays bounded, however large the ops are."""
NOT_SAVED = 4503
NOT_SAVED_REASON = "the room can't be saved at the moment: keep your edits and connect again"


class Member:
    """One connection that is in a room."""

    def __init__(self, person: Person, sender: Sender) -> None:
        self.person = person
        self.sender = sender
        self.presence: PeerPresence | None = None

    @property
    def person_id(self) -> PersonId:
        return PersonId(self.person.person)

    def send(self, message: ServerMessage) -> None:
        self.sender.send(packed(message))


def packed(message: ServerMessage) -> Packet:
    return Packet(codec.encode(message))


class HostedRoom:
    """One room, its journal and its members."""

    def __init__(
        self,
        room: Room,
        opened: Opened,
        generation: GenerationPort,
        limits: Limits,
        now_ms: Callable[[], int],
        *,
        keep_entries: int,
        snapshot_every: int,
    ) -> None:
        self._room = room
        self._log = opened.log
        self._tail = Tail(opened.entries, keep_entries)
        self._generation = generation
        self._limits = limits
        self._now_ms = now_ms
        self._snapshot_every = snapshot_every
        self._snapshot_seq = opened.state.seq if opened.state else 0
        self._new_bytes = sum(
            entry_bytes(entry) for entry in opened.entries if entry.seq > self._snapshot_seq
        )
        self._members: dict[str, Member] = {}
        self._arriving: dict[str, Member] = {}
        self._durable = int(room.seq)
        self._held: deque[tuple[int, Callable[[], None]]] = deque()
        self.is_failed = False

    # --- for generation: ports.RoomPort ---------------------------------------------------------

    @property
    def id(self) -> RoomId:
        return self._room.id

    @property
    def records(self) -> Mapping[str, Record]:
        return self._room.records

    def append(self, changes: Sequence[Change], by: PersonId) -> None:
        if self.is_failed:
            return
        outcome = self._room.append(changes, by, self._now_ms())
        if isinstance(outcome, Taken):
            self._log.append(outcome.entry)
            self._remember(outcome.entry)
            self._when_durable(lambda: self._broadcast(applied(outcome.entry)))

    def relay_preview(self, preview: Preview) -> None:
        packet = packed(preview)
        key = ("preview", preview.frame, str(preview.index))
        for member in self._members.values():
            member.sender.send_ephemeral(packet, key)

    # --- people -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nobody is here or on the way in, and all that happened is on the disk."""
        return not (self._members or self._arriving or self._held) and self._is_settled

    @property
    def _is_settled(self) -> bool:
        return self._durable >= self._room.seq

    def enter(self, member: Member, hello: Hello) -> None:
        """Let somebody in as of now; they hear of it once all that they'll see is durable."""
        self._arriving[member.person.session] = member
        seq = int(self._room.seq)
        content = self._tail_since(hello)
        mode = "snapshot" if content is None else "tail"
        if content is None:
            # The records of this moment: the ops after it follow in their turn.
            portions = in_portions(list(self._room.records.values()))
            content = (Snapshot(records=portion) for portion in portions)
        messages = content

        def welcome() -> None:
            if self._arriving.pop(member.person.session, None) is None:
                return
            self._welcome(member, seq, mode == "snapshot", messages)

        self._when_durable(welcome)

    def leave(self, member: Member) -> None:
        session = member.person.session
        self._arriving.pop(session, None)
        if self._members.pop(session, None) is not None:
            self._broadcast(Left(session=session))

    def rename(self, member: Member, person: Person) -> None:
        member.person = person
        if person.session in self._members:
            self._broadcast(Joined(person=person))

    def relay(self, member: Member, message: PeerPresence | PeerInk, key: Key | None) -> None:
        if member.person.session not in self._members:
            return
        if isinstance(message, PeerPresence):
            member.presence = message
        packet = packed(message)
        for other in self._members.values():
            if other is not member:
                other.sender.send_ephemeral(packet, key)

    def tell_engine(self, engine: Engine) -> None:
        self._broadcast(engine)

    # --- requests -----------------------------------------------------------------------------

    def ask(self, member: Member, request: Request) -> None:
        """Do what somebody asks for; the answer comes once it is durable."""
        if self.is_failed:
            return
        try:
            outcome = self._room.request(request, member.person_id, self._now_ms())
        except Refusal as refusal:
            self._refuse(member, request.id, refusal)
            return
        if isinstance(outcome, Settled):
            ack = Ack(id=request.id, seq=outcome.seq)
            self._when_durable(lambda: member.send(ack))
            return
        self._log.append(outcome.entry)
        self._remember(outcome.entry)
        history = self._history(member.person_id)
        self._when_durable(lambda: self._announce(outcome, member, history))

    def make(self, member: Member, request: Generate | CancelRequest) -> None:
        """Start or stop making pictures."""
        if self.is_failed:
            return
        try:
            if isinstance(request, CancelRequest):
                self._generation.cancel(self, member.person_id, request)
                return
            if self._room.is_full:
                raise Refusal("room_full", "the room is full: delete something first")
            self._generation.generate(self, member.person_id, request)
        except Refusal as refusal:
            id = request.id if isinstance(request, Generate) else request.frame
            self._refuse(member, id, refusal)

    # --- the journal ---------------------------------------------------------------------------

    def on_durable(self, seq: int) -> None:
        self._durable = max(self._durable, seq)
        while self._held and self._held[0][0] <= self._durable:
            _, act = self._held.popleft()
            act()

    def on_failed(self) -> None:
        """Nothing that is held back may ever be said."""
        self.is_failed = True
        self._held.clear()
        self._log.close()
        for member in [*self._members.values(), *self._arriving.values()]:
            member.sender.close(NOT_SAVED, NOT_SAVED_REASON)
        self._members.clear()
        self._arriving.clear()

    def close(self) -> None:
        """The room is being unloaded: leave a snapshot for the next time."""
        if not self.is_failed and self._room.seq > self._snapshot_seq:
            self._snapshot()
        self._log.close()

    def _remember(self, entry: Entry) -> None:
        self._tail.append(entry)
        self._new_bytes += entry_bytes(entry)
        num_new = entry.seq - self._snapshot_seq
        if num_new >= self._snapshot_every or self._new_bytes >= SNAPSHOT_BYTES:
            self._snapshot()

    def _snapshot(self) -> None:
        self._snapshot_seq = int(self._room.seq)
        self._new_bytes = 0
        self._log.snapshot(self._room.state())

    def _when_durable(self, act: Callable[[], None]) -> None:
        """Run `act` once all that has happened so far is durable, in order."""
        if not self._held and self._is_settled:
            act()
        else:
            self._held.append((int(self._room.seq), act))

    # --- what people hear ------------------------------------------------------------------------

    def _tail_since(self, hello: Hello) -> Iterator[ServerMessage] | None:
        """The ops since where somebody stood; None if they need a snapshot."""
        resume = hello.resume
        if resume is None or resume.epoch != self._room.epoch:
            return None
        missed = self._tail.since(resume.seq, self._room.seq)
        return None if missed is None else map(applied, missed)

    def _welcome(
        self, member: Member, seq: int, is_snapshot: bool, content: Iterable[ServerMessage]
    ) -> None:
        self._broadcast(Joined(person=member.person))
        self._members[member.person.session] = member
        welcome = Welcome(
            protocol=PROTOCOL_VERSION,
            session=member.person.session,
            person=member.person.person,
            epoch=self._room.epoch,
            seq=seq,
            mode="snapshot" if is_snapshot else "tail",
            people=[other.person for other in self._members.values()],
            limits=self._limits,
            engine=self._generation.engine,
        )
        member.sender.send_join(packed(welcome))
        for message in content:
            # Encoded when it is written: a room of 64 MiB is neither done in one turn, nor
            # there once more for each reader who takes their time.
            member.sender.send_join(Packet(partial(codec.encode, message)))
        for news in (*self._news_for(member), JoinReady(seq=seq)):
            member.sender.send_join(packed(news))

    def _news_for(self, member: Member) -> Iterator[ServerMessage]:
        yield self._history(member.person_id)
        for other in self._members.values():
            if other is not member and other.presence is not None:
                yield other.presence
        yield from self._generation.previews(self.id)

    def _announce(self, taken: Taken, author: Member, history: History) -> None:
        """An op is durable: tell everybody, and generation."""
        entry = taken.entry
        packet = packed(applied(entry))
        for member in self._members.values():
            if member is author and taken.as_asked:
                member.send(Ack(id=entry.id, seq=entry.seq))
            else:
                member.sender.send(packet)
            if member.person_id == entry.by:
                member.send(history)
        try:
            self._generation.changed(self, entry.changes, taken.before, PersonId(entry.by))
        except Exception:  # the op is taken and told: the room goes on
            logger.exception("generation failed on op %d of room %s", entry.seq, self.id)

    def _history(self, person: PersonId) -> History:
        undo, redo = self._room.history(person)
        return History(undo=undo, redo=redo)

    def _refuse(self, member: Member, id: str, refusal: Refusal) -> None:
        refused = Refused(id=id, code=refusal.code, reason=refusal.reason)
        self._when_durable(lambda: member.send(refused))

    def _broadcast(self, message: ServerMessage) -> None:
        packet = packed(message)
        for member in self._members.values():
            member.sender.send(packet)


def applied(entry: Entry) -> Applied:
    return Applied(seq=entry.seq, id=entry.id, by=entry.by, changes=entry.changes)
