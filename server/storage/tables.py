"""The tables of the journal, and what is written to and read from them in one transaction.

Plain SQL that SQLite and PostgreSQL both take. Knows nothing of threads or of the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import sqlalchemy as sa

from server.core.ids import Epoch, RoomId
from server.core.room import Entry, RoomState
from server.core.snapshots import decode_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_BYTES = 16 * 1024 * 1024
TRIAL_BYTES = 1024 * 1024
"""As long as the longest message that clients may send, unless that is set otherwise."""
SWEPT_ROWS = 100
"""Most that one transaction of `sweep` deletes: what waits for it waits for milliseconds."""

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


def finish_snapshot(connection: sa.Connection, room: RoomId, seq: int, num_parts: int) -> None:
    """From now on the snapshot counts; what it makes superfluous is left to `sweep`."""
    connection.execute(sa.delete(snapshots).where(snapshots.c.room == room))
    connection.execute(sa.insert(snapshots), {"room": room, "seq": seq})
    # Left by one with the same number that was never finished.
    more = (parts.c.room == room, parts.c.seq == seq, parts.c.part >= num_parts)
    connection.execute(sa.delete(parts).where(*more))


def sweep(connection: sa.Connection, room: RoomId, seq: int, keep_entries: int) -> bool:
    """Delete a little of what a finished snapshot makes superfluous; False: nothing was left.

    That is the parts of other snapshots, and all but the last entries before it.
    """
    stale = sa.select(parts.c.seq, parts.c.part).where(parts.c.room == room, parts.c.seq != seq)
    part = connection.execute(stale.limit(1)).first()
    if part is not None:
        here = (parts.c.room == room, parts.c.seq == part.seq, parts.c.part == part.part)
        connection.execute(sa.delete(parts).where(*here))
        return True
    old = (entries.c.room == room, entries.c.seq <= seq - keep_entries)
    oldest = sa.select(entries.c.seq).where(*old).order_by(entries.c.seq).limit(SWEPT_ROWS)
    seqs = connection.execute(oldest).scalars().all()
    if seqs:
        swept = (entries.c.room == room, entries.c.seq <= seqs[-1])
        connection.execute(sa.delete(entries).where(*swept))
    return bool(seqs)


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
        query = sa.select(parts.c.data).where(parts.c.room == room, parts.c.seq == seq)
        state = decode_parts(connection.execute(query.order_by(parts.c.part)).scalars())
    rows = _last_rows(connection, room, seq or 0)
    whole = _whole(rows, seq or 0)
    last = max(whole[-1].seq if whole else 0, seq or 0)
    return Loaded(Epoch(epoch), state, whole, sum(row.seq > last for row in rows))


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
