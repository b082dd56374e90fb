"""The tables of the journal, and what is written to and read from them in one transaction.

Plain SQL that SQLite and PostgreSQL both take. Knows nothing of threads or of the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
) -> None:
    """From now on the snapshot counts, and entries before it may go that nobody needs."""
    connection.execute(sa.delete(snapshots).where(snapshots.c.room == room))
    connection.execute(sa.insert(snapshots), {"room": room, "seq": seq})
    # Whoever goes back just now began from here: what came after it stays until the next time.
    begun, _ = _history(connection, room)
    base, middle = _shorten_history(connection, room, seq, kept)
    leftover = sa.and_(parts.c.seq == seq, parts.c.part >= num_parts)
    stale = sa.or_(parts.c.seq.not_in([seq, base, middle]), leftover)
    connection.execute(sa.delete(parts).where(parts.c.room == room, stale))
    old = (entries.c.room == room, entries.c.seq <= seq - kept.entries)
    gone = sa.select(entries.c.room, entries.c.seq, entries.c.entry)
    gone = gone.where(*old, entries.c.seq > begun)
    connection.execute(sa.insert(past).from_select(["room", "seq", "entry"], gone))
    connection.execute(sa.delete(entries).where(*old))
    connection.execute(sa.delete(past).where(past.c.room == room, past.c.seq <= begun))


def _shorten_history(
    connection: sa.Connection, room: RoomId, seq: int, kept: Kept
) -> tuple[int, int]:
    """Which snapshots history begins from, now and once it is too long; `seq` is the newest."""
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
    return base, middle


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
    found = [_decoder.decode(row.entry) for row in rows]
    if found and found[0].seq != after + 1:
        raise StoreError(f"the history before op {found[0].seq} was forgotten just now: try again")
    return found


def load_room(
    connection: sa.Connection, room: RoomId
) -> tuple[Epoch, RoomState | None, list[Entry]]:
    """The room's epoch, its last snapshot, the entries after it, and the last ones before it.

    Of those before it no more than about KEPT_BYTES: they are for those who resume.
    """
    epoch = connection.execute(sa.select(rooms.c.epoch).where(rooms.c.id == room)).scalar_one()
    seq = connection.execute(sa.select(snapshots.c.seq).where(snapshots.c.room == room)).scalar()
    state = None
    if seq is not None:
        state = _load_snapshot(connection, room, seq)
    return Epoch(epoch), state, _load_entries(connection, room, seq or 0)


def _load_snapshot(connection: sa.Connection, room: RoomId, seq: int) -> RoomState:
    query = sa.select(parts.c.data).where(parts.c.room == room, parts.c.seq == seq)
    return decode_parts(connection.execute(query.order_by(parts.c.part)).scalars())


def _load_entries(connection: sa.Connection, room: RoomId, snapshot_seq: int) -> list[Entry]:
    query = sa.select(entries.c.seq, entries.c.entry).where(entries.c.room == room)
    newest_first: list[Entry] = []
    num_kept_bytes = 0
    for seq, data in connection.execute(query.order_by(entries.c.seq.desc())):
        if seq <= snapshot_seq:
            num_kept_bytes += len(data)
            if num_kept_bytes > KEPT_BYTES:
                break
        newest_first.append(_decoder.decode(data))
    return newest_first[::-1]
