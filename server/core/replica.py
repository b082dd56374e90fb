"""A copy of a room's records, as whoever hears of its ops keeps it. No I/O.

What a browser does with `snapshot` and `applied`, and with `ack` for ops of its own, in
Python: for the Python client, and to prove that all copies become equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core import text
from server.core.records import Change, Delete, Edit, Patch, Put, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.core.messages import Ack, Applied, Op, Snapshot


class Replica:
    """Records as of `seq`."""

    def __init__(self) -> None:
        self.seq = 0
        self.records: dict[str, Record] = {}

    def reset(self, seq: int) -> None:
        """A snapshot as of `seq` begins."""
        self.seq = seq
        self.records.clear()

    def fill(self, snapshot: Snapshot) -> None:
        self.records.update((record.id, record) for record in snapshot.records)

    def apply(self, applied: Applied) -> None:
        """Apply the next op; each comes once and in order."""
        assert applied.seq == self.seq + 1, (applied.seq, self.seq)
        self._apply(applied.changes)
        self.seq = applied.seq

    def acknowledge(self, ack: Ack, op: Op, by: str) -> None:
        """An op of one's own was taken just as it was sent."""
        if ack.seq <= self.seq:
            return
        assert ack.seq == self.seq + 1, (ack.seq, self.seq)
        self._apply(stamped(op.changes, by))
        self.seq = ack.seq

    def _apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self.records[change.record.id] = change.record
            elif isinstance(change, Delete):
                del self.records[change.id]
            else:
                self.records[change.id] = changed(self.records[change.id], change)


def changed(record: Record, change: Patch | Edit) -> Record:
    if isinstance(change, Patch):
        merged = {**msgspec.structs.asdict(record), **change.fields}
        patched: Record = msgspec.convert(merged, type(record), builtin_types=(bytes,))
        return patched
    new = text.apply(getattr(record, change.field), change.delta)
    return msgspec.structs.replace(record, **{change.field: new})


def stamped(changes: Iterable[Change], by: str) -> list[Change]:
    """The changes of one's own op, as the others get them."""
    return [
        Put(msgspec.structs.replace(change.record, by=by)) if isinstance(change, Put) else change
        for change in changes
    ]
