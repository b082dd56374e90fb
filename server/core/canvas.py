"""The state of a room that ops change: records, their stamps, recent edits of texts.

`Canvas` holds it; a `Draft` is an op in the making on top of it, which is committed whole or
thrown away whole. Knows nothing of who may do what, of op ids or of undo stacks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from server.core import schema, text, undo
from server.core.access import lock_id
from server.core.errors import Refusal
from server.core.records import (
    Change,
    Comment,
    Delete,
    Edit,
    Frame,
    Layer,
    Mask,
    Patch,
    Put,
    Record,
)
from server.core.talk import Talk
from server.core.undo import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from server.core.limits import RoomLimits

MAX_COMPONENTS = 1_000
MAX_TRANSFORMED = 100_000
"""Components walked over for one edit that comes late: about 0.1 s, in which nobody is served."""


class TextEdit(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    id: str
    field: str
    delta: list[int | str]

    @property
    def num_parts(self) -> int:
        return sum(len(part) if isinstance(part, str) else 1 for part in self.delta)


class Canvas:
    """Records by id with their stamps, and the last edits of texts, oldest first."""

    def __init__(self, limits: RoomLimits) -> None:
        self.limits = limits
        self.records: dict[str, Record] = {}
        self.stamps: dict[str, Stamps] = {}
        self.num_bytes = 0
        self.talk = Talk()
        self.edits: deque[TextEdit] = deque()
        self._num_edit_parts = 0
        self.edits_floor = 0
        """Edits made on a text older than this can't be transformed any more."""

    def load(self, records: Iterable[Record], stamps: Iterable[Stamps]) -> None:
        for record, stamp in zip(records, stamps, strict=True):
            self.records[record.id] = record
            self.stamps[record.id] = stamp
            self.num_bytes += schema.cost_bytes(record)
            self.talk.add(record)

    def edits_since(self, record: str, field: str, base: int) -> list[TextEdit]:
        """The edits of one text that came after number `base`, oldest first."""
        since: list[TextEdit] = []
        for edit in reversed(self.edits):
            if edit.seq <= base:
                break
            if edit.id == record and edit.field == field:
                since.append(edit)
        return since[::-1]

    def remember(self, edits: Iterable[TextEdit]) -> None:
        for edit in edits:
            self.edits.append(edit)
            self._num_edit_parts += edit.num_parts
        while (
            len(self.edits) > self.limits.text_edits
            or self._num_edit_parts > self.limits.text_edit_parts
        ):
            oldest = self.edits.popleft()
            self._num_edit_parts -= oldest.num_parts
            self.edits_floor = oldest.seq


class Draft:
    """One op as number `seq` by one person, seen on top of the canvas.

    `changes` are those that have an effect, as everybody is to apply them. `altered` tells
    whether they differ from what was asked for.
    """

    def __init__(self, canvas: Canvas, seq: int, by: str) -> None:
        self._canvas = canvas
        self._seq = seq
        self.by = by
        self._records: dict[str, Record | None] = {}
        self._stamps: dict[str, Stamps] = {}
        self._edits: list[TextEdit] = []
        self.changes: list[Change] = []
        self.moves: list[undo.Move] = []
        self.altered = False

    def get(self, record: str) -> Record | None:
        if record in self._records:
            return self._records[record]
        return self._canvas.records.get(record)

    def only_by(self, person: str) -> list[str]:
        """What this person put here and nobody else has written to since."""
        ids = dict.fromkeys((*self._canvas.records, *self._records))
        return [id for id in ids if self.get(id) and self._stamps_of(id).are_only_of(person)]

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply each change in turn; raises Refusal, after which the draft is of no use."""
        for change in changes:
            match change:
                case Put(record):
                    self.put(record)
                case Patch(id, fields):
                    self.patch(id, fields)
                case Delete(id):
                    self.delete(id)
                case Edit():
                    self.edit(change)

    def put(self, record: Record) -> None:
        if self.get(record.id) is not None:
            raise Refusal(
                "exists",
                f"a record with the id {record.id} is there already: "
                "give the new one an id of its own",
            )
        schema.check(record)
        record = msgspec.structs.replace(record, by=self.by)
        self._check_references(record)
        stamps = Stamps(born=self._stamp, base=self._stamp, fields={})
        self._set(record, stamps)
        self.changes.append(Put(record))
        self.moves.append(undo.Put(record.id, stamps))

    def patch(self, id: str, fields: Mapping[str, Any]) -> None:
        old = self.get(id)
        if old is None:
            self.altered = True
            return
        new = schema.patched(old, fields)
        self._check_references(new)
        stamps = self._stamps_of(id)
        moves = {
            name: undo.Field(getattr(old, name), stamps.of(name), getattr(new, name), self._stamp)
            for name in fields
        }
        self._set(new, stamps.with_fields(dict.fromkeys(fields, self._stamp)))
        self.changes.append(Patch(id, {name: getattr(new, name) for name in fields}))
        self.moves.append(undo.Patched(id, moves))

    def delete(self, id: str) -> None:
        old = self.get(id)
        if old is None:
            self.altered = True
            return
        self.moves.append(undo.Deleted(old, self._stamps_of(id)))
        self._records[id] = None
        self.changes.append(Delete(id))
        # Else what comes to lie elsewhere without it would stay locked, with nothing to unlock.
        if isinstance(old, Layer | Frame) and self.get(lock_id(id)) is not None:
            self.delete(lock_id(id))
            self.altered = True
        if isinstance(old, Comment) and old.thread is None:
            self._delete_answers(id)

    def _delete_answers(self, thread: str) -> None:
        """An answer without what it answers would be seen nowhere, and fill the room."""
        mine = [r.id for r in self._records.values() if isinstance(r, Comment)]
        for id in dict.fromkeys((*self._canvas.talk.answers(thread), *mine)):
            answer = self.get(id)
            if isinstance(answer, Comment) and answer.thread == thread:
                self.delete(id)
                self.altered = True

    def edit(self, edit: Edit) -> None:
        """Change a text as `edit` means it, whatever came since the text it was made on."""
        record = self.get(edit.id)
        if record is None:
            self.altered = True
            return
        self._check_edit(record, edit)
        delta = self._transformed(edit)
        if not delta:
            self.altered = True
            return
        self.altered = self.altered or delta != list(edit.delta)
        try:
            new_text = text.apply(getattr(record, edit.field), delta)
        except text.DeltaError as error:
            raise _bad_edit(edit, str(error)) from None
        new = schema.patched(record, {edit.field: new_text})
        self._set(new, self._stamps_of(edit.id).with_fields({edit.field: self._stamp}))
        self._edits.append(TextEdit(self._seq, edit.id, edit.field, delta))
        self.changes.append(Edit(edit.id, edit.field, self._seq - 1, delta))

    def take_back(self, moves: Sequence[undo.Move]) -> None:
        """Undo what a step did, where it still is as the step left it."""
        for move in reversed(moves):
            match move:
                case undo.Put():
                    self._take_back_put(move)
                case undo.Deleted(record, stamps):
                    if self.get(record.id) is None:
                        self._restore(record, stamps)
                case undo.Patched():
                    self._take_back_patch(move)

    def follow(self, changes: Sequence[Change]) -> None:
        """Apply what was an undo, a redo or a sweep, without what it had to go by."""
        for change in changes:
            match change:
                case Put(record):
                    self._restore(record, Stamps(self._stamp, self._stamp, {}))
                case Patch(id, fields):
                    self.patch(id, fields)
                case Delete(id):
                    self.delete(id)

    def touched(self) -> Iterator[Record]:
        """What is changed, as it was and as it will be."""
        for id, record in self._records.items():
            before = self._canvas.records.get(id)
            yield from (version for version in (before, record) if version is not None)

    def commit(self) -> dict[str, Record | None]:
        """Make it so; return each touched record as it was before."""
        canvas = self._canvas
        before = {id: canvas.records.get(id) for id in self._records}
        canvas.num_bytes += self.added_bytes()
        for id, record in self._records.items():
            canvas.talk.replace(before[id], record)
            if record is None:
                canvas.records.pop(id, None)
                canvas.stamps.pop(id, None)
            else:
                canvas.records[id] = record
                canvas.stamps[id] = self._stamps[id]
        canvas.remember(self._edits)
        return before

    def added_records(self) -> int:
        old = sum(id in self._canvas.records for id in self._records)
        return sum(record is not None for record in self._records.values()) - old

    def added_bytes(self) -> int:
        old = (self._canvas.records.get(id) for id in self._records)
        return _cost(self._records.values()) - _cost(old)

    @property
    def _stamp(self) -> undo.Stamp:
        return (self._seq, self.by)

    def _stamps_of(self, id: str) -> Stamps:
        return self._stamps[id] if id in self._stamps else self._canvas.stamps[id]

    def _set(self, record: Record, stamps: Stamps) -> None:
        self._records[record.id] = record
        self._stamps[record.id] = stamps

    def _check_references(self, record: Record) -> None:
        """A mask needs its frame; a layer that is gone is no reason to lose a stroke."""
        if isinstance(record, Mask) and not isinstance(self.get(record.frame), Frame):
            raise Refusal("missing_frame", f"there is no frame {record.frame} to mask")
        if isinstance(record, Comment) and record.thread is not None:
            self._check_thread(record.thread)
        layer_id = getattr(record, "layer", None)
        layer = self.get(layer_id) if layer_id else None
        if layer is not None and not isinstance(layer, Layer):
            raise Refusal("bad_record", f"{layer_id} is a {schema.type_name(layer)}, not a layer")
        if isinstance(record, Frame) and self._is_too_large(record):
            raise Refusal(
                "bad_record",
                f"expected a frame of at most {self._canvas.limits.frame_area_px} square units, "
                f"got {record.w:.0f} by {record.h:.0f}: make it smaller",
            )

    def _check_thread(self, thread: str) -> None:
        first = self.get(thread)
        if not isinstance(first, Comment) or first.thread is not None:
            raise Refusal("missing", "the comment that this one answers is gone: begin anew")

    def _is_too_large(self, record: Record) -> bool:
        area_px = self._canvas.limits.frame_area_px
        return isinstance(record, Frame) and record.w * record.h > area_px

    def _check_edit(self, record: Record, edit: Edit) -> None:
        if not schema.is_text_field(record, edit.field):
            raise _bad_edit(edit, f"a {schema.type_name(record)} has no such text")
        if any(done.id == edit.id and done.field == edit.field for done in self._edits):
            raise _bad_edit(edit, "expected one edit of a text in an op, got more")
        if edit.base >= self._seq:
            raise _bad_edit(edit, f"expected a base below {self._seq}, got {edit.base}")
        stamps = self._stamps_of(edit.id)
        floor = self._canvas.edits_floor
        if edit.base < floor or (stamps.restored and edit.base < stamps.born[0]):
            raise _stale(edit)

    def _transformed(self, edit: Edit) -> list[int | str]:
        delta: list[int | str] = list(edit.delta)
        born = self._stamps_of(edit.id).born[0]
        try:
            text.check(delta, text.old_span(delta))
        except text.DeltaError as error:
            raise _bad_edit(edit, str(error)) from None
        num_transformed = 0
        for earlier in self._canvas.edits_since(edit.id, edit.field, max(edit.base, born)):
            num_transformed += len(delta) + len(earlier.delta)
            if num_transformed > MAX_TRANSFORMED:
                raise _stale(edit)
            delta = text.transform(delta, earlier.delta, first=False)
        if len(delta) > MAX_COMPONENTS:
            raise _bad_edit(edit, f"expected at most {MAX_COMPONENTS} parts: send it in pieces")
        return delta

    def _take_back_put(self, move: undo.Put) -> None:
        record = self.get(move.id)
        if record is None:
            return
        now = self._stamps_of(move.id)
        written = [*now.fields, *move.stamps.fields]
        if all(now.of(f) == move.stamps.of(f) or now.of(f)[1] == self.by for f in written):
            self.delete(move.id)

    def _restore(self, record: Record, stamps: Stamps) -> None:
        restored = msgspec.structs.replace(stamps, born=self._stamp, restored=True)
        self._set(record, restored)
        self.changes.append(Put(record))
        self.moves.append(undo.Put(record.id, restored))

    def _take_back_patch(self, move: undo.Patched) -> None:
        record = self.get(move.id)
        if record is None:
            return
        now = self._stamps_of(move.id)
        mine = {name: f for name, f in move.fields.items() if now.of(name) == f.new_stamp}
        # Fields that others hold now stay in the step: it may be undone or redone again later.
        self.moves.append(move.reversed())
        if not mine:
            return
        values = {name: field.old for name, field in mine.items()}
        restored = schema.patched(record, values)
        # Half of a size may be somebody else's by now: the old half needn't fit it.
        if self._is_too_large(restored):
            return
        self._set(
            restored,
            now.with_fields({name: field.old_stamp for name, field in mine.items()}),
        )
        self.changes.append(Patch(move.id, values))


def _cost(records: Iterable[Record | None]) -> int:
    return sum(schema.cost_bytes(record) for record in records if record is not None)


def _stale(edit: Edit) -> Refusal:
    return Refusal(
        "stale_text",
        f"{edit.field} of {edit.id} was edited on a text of too long ago "
        f"(number {edit.base}): look at it as it is now and type again",
    )


def _bad_edit(edit: Edit, what: str) -> Refusal:
    return Refusal("bad_edit", f"{edit.field} of {edit.id}: {what}")
