"""A loaded room with the people in it: every op to the journal first, and then to everybody.

Implements `server.ports.RoomPort`. Runs on the event loop; no method here waits. What depends
on an op is held back until that op is durable (J1); cursors, ink and previews go past it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from server.core import access, codec, ids, polls
from server.core.closings import BANNED, KICKED, NOT_ANY_MORE, NOT_SAVED
from server.core.deeds import Ban, Clear, Gather, Kick, MakeInvite, TakeBack
from server.core.errors import Refusal
from server.core.ids import NOBODY, PersonId, RoomId
from server.core.messages import (
    PROTOCOL_VERSION,
    Ack,
    Disk,
    DiskState,
    Engine,
    Gathered,
    Generate,
    Hello,
    History,
    Invited,
    JoinReady,
    Limits,
    Moderate,
    Person,
    Preview,
    Refused,
    ServerMessage,
    Snapshot,
    Welcome,
)
from server.core.messages import Cancel as CancelRequest
from server.core.moderation import Decider, founded
from server.core.room import Request, Room, Settled, Taken
from server.core.snapshots import in_portions
from server.ledger import Ledger
from server.net.outbox import Packet
from server.seats import Later, Seat, Seats, on_loop, packed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from server.core.access import Grant, Standing
    from server.core.entries import Entry
    from server.core.records import Change, Record
    from server.core.session import Relay
    from server.ports import GenerationPort
    from server.storage.base import Opened

logger = logging.getLogger(__name__)


class HostedRoom:
    """One room, its journal and its members."""

    def __init__(
        self,
        room: Room,
        opened: Opened,
        generation: GenerationPort,
        limits: Limits,
        now_ms: Callable[[], int],
        disk: DiskState,
        *,
        keep_entries: int,
        snapshot_every: int,
        later: Later = on_loop,
    ) -> None:
        self._room = room
        self._ledger = Ledger(room, opened, keep_entries=keep_entries, every=snapshot_every)
        self._generation = generation
        self._limits = limits
        self._now_ms = now_ms
        self._disk = disk
        self._later = later
        self.seats = Seats(later)

    # --- for generation: ports.RoomPort ---------------------------------------------------------

    @property
    def id(self) -> RoomId:
        return self._room.id

    @property
    def seq(self) -> int:
        """The number of the newest op."""
        return int(self._room.seq)

    @property
    def records(self) -> Mapping[str, Record]:
        return self._room.records

    def append(self, changes: Sequence[Change], by: PersonId) -> None:
        if self.is_failed:
            return
        outcome = self._room.append(changes, by, self._now_ms())
        if isinstance(outcome, Taken):
            self._ledger.write(outcome.entry)
            self._ledger.when_durable(lambda: self._broadcast(outcome.entry))

    def relay_preview(self, preview: Preview) -> None:
        key = ("preview", preview.frame, str(preview.index))
        self.seats.spread(Packet(codec.encode(preview), ephemeral=True, key=key))

    # --- people -----------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Nobody is here or on the way in, and all that happened is on the disk."""
        return not len(self.seats) and self._ledger.is_settled

    @property
    def is_failed(self) -> bool:
        """The journal has failed: this is no room any more."""
        return self._ledger.has_failed

    def standing(self, person: PersonId, grant: Grant) -> Standing | None:
        """What somebody may do here now; None: they may not be here."""
        if self.is_new:
            return access.Standing(grant.role or "host")
        return access.standing(self._room.records, person, grant, self._now_ms())

    @property
    def is_new(self) -> bool:
        """Nobody has made it theirs."""
        return access.ACCESS_ID not in self._room.records

    def invited_by(self, link: str) -> Grant | None:
        """What a link is good for; None if it isn't, or not any more."""
        invite = access.invited_by(self._room.records, link, self._now_ms())
        return None if invite is None else access.Grant(invite=invite.id)

    def check_may_change(self, seat: Seat) -> None:
        """Raise Refusal where somebody may only watch."""
        self._standing_now(seat).check_may_change()

    def saved(self) -> asyncio.Future[None]:
        """Done once all that has happened so far is durable; may raise StoreError."""
        return self._ledger.saved()

    @property
    def is_read_only(self) -> bool:
        """Nothing can be saved at the moment."""
        return self._disk != "ok"

    def enter(self, seat: Seat, hello: Hello) -> None:
        """Let somebody in as of now; they hear of it once all that they'll see is durable."""
        if self.is_new and self.is_read_only:
            seat.sender.close(*NOT_SAVED)
            return
        if self.is_new:
            changes = founded(seat.person_id, seat.person.name, seat.standing.role)
            self.append(changes, seat.person_id)
        self.seats.expect(seat)
        seq = int(self._room.seq)
        content = self._tail_since(hello, seat.person_id)
        mode = "snapshot" if content is None else "tail"
        if content is None:
            # The records of this moment: the ops after it follow in their turn.
            portions = in_portions(polls.shown(self._room.records, seat.person_id))
            content = (Snapshot(records=portion) for portion in portions)
        messages = content

        def welcome() -> None:
            if self.seats.arrive(seat):
                self._welcome(seat, seq, mode == "snapshot", messages)

        self._ledger.when_durable(welcome)

    def rename(self, seat: Seat, person: Person) -> None:
        seat.rename(person.name, person.color)
        self.seats.update(seat)

    def relay(self, seat: Seat, relay: Relay) -> None:
        """Pass on ink, a cursor or a look to those who are here."""
        if not self.seats.is_here(seat):
            return
        if relay.kind != "ink":
            self.seats.move(seat, relay.kind, relay.message)
        elif seat.standing.may_change or relay.ends:
            self.seats.spread(Packet(relay.message, ephemeral=True), but=seat)

    def tell_engine(self, engine: Engine) -> None:
        self.seats.broadcast(engine)

    def tell_disk(self, state: DiskState) -> None:
        self._disk = state
        self.seats.broadcast(Disk(state=state))

    # --- requests -----------------------------------------------------------------------------

    def _takes(self, seat: Seat) -> bool:
        """Whether anything is taken now. Whoever asks while nothing can be saved is disconnected.

        So all that they have under way comes again in its order, once they may send it: were
        one request passed over and the next one taken, the second could build on the first.
        """
        if self.is_read_only:
            seat.sender.close(*NOT_SAVED)
        return not (self.is_failed or self.is_read_only)

    def ask(self, seat: Seat, request: Request) -> None:
        """Do what somebody asks for; the answer comes once it is durable."""
        if not self._takes(seat):
            return
        try:
            standing = self._standing_now(seat)
            outcome = self._room.request(
                request, seat.person_id, self._now_ms(), standing, seat.person.name
            )
        except Refusal as refusal:
            self._refuse(seat, request.id, refusal)
            return
        self._answer(seat, request.id, outcome)

    def decide(self, seat: Seat, request: Moderate) -> None:
        """Do what a host asks for, and see to it that it holds for who is here already."""
        if not self._takes(seat):
            return
        deed = request.deed
        secret = ids.new_secret() if isinstance(deed, MakeInvite) else ""
        host = Decider(
            person=seat.person_id,
            now_ms=self._now_ms(),
            digest=ids.digest(secret),
            invite=request.id,
            is_passing=access.is_passing(self._room.records, seat.person_id, seat.grant),
            name=self.seats.name_of(getattr(deed, "person", None)),
        )
        standing = self._standing_now(seat)
        if isinstance(deed, Clear | TakeBack) and standing.is_host:
            self._stop_work(request)
        try:
            outcome = self._room.moderate(request, host, standing)
        except Refusal as refusal:
            self._refuse(seat, request.id, refusal)
            return
        if isinstance(deed, Ban) and deed.banned:
            self._generation.withdraw(self, PersonId(deed.person))
        self._answer(seat, request.id, outcome)
        if secret and isinstance(outcome, Taken):
            invited = Invited(id=request.id, link=f"{request.id}.{secret}")
            self._ledger.when_durable(lambda: seat.send(invited))
        if isinstance(deed, Gather):
            gathered = Packet(codec.encode(Gathered(session=seat.session)), ephemeral=True)
            self._ledger.when_durable(lambda: self.seats.spread(gathered, but=seat))
        if isinstance(deed, Kick):
            self._ledger.when_durable(lambda: self.seats.close(*KICKED, deed.person))
        self._ledger.when_durable(self.review)

    def _stop_work(self, sweep: Moderate) -> None:
        """What a sweep takes away ends before it: undoing the sweep brings no work back."""
        if not self._room.has_taken(sweep.id):
            person = sweep.deed.person if isinstance(sweep.deed, TakeBack) else None
            self._generation.withdraw(self, None if person is None else PersonId(person))

    def review(self) -> None:
        """Send out whom nothing lets in any more, and tell of those who may do more or less."""
        for seat in self.seats.all():
            standing = self.standing(seat.person_id, seat.grant)
            if standing is None:
                is_banned = access.member_of(self._room.records, seat.person_id).banned
                seat.sender.close(*(BANNED if is_banned else NOT_ANY_MORE))
            elif standing != seat.standing:
                seat.stand(standing)
                self.seats.update(seat)

    def _standing_now(self, seat: Seat) -> Standing:
        """As of this moment: whoever is on the way out may only watch."""
        return self.standing(seat.person_id, seat.grant) or access.Standing("viewer")

    def _answer(self, seat: Seat, id: str, outcome: Taken | Settled) -> None:
        if isinstance(outcome, Settled):
            ack = Ack(id=id, seq=outcome.seq)
            self._ledger.when_durable(lambda: seat.send(ack))
            return
        self._ledger.write(outcome.entry)
        history = self._history(seat.person_id)
        self._ledger.when_durable(lambda: self._announce(outcome, seat, history))

    def make(self, seat: Seat, request: Generate | CancelRequest) -> None:
        """Start or stop making pictures."""
        if not self._takes(seat):
            return
        try:
            self._check_may_make(seat, request.frame)
            if isinstance(request, CancelRequest):
                self._generation.cancel(self, seat.person_id, request)
                return
            if self._room.is_full:
                raise Refusal("room_full", "the room is full: delete something first")
            self._generation.generate(self, seat.person_id, request)
        except Refusal as refusal:
            id = request.id if isinstance(request, Generate) else request.frame
            self._refuse(seat, id, refusal)

    def _check_may_make(self, seat: Seat, frame: str) -> None:
        standing = self._standing_now(seat)
        standing.check_may_change()
        if not standing.is_host and frame in self._room.records:
            access.check_locks(self._room.records, [self._room.records[frame]])

    # --- the journal ---------------------------------------------------------------------------

    def on_durable(self, seq: int) -> None:
        self._ledger.on_durable(seq)

    def on_failed(self) -> None:
        self._ledger.fail()
        self.seats.close(*NOT_SAVED)
        self.seats = Seats(self._later)

    def close(self) -> None:
        """The room is being unloaded."""
        self._ledger.close(with_snapshot=not self.is_read_only)

    # --- what people hear ------------------------------------------------------------------------

    def _tail_since(self, hello: Hello, person: PersonId) -> Iterator[ServerMessage] | None:
        """The ops since where somebody stood; None if they need a snapshot."""
        resume = hello.resume
        if resume is None or resume.epoch != self._room.epoch:
            return None
        missed = self._ledger.since(resume.seq)
        return None if missed is None else (polls.applied(entry, person) for entry in missed)

    def _welcome(
        self, seat: Seat, seq: int, is_snapshot: bool, content: Iterable[ServerMessage]
    ) -> None:
        welcome = Welcome(
            protocol=PROTOCOL_VERSION,
            session=seat.session,
            person=seat.person.person,
            epoch=self._room.epoch,
            seq=seq,
            mode="snapshot" if is_snapshot else "tail",
            people=[other.person for other in self.seats],
            limits=self._limits,
            engine=self._generation.engine,
            now_ms=self._now_ms(),
            badge=seat.badge,
        )
        seat.sender.send_join(packed(welcome))
        for message in content:
            # Encoded when it is written: a room of 64 MiB is neither done in one turn, nor
            # there once more for each reader who takes their time.
            seat.sender.send_join(Packet(partial(codec.encode, message)))
        for news in self._news_for(seat):
            seat.sender.send_join(news)
        seat.sender.send_join(packed(JoinReady(seq=seq)))

    def _news_for(self, seat: Seat) -> Iterator[Packet]:
        if self.is_read_only:
            yield packed(Disk(state=self._disk))
        yield packed(self._history(seat.person_id))
        for other in self.seats:
            if other is not seat:
                yield from other.latest.values()
        yield from map(packed, self._generation.previews(self.id))

    def _announce(self, taken: Taken, author: Seat, history: History) -> None:
        """An op is durable: tell everybody, and generation."""
        entry = taken.entry
        self._broadcast(entry, author if taken.as_asked else None)
        for seat in self.seats:
            if seat.person_id == entry.by:
                seat.send(history)
        try:
            self._generation.changed(self, entry.changes, taken.before, PersonId(entry.by))
        except Exception:  # the op is taken and told: the room goes on
            logger.exception("generation failed on op %d of room %s", entry.seq, self.id)

    def _broadcast(self, entry: Entry, asked_so: Seat | None = None) -> None:
        """Tell everybody of an op; who asked for just this gets its number only."""
        if asked_so is not None and self.seats.is_here(asked_so):
            asked_so.send(Ack(id=entry.id, seq=entry.seq))
        if not polls.touches_ballots(entry.changes):
            self.seats.spread(packed(polls.applied(entry, NOBODY)), but=asked_so)
            return
        for seat in self.seats:
            if seat is not asked_so:
                seat.send(polls.applied(entry, seat.person_id))

    def _history(self, person: PersonId) -> History:
        undo, redo = self._room.history(person)
        return History(undo=undo, redo=redo)

    def _refuse(self, seat: Seat, id: str, refusal: Refusal) -> None:
        refused = Refused(id=id, code=refusal.code, reason=refusal.reason)
        self._ledger.when_durable(lambda: seat.send(refused))
