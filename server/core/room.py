"""A room: the one authority over its records, and the order of the ops that change them.

`request` (what somebody asks for) and `append` (what the server does) either take an op, which
gives it the next sequence number and an `Entry` for the journal, or raise Refusal and change
nothing. A room made from a snapshot and the entries after it is the same room. Knows no
clock, no sockets and no disk: whoever calls sees to it that an entry is durable before
anybody hears of it.
"""

from __future__ import annotations

import contextlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import msgspec

from server.core import access, choosing, moderation, polls, schema, talk, undo
from server.core.access import EDITOR, Standing
from server.core.canvas import Canvas, Draft, TextEdit
from server.core.deeds import Clear, TakeBack
from server.core.entries import Entry, EntryKind
from server.core.errors import Refusal
from server.core.ids import Epoch, PersonId, RoomId, Seq
from server.core.limits import RoomLimits
from server.core.messages import Accept, Discard, Moderate, Op, Redo, Undo, Vote
from server.core.records import (
    PEOPLE,
    SERVER_OWNED,
    Candidate,
    Change,
    Chat,
    Edit,
    Job,
    Patch,
    Put,
    Record,
)
from server.core.talk import Author

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.core.moderation import Decider

READ_ONLY = frozenset({"id", "by", "type"})

Request = Op | Undo | Redo | Accept | Discard | Vote


class Taken(msgspec.Struct, frozen=True):
    """The room has a new entry."""

    entry: Entry
    before: dict[str, Record | None]
    """Each touched record as it was."""
    as_asked: bool
    """The changes are those that were sent: their author needs no more than a number."""


class Settled(msgspec.Struct, frozen=True):
    """Nothing new: the op was taken before as number `seq`, or (0) changes nothing."""

    seq: int


class RoomState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a room is, for the journal. The lists are the state's own."""

    epoch: str
    seq: int
    seen: dict[str, int]
    edits: list[TextEdit]
    edits_floor: int
    stacks: dict[str, undo.Stack]
    records: list[Record]
    stamps: list[undo.Stamps]


class Room:
    """The live state of one room."""

    def __init__(self, id: RoomId, epoch: Epoch, limits: RoomLimits | None = None) -> None:
        self.id = id
        self.epoch = epoch
        self.limits = limits or RoomLimits()
        self._seq = 0
        self._canvas = Canvas(self.limits)
        self._stacks = undo.Stacks(self.limits)
        self._seen: dict[str, int] = {}

    @classmethod
    def restore(cls, id: RoomId, state: RoomState, limits: RoomLimits | None = None) -> Room:
        room = cls(id, Epoch(state.epoch), limits)
        room._seq = state.seq
        room._seen = dict(state.seen)
        room._canvas.load(state.records, state.stamps)
        room._canvas.edits_floor = state.edits_floor
        room._canvas.remember(state.edits)
        room._stacks = undo.Stacks(
            room.limits, {person: stack.copy() for person, stack in state.stacks.items()}
        )
        return room

    @property
    def seq(self) -> Seq:
        """The number of the newest op; 0 in a room where nothing has happened."""
        return Seq(self._seq)

    @property
    def records(self) -> Mapping[str, Record]:
        return MappingProxyType(self._canvas.records)

    @property
    def is_full(self) -> bool:
        return (
            len(self._canvas.records) >= self.limits.max_records
            or self._canvas.num_bytes >= self.limits.max_bytes
        )

    def has_taken(self, id: str) -> bool:
        """Whether an op with this id is among the last ones."""
        return id in self._seen

    def history(self, person: PersonId) -> tuple[int, int]:
        """How many steps this person can undo and redo."""
        return self._stacks.depths(person)

    def state(self) -> RoomState:
        """A snapshot; it doesn't change when the room does."""
        canvas = self._canvas
        return RoomState(
            epoch=self.epoch,
            seq=self._seq,
            seen=dict(self._seen),
            edits=list(canvas.edits),
            edits_floor=canvas.edits_floor,
            stacks=self._stacks.copy(),
            records=list(canvas.records.values()),
            stamps=[canvas.stamps[id] for id in canvas.records],
        )

    def request(
        self,
        request: Request,
        by: PersonId,
        at_ms: int,
        standing: Standing = EDITOR,
        name: str = "",
    ) -> Taken | Settled:
        """Do what somebody (called `name`) asks for; raises Refusal: nothing has changed then."""
        if (seq := self._seen.get(request.id)) is not None:
            return Settled(seq)
        if self._is_talk(request):
            standing.check_may_talk()
        else:
            standing.check_may_change()
        match request:
            case Undo(id=id):
                return self._take_back("undo", id, by, at_ms, standing)
            case Redo(id=id):
                return self._take_back("redo", id, by, at_ms, standing)
            case Op():
                draft = self._submit(request, Author(by, name, standing.is_host, at_ms))
            case Accept():
                draft = self._draft(by)
                choosing.accept(draft, request, self._canvas.records)
            case Discard():
                draft = self._draft(by)
                choosing.discard(draft, request)
            case Vote(dots=dots):
                draft = self._draft(by)
                draft.apply(polls.voted(dots, self._canvas.records, by))
        self._check_allowed(draft, standing)
        as_asked = isinstance(request, Op) and not draft.altered
        kind: EntryKind = "made" if isinstance(request, Vote) else "op"
        return self._take(draft, request.id, kind, at_ms, as_asked=as_asked)

    def _is_talk(self, request: Request) -> bool:
        """Whether this is of what viewers may be allowed."""
        if isinstance(request, Op):
            return talk.is_talk(request.changes, self._canvas.records)
        return isinstance(request, Vote)

    def moderate(self, request: Moderate, host: Decider, standing: Standing) -> Taken | Settled:
        """Do what a host asks for; raises Refusal, and then nothing has changed."""
        if (seq := self._seen.get(request.id)) is not None:
            return Settled(seq)
        standing.check_is_host()
        by = PersonId(host.person)
        if isinstance(request.deed, Clear | TakeBack):
            draft = self._swept(request.deed, by)
            return self._take(draft, request.id, "sweep", host.now_ms, as_asked=False)
        draft = self._draft(by)
        draft.apply(moderation.plan(request.deed, self._canvas.records, host))
        return self._take(draft, request.id, "made", host.now_ms, as_asked=False)

    def append(self, changes: Sequence[Change], by: PersonId, at_ms: int) -> Taken | Settled:
        """Apply an op that the server made; nobody can undo it, and no limit stops it."""
        draft = self._draft(by)
        draft.apply(changes)
        # Nobody can send such an id: it can't have been seen before.
        return self._take(draft, f":{self._seq + 1}", "made", at_ms, as_asked=False)

    def replay(self, entry: Entry) -> None:
        """Apply an entry of the journal: the room becomes what it was right after it."""
        assert entry.seq == self._seq + 1, (entry.seq, self._seq)
        by = PersonId(entry.by)
        if entry.kind in ("undo", "redo"):
            draft = self._replayed(entry, by)
        elif entry.kind == "sweep":
            draft = self._draft(by)
            draft.follow(entry.changes)
            self._keep_step(draft, entry.kind)
        else:
            draft = self._draft(by)
            draft.apply(entry.changes)
            self._keep_step(draft, entry.kind)
        self._advance(draft, entry.id)

    def _replayed(self, entry: Entry, by: PersonId) -> Draft:
        try:
            draft, left = self._found(entry.kind, by)
        except Refusal:
            draft, left = self._draft(by), 0
        if draft.changes != entry.changes:
            # Limits on undo may differ from those of that day: what was seen is what counts.
            draft = self._draft(by)
            draft.follow(entry.changes)
        else:
            self._shift(entry.kind, by, left, draft)
        return draft

    def _swept(self, deed: Clear | TakeBack, by: PersonId) -> Draft:
        """The sweep as everybody follows it, so that a replay is the same to the last stamp."""
        if isinstance(deed, Clear):
            changes = moderation.cleared(self._canvas.records)
        else:
            changes = self._deeds_of(PersonId(deed.person))
        draft = self._draft(by)
        for change in changes:
            # What can't be put back alone (a mask whose frame is gone) doesn't keep the rest.
            with contextlib.suppress(Refusal):
                draft.follow([change])
        return draft

    def _deeds_of(self, person: PersonId) -> list[Change]:
        """What takes back all that this person did and nobody else has changed since.

        Their undo steps first; then what they put here longer ago than those reach back.
        """
        draft = self._draft(person)
        for step in reversed(self._stacks.undoable(person)):
            draft.take_back(step.moves)
        for id in draft.only_by(person):
            record = draft.get(id)
            if record is not None and _is_work(record):
                draft.delete(id)
        return draft.changes

    def _submit(self, op: Op, author: Author) -> Draft:
        draft = self._draft(PersonId(author.person))
        for change in op.changes:
            _check_may_change(change, draft, author)
            stamped = talk.stamped(change, author, self._seq + 1)
            draft.altered = draft.altered or stamped != change
            draft.apply([stamped])
        self._forget_oldest_lines(draft)
        return draft

    def _forget_oldest_lines(self, draft: Draft) -> None:
        num_new = sum(isinstance(c, Put) and isinstance(c.record, Chat) for c in draft.changes)
        if num_new:
            for id in self._canvas.talk.oldest_lines(self.limits.chat_lines - num_new):
                draft.delete(id)
                draft.altered = True

    def _take_back(
        self,
        kind: Literal["undo", "redo"],
        id: str,
        by: PersonId,
        at_ms: int,
        standing: Standing,
    ) -> Taken:
        draft, left = self._found(kind, by)
        self._check_allowed(draft, standing)
        self._shift(kind, by, left, draft)
        return self._enter(draft, id, kind, at_ms, as_asked=False)

    def _found(self, kind: EntryKind, by: PersonId) -> tuple[Draft, int]:
        """The newest step that still has something to take back, and how many lie below it."""
        undoing = kind == "undo"
        steps = self._stacks.undoable(by) if undoing else self._stacks.redoable(by)
        for left in reversed(range(len(steps))):
            draft = self._draft(by)
            draft.take_back(steps[left].moves)
            if draft.changes:
                return draft, left
        raise Refusal(
            f"nothing_to_{kind}",
            f"there is nothing of yours to {kind} that nobody has changed since",
        )

    def _shift(self, kind: EntryKind, by: PersonId, left: int, draft: Draft) -> None:
        inverse = undo.step(self._seq + 1, draft.moves)
        if kind == "undo":
            self._stacks.undid(by, left, inverse)
        else:
            self._stacks.redid(by, left, inverse)

    def _take(
        self, draft: Draft, id: str, kind: EntryKind, at_ms: int, *, as_asked: bool
    ) -> Taken | Settled:
        """Commit a draft that may be empty, as a step that its author can undo."""
        if not draft.changes:
            return Settled(0)
        self._keep_step(draft, kind)
        return self._enter(draft, id, kind, at_ms, as_asked=as_asked)

    def _keep_step(self, draft: Draft, kind: EntryKind) -> None:
        moves = talk.undoable(draft.moves, draft.get) if kind == "op" else draft.moves
        if not moves or kind not in ("op", "sweep"):
            return
        step = undo.step(self._seq + 1, moves)
        # A large sweep would push out everybody's steps: it stays done.
        if kind == "op" or step.cost_bytes <= self.limits.undo_bytes // 2:
            self._stacks.did(draft.by, step)

    def _enter(
        self, draft: Draft, id: str, kind: EntryKind, at_ms: int, *, as_asked: bool
    ) -> Taken:
        before = self._advance(draft, id)
        entry = Entry(self._seq, id, draft.by, kind, at_ms, draft.changes)
        return Taken(entry, before, as_asked)

    def _advance(self, draft: Draft, id: str) -> dict[str, Record | None]:
        before = draft.commit()
        self._seq += 1
        self._seen[id] = self._seq
        if len(self._seen) > self.limits.op_ids:
            del self._seen[next(iter(self._seen))]
        return before

    def _draft(self, by: PersonId) -> Draft:
        return Draft(self._canvas, self._seq + 1, by)

    def _check_allowed(self, draft: Draft, standing: Standing) -> None:
        if not standing.is_host:
            access.check_locks(self._canvas.records, draft.touched())
        self._check_limits(draft)

    def _check_limits(self, draft: Draft) -> None:
        """Refuse growth beyond the limits; what shrinks the room is always welcome."""
        limits, canvas = self.limits, self._canvas
        more, more_bytes = draft.added_records(), draft.added_bytes()
        if more > 0 and len(canvas.records) + more > limits.max_records:
            raise Refusal("room_full", f"a room holds {limits.max_records} things: delete some")
        if more_bytes > 0 and canvas.num_bytes + more_bytes > limits.max_bytes:
            raise Refusal("room_full", f"a room holds {limits.max_bytes} bytes: delete something")


def _is_work(record: Record) -> bool:
    """Whether somebody made it; jobs and live pictures are the server's as long as they last."""
    is_live = isinstance(record, Candidate) and record.live
    return not is_live and not isinstance(record, (Job, *PEOPLE))


def _check_may_change(change: Change, draft: Draft, author: Author) -> None:
    """Refuse what clients must not do, whatever the records are."""
    if isinstance(change, Edit):
        return
    record = change.record if isinstance(change, Put) else draft.get(change.id)
    talk.check_may(change, record, author)
    if isinstance(record, SERVER_OWNED):
        raise Refusal("server_owned", f"a {schema.type_name(record)} is written by the server only")
    if not isinstance(change, Patch):
        return
    if not change.fields:
        raise Refusal("bad_record", f"expected fields to set in {change.id}, got none")
    if forbidden := READ_ONLY & change.fields.keys():
        raise Refusal("read_only", f"{', '.join(sorted(forbidden))} can't be changed")
    for field in change.fields:
        if record is not None and schema.is_text_field(record, field):
            raise Refusal("text_field", f"{field} is a text: change it by an edit")
