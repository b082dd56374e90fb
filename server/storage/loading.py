"""Reads rooms from the journal, and tells what is whole from what was damaged.

Each function is one transaction's work. Whatever it finds, it gives what was written or says that
it can't: nothing is taken on trust but what its checksum vouches for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from server.core.entries import Entry
from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId
from server.core.room import RoomState
from server.core.snapshots import decode_parts
from server.storage import chain
from server.storage.compaction import read_history
from server.storage.tables import Head, entries, head, parts, past, rooms, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from server.core.records import Record

KEPT_BYTES = 16 * 1024 * 1024
UNREADABLE = 2**63 - 1
"""The number of a row whose number can't be read: it lies behind all others."""

_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


class DamagedError(StoreError):
    """What was written is there no more."""


class Loaded(msgspec.Struct, frozen=True):
    """A room as it was read."""

    epoch: Epoch
    state: RoomState | None
    """The last snapshot that is whole."""
    entries: list[Entry]
    """Whole and without gaps: those after the snapshot, and the last ones before it."""
    last: Head
    """The last whole entry."""
    committed: Head
    """The last one that was written."""
    num_behind: int
    """How many entries there are behind the last whole one; the first can't be used."""

    @property
    def is_whole(self) -> bool:
        return self.num_behind == 0 and self.last == self.committed

    @property
    def num_missing(self) -> int:
        """How many were written behind the last whole one and aren't there at all."""
        return max(0, self.committed.seq - self.last.seq - self.num_behind)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """An entry as it lies in its table. What lies in the past has no `op` beside it."""

    seq: int
    op: str | None
    entry: bytes
    link: bytes


def load_room(connection: sa.Connection, room: RoomId) -> Loaded:
    """The room, but for what is damaged; raises StoreError if a snapshot is, and can't be done
    without.

    Of the entries before the snapshot no more than about KEPT_BYTES: they are for those who
    resume.
    """
    epoch = connection.execute(sa.select(rooms.c.epoch).where(rooms.c.id == room)).scalar_one()
    committed = head(connection, room)
    state, begin, lost = _newest_whole(connection, room)
    rows = _last_rows(connection, room, begin.seq)
    if lost or (rows and rows[0].seq > begin.seq + 1):
        # The newest snapshot is gone: what came since this one lies in the past, too.
        rows = _after(connection, room, begin.seq)
    before = link_of(connection, room, rows[0].seq - 1) if rows else None
    whole, last = _whole(rows, before, begin)
    included = max(lost or 0, _last_past(connection, room, committed.seq))
    if last.seq < min(included, committed.seq):
        raise DamagedError(
            f"a snapshot of room {room} after entry {included} or later is damaged, and so are the "
            "entries that could stand in for it: put back a copy of the data folder"
        )
    num_behind = sum(row.seq > last.seq for row in rows)
    return Loaded(Epoch(epoch), state, whole, last, committed, num_behind)


def _newest_whole(
    connection: sa.Connection, room: RoomId
) -> tuple[RoomState | None, Head, int | None]:
    """The newest snapshot that is whole, where it ends, and the number of a newer one that isn't.

    Where a snapshot is damaged, an older one that history begins from and what came since do as
    well; and so does the empty room.
    """
    query = sa.select(snapshots.c.seq).where(snapshots.c.room == room)
    lost = None
    for seq in connection.execute(query.order_by(snapshots.c.seq.desc())).scalars().all():
        try:
            state, link = load_snapshot(connection, room, seq)
        except DamagedError:
            lost = lost or int(seq)
        else:
            return state, Head(state.seq, link), lost
    return None, Head(0, chain.origin(room)), lost


def load_snapshot(connection: sa.Connection, room: RoomId, seq: int) -> tuple[RoomState, bytes]:
    """A snapshot, and the link of the last entry that it includes; raises DamagedError."""
    columns = (snapshots.c.link, snapshots.c.num_parts, snapshots.c.digest)
    query = sa.select(*columns).where(snapshots.c.room == room, snapshots.c.seq == seq)
    row = connection.execute(query).first()
    read = sa.select(parts.c.data).where(parts.c.room == room, parts.c.seq == seq)
    found = connection.execute(read.order_by(parts.c.part)).scalars().all()
    if row is None or not all(isinstance(part, bytes) for part in (row.link, *found)):
        raise DamagedError(f"expected a snapshot of room {room} after entry {seq}")
    written = chain.SnapshotSum(room, seq)
    for part in found:
        written.add(part)
    if (written.num_parts, written.finished(row.link)) != (row.num_parts, row.digest):
        raise DamagedError(f"the snapshot of room {room} after entry {seq} is damaged")
    return decode_parts(found), row.link


def load_base(connection: sa.Connection, room: RoomId) -> tuple[int, list[Record]]:
    """Where history begins: the number of an op, and the records as they were after it.

    Raises StoreError.
    """
    base, _ = read_history(connection, room)
    return base, load_snapshot(connection, room, base)[0].records if base else []


def load_entries(connection: sa.Connection, room: RoomId, after: int, most: int) -> list[Entry]:
    """The next entries after a number, at most so many; raises StoreError if one is missing."""
    before = link_of(connection, room, after)
    found: list[Entry] = []
    for row in _after(connection, room, after, most):
        entry = None if before is None else _checked(row, before)
        if entry is None or entry.seq != after + len(found) + 1:
            if found:
                break
            raise StoreError(
                f"the history before op {row.seq} was forgotten just now, or is damaged: try again"
            )
        found.append(entry)
        before = row.link
    return found


def link_of(connection: sa.Connection, room: RoomId, seq: int) -> bytes | None:
    """The link of an entry that is there, or that a snapshot ends with; None: it is nowhere."""
    if seq == 0:
        return chain.origin(room)
    for table in (entries, past, snapshots):
        query = sa.select(table.c.link).where(table.c.room == room, table.c.seq == seq)
        link = connection.execute(query).scalar()
        if isinstance(link, bytes):
            return link
    return None


def _after(connection: sa.Connection, room: RoomId, seq: int, most: int | None = None) -> list[Row]:
    both = sa.union_all(
        sa.select(past.c.seq, sa.null().label("op"), past.c.entry, past.c.link).where(
            past.c.room == room, past.c.seq > seq
        ),
        sa.select(entries.c.seq, entries.c.op, entries.c.entry, entries.c.link).where(
            entries.c.room == room, entries.c.seq > seq
        ),
    )
    found = connection.execute(both.order_by(sa.text("seq")).limit(most))
    return [_row(row) for row in found]


def _last_past(connection: sa.Connection, room: RoomId, upto: int) -> int:
    """The newest entry in the past, which a snapshot includes; 0: there is none."""
    query = sa.select(sa.func.max(past.c.seq)).where(past.c.room == room, past.c.seq <= upto)
    return connection.execute(query).scalar() or 0


def _last_rows(connection: sa.Connection, room: RoomId, snapshot_seq: int) -> list[Row]:
    columns = (entries.c.seq, entries.c.op, entries.c.entry, entries.c.link)
    query = sa.select(*columns).where(entries.c.room == room).order_by(entries.c.seq.desc())
    newest_first: list[Row] = []
    num_kept_bytes = 0
    for found in connection.execute(query):
        row = _row(found)
        if row.seq <= snapshot_seq:
            num_kept_bytes += len(row.entry)
            if num_kept_bytes > KEPT_BYTES:
                break
        newest_first.append(row)
    return newest_first[::-1]


def _row(found: Sequence[object]) -> Row:
    try:
        return msgspec.convert(tuple(found), Row)
    except msgspec.ValidationError:
        # SQLite keeps whatever type a damaged field says that it has.
        return Row(UNREADABLE, None, b"", b"")


def _whole(rows: Iterable[Row], before: bytes | None, begin: Head) -> tuple[list[Entry], Head]:
    """The entries up to the first behind the snapshot that is damaged or doesn't follow.

    `before` is the link of the entry before the first row; None: it isn't known.
    """
    whole: list[Entry] = []
    last = begin
    for row in rows:
        if row.seq > begin.seq:
            if row.seq != last.seq + 1 or (entry := _checked(row, last.link)) is None:
                break
            last = Head(row.seq, row.link)
            if whole and whole[-1].seq != row.seq - 1:
                # The snapshot has what is missing; only those who resume had need of it.
                whole.clear()
            whole.append(entry)
            continue
        entry = None if before is None else _checked(row, before)
        if entry is None or (whole and whole[-1].seq != row.seq - 1):
            whole.clear()
        if entry is not None:
            whole.append(entry)
        before = row.link
    return whole, last


def _checked(row: Row, before: bytes) -> Entry | None:
    """The entry of this row, which follows one with the link `before`; None if it isn't that."""
    if row.link != chain.link(before, row.entry):
        return None
    entry = _decoder.decode(row.entry)
    return entry if entry.seq == row.seq and row.op in (None, entry.id) else None
