"""The tables of the journal, and what is written to and read from them in one transaction.

Plain SQL that SQLite and PostgreSQL both take. Knows nothing of threads or of the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import sqlalchemy as sa

from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId
from server.core.room import Entry, RoomState
from server.core.snapshots import decode_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.core.records import Record

KEPT_BYTES = 16 * 1024 * 1024
HISTORY_BYTES = 64 * 1024 * 1024
TRIAL_BYTES = 1024 * 1024
"""As long as the longest message that clients may send, unless that is set otherwise."""
SWEPT_ROWS = 100
SWEPT_BYTES = 1024 * 1024
"""Most that one transaction of `sweep` clears away: what waits for it waits for milliseconds."""

metadata = sa.MetaData()
rooms = sa.Table(
    "rooms",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("epoch", sa.String, nullable=False),
)
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("op", sa.String, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("room", "op"),
)
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
)
parts = sa.Table(
    "snapshot_parts",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
set_aside = sa.Table(
    "entries_set_aside",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("epoch", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("op", sa.String, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)
"""What was cut off a damaged journal, as it was. Nothing reads it but people."""
trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""Empty, but for a moment: what is written to see whether the disk works again."""
past = sa.Table(
    "past",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)
"""Entries that are needed no more but to go back over them. Their ops' ids may come again."""
history = sa.Table(
    "history",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("base", sa.Integer, nullable=False),
    sa.Column("middle", sa.Integer, nullable=False),
)
"""Which snapshots are kept to go back from: the entries after `base` are all there. Once those are
too many, `middle` takes its place, so that half of them stay. 0 is the empty room."""


class Loaded(msgspec.Struct, frozen=True):
    """A room as it was read."""

    epoch: Epoch
    state: RoomState | None
    """The last snapshot."""
    entries: list[Entry]
    """Whole and without gaps: those after the snapshot, and the last ones before it."""
    num_damaged: int
    """How many more there are, of which the first can't be read or doesn't follow."""

    @property
    def seq(self) -> int:
        """The last whole entry."""
        last = self.entries[-1].seq if self.entries else 0
        return max(last, self.state.seq if self.state else 0)


_Row: TypeAlias = "sa.Row[Any, Any, Any]"
"""The number, the op's id and the bytes of an entry."""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def has_room(connection: sa.Connection, room: RoomId) -> bool:
    query = sa.select(rooms.c.id).where(rooms.c.id == room)
    return connection.execute(query).first() is not None


def create_room(connection: sa.Connection, room: RoomId, epoch: Epoch) -> None:
    """Add the room with a new epoch, unless it is there."""
    if not has_room(connection, room):
        connection.execute(sa.insert(rooms), {"id": room, "epoch": epoch})


def add_entries(connection: sa.Connection, added: Iterable[tuple[RoomId, Entry]]) -> None:
    rows = [
        {"room": room, "seq": entry.seq, "op": entry.id, "entry": _encoder.encode(entry)}
        for room, entry in added
    ]
    if rows:
        connection.execute(sa.insert(entries), rows)


def add_part(connection: sa.Connection, room: RoomId, seq: int, part: int, data: bytes) -> None:
    """Add a part of a snapshot that doesn't count yet; leftovers of a failed one are replaced."""
    here = (parts.c.room == room, parts.c.seq == seq, parts.c.part == part)
    connection.execute(sa.delete(parts).where(*here))
    connection.execute(sa.insert(parts), {"room": room, "seq": seq, "part": part, "data": data})


class Kept(msgspec.Struct, frozen=True):
    """What stays although a snapshot includes it."""

    entries: int
    """For those who resume."""
    history: int
    """Entries to go back over; once there are more, the older half is forgotten."""
    history_bytes: int = HISTORY_BYTES


def finish_snapshot(
    connection: sa.Connection, room: RoomId, seq: int, num_parts: int, kept: Kept
) -> int:
    """From now on the snapshot counts; what it makes superfluous is left to `sweep`.

    Where history began until now: whoever goes back just now began from there.
    """
    connection.execute(sa.delete(snapshots).where(snapshots.c.room == room))
    connection.execute(sa.insert(snapshots), {"room": room, "seq": seq})
    # Left by one with the same number that was never finished.
    more = (parts.c.room == room, parts.c.seq == seq, parts.c.part >= num_parts)
    connection.execute(sa.delete(parts).where(*more))
    begun, _ = _history(connection, room)
    _shorten_history(connection, room, seq, kept)
    return begun


def sweep(connection: sa.Connection, room: RoomId, seq: int, keep_entries: int, begun: int) -> bool:
    """Clear away a little of what a finished snapshot makes superfluous; False: nothing was left.

    That is the parts of snapshots that history doesn't begin from, and the oldest entries: those
    up to `begun` are deleted, all but the last ones before the snapshot become part of the past.
    """
    return (
        _sweep_part(connection, room, seq)
        or _sweep_past(connection, room, begun)
        or _sweep_entries(connection, room, seq - keep_entries, begun)
    )


def _sweep_part(connection: sa.Connection, room: RoomId, seq: int) -> bool:
    needed = [seq, *_history(connection, room)]
    stale = sa.select(parts.c.seq, parts.c.part)
    stale = stale.where(parts.c.room == room, parts.c.seq.not_in(needed))
    part = connection.execute(stale.limit(1)).first()
    if part is not None:
        here = (parts.c.room == room, parts.c.seq == part.seq, parts.c.part == part.part)
        connection.execute(sa.delete(parts).where(*here))
    return part is not None


def _sweep_past(connection: sa.Connection, room: RoomId, begun: int) -> bool:
    last = _oldest(connection, past, room, begun)
    if last is not None:
        connection.execute(sa.delete(past).where(past.c.room == room, past.c.seq <= last))
    return last is not None


def _sweep_entries(connection: sa.Connection, room: RoomId, upto: int, begun: int) -> bool:
    last = _oldest(connection, entries, room, upto)
    if last is not None:
        swept = (entries.c.room == room, entries.c.seq <= last)
        moved = sa.select(entries.c.room, entries.c.seq, entries.c.entry)
        moved = moved.where(*swept, entries.c.seq > begun)
        connection.execute(sa.insert(past).from_select(["room", "seq", "entry"], moved))
        connection.execute(sa.delete(entries).where(*swept))
    return last is not None


def _oldest(connection: sa.Connection, table: sa.Table, room: RoomId, upto: int) -> int | None:
    """The last of so many of a room's oldest rows as one transaction may sweep."""
    query = sa.select(table.c.seq, sa.func.length(table.c.entry).label("size"))
    query = query.where(table.c.room == room, table.c.seq <= upto)
    last, num_bytes = None, 0
    for row in connection.execute(query.order_by(table.c.seq).limit(SWEPT_ROWS)).all():
        num_bytes += row.size
        if last is not None and num_bytes > SWEPT_BYTES:
            break
        last = int(row.seq)
    return last


def _shorten_history(connection: sa.Connection, room: RoomId, seq: int, kept: Kept) -> None:
    """Choose the snapshots that history begins from, now and once it is too long.

    The newest is of entry `seq`.
    """
    base, middle = _history(connection, room)
    size = sa.func.coalesce(sa.func.sum(sa.func.length(past.c.entry)), 0)
    query = sa.select(size).where(past.c.room == room, past.c.seq > base)
    num_bytes = connection.execute(query).scalar_one()
    share = max((seq - base) / kept.history, num_bytes / kept.history_bytes)
    if share > 1:
        base, middle = (middle, seq) if middle else (seq, 0)
    elif share > 0.5 and not middle:
        middle = seq
    connection.execute(sa.delete(history).where(history.c.room == room))
    connection.execute(sa.insert(history), {"room": room, "base": base, "middle": middle})


def _history(connection: sa.Connection, room: RoomId) -> tuple[int, int]:
    query = sa.select(history.c.base, history.c.middle).where(history.c.room == room)
    row = connection.execute(query).first()
    return (0, 0) if row is None else (row.base, row.middle)


def load_base(connection: sa.Connection, room: RoomId) -> tuple[int, list[Record]]:
    """Where history begins: the number of an op, and the records as they were after it."""
    base, _ = _history(connection, room)
    return base, _load_snapshot(connection, room, base).records if base else []


def load_entries(connection: sa.Connection, room: RoomId, after: int, most: int) -> list[Entry]:
    """The next entries after a number, at most so many; raises StoreError if one is missing."""
    both = sa.union_all(
        *(
            sa.select(table.c.seq, table.c.entry).where(table.c.room == room, table.c.seq > after)
            for table in (past, entries)
        )
    )
    rows = connection.execute(both.order_by(sa.text("seq")).limit(most))
    found: list[Entry] = []
    for row in rows:
        entry = _decoder.decode(row.entry)
        if not entry.seq == row.seq == after + len(found) + 1:
            if found:
                break
            raise StoreError(
                f"the history before op {row.seq} was forgotten just now, or is damaged: try again"
            )
        found.append(entry)
    return found


def cut(connection: sa.Connection, room: RoomId, after: int, epoch: Epoch) -> None:
    """Set all entries after number `after` aside; the room goes on under a new epoch.

    What was told of them must not be merged with what will have their numbers.
    """
    gone = (entries.c.room == room, entries.c.seq > after)
    columns = (entries.c.room, rooms.c.epoch, entries.c.seq, entries.c.op, entries.c.entry)
    cut_off = sa.select(*columns).where(*gone, rooms.c.id == entries.c.room)
    names = [column.name for column in columns]
    connection.execute(sa.insert(set_aside).from_select(names, cut_off))
    connection.execute(sa.delete(entries).where(*gone))
    connection.execute(sa.update(rooms).where(rooms.c.id == room), {"epoch": epoch})


def add_trial(connection: sa.Connection) -> None:
    delete_trial(connection)
    connection.execute(sa.insert(trials), {"id": 1, "data": bytes(TRIAL_BYTES)})


def delete_trial(connection: sa.Connection) -> None:
    connection.execute(sa.delete(trials))


def load_room(connection: sa.Connection, room: RoomId) -> Loaded:
    """The room, but for what is damaged; raises msgspec.DecodeError if its snapshot is.

    Of the entries before the snapshot no more than about KEPT_BYTES: they are for those who
    resume.
    """
    epoch = connection.execute(sa.select(rooms.c.epoch).where(rooms.c.id == room)).scalar_one()
    seq = connection.execute(sa.select(snapshots.c.seq).where(snapshots.c.room == room)).scalar()
    state = None
    if seq is not None:
        state = _load_snapshot(connection, room, seq)
    rows = _last_rows(connection, room, seq or 0)
    whole = _whole(rows, seq or 0)
    last = max(whole[-1].seq if whole else 0, seq or 0)
    return Loaded(Epoch(epoch), state, whole, sum(row.seq > last for row in rows))


def _load_snapshot(connection: sa.Connection, room: RoomId, seq: int) -> RoomState:
    query = sa.select(parts.c.data).where(parts.c.room == room, parts.c.seq == seq)
    return decode_parts(connection.execute(query.order_by(parts.c.part)).scalars())


def _last_rows(connection: sa.Connection, room: RoomId, snapshot_seq: int) -> list[_Row]:
    columns = (entries.c.seq, entries.c.op, entries.c.entry)
    query = sa.select(*columns).where(entries.c.room == room).order_by(entries.c.seq.desc())
    newest_first: list[_Row] = []
    num_kept_bytes = 0
    for row in connection.execute(query):
        if row.seq <= snapshot_seq:
            num_kept_bytes += len(row.entry)
            if num_kept_bytes > KEPT_BYTES:
                break
        newest_first.append(row)
    return newest_first[::-1]


def _whole(rows: Iterable[_Row], snapshot_seq: int) -> list[Entry]:
    """The entries up to the first after the snapshot that is damaged or doesn't follow."""
    whole: list[Entry] = []
    for row in rows:
        entry = _decoded(row)
        if whole and row.seq != whole[-1].seq + 1 and row.seq <= snapshot_seq + 1:
            # The snapshot has what is missing; only those who resume had need of it.
            whole.clear()
        if entry is None and row.seq <= snapshot_seq:
            whole.clear()
        elif entry is None or row.seq > (whole[-1].seq if whole else snapshot_seq) + 1:
            break
        else:
            whole.append(entry)
    return whole


def _decoded(row: _Row) -> Entry | None:
    """The entry of this row; None if it isn't the one that was written."""
    try:
        entry = _decoder.decode(row.entry)
    except msgspec.DecodeError:
        return None
    return entry if (entry.seq, entry.id) == (row.seq, row.op) else None
