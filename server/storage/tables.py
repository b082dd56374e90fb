"""The tables of the journal, and what is written to and read from them in one transaction.

Plain SQL that SQLite and PostgreSQL both take. Knows nothing of threads or of the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from server.core.ids import Epoch, RoomId
from server.core.room import Entry, RoomState
from server.core.snapshots import decode_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_BYTES = 16 * 1024 * 1024

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


def finish_snapshot(
    connection: sa.Connection, room: RoomId, seq: int, num_parts: int, keep_entries: int
) -> None:
    """From now on the snapshot counts, and all but the last entries before it may go."""
    connection.execute(sa.delete(snapshots).where(snapshots.c.room == room))
    connection.execute(sa.insert(snapshots), {"room": room, "seq": seq})
    stale = sa.or_(parts.c.seq != seq, parts.c.part >= num_parts)
    connection.execute(sa.delete(parts).where(parts.c.room == room, stale))
    old = (entries.c.room == room, entries.c.seq <= seq - keep_entries)
    connection.execute(sa.delete(entries).where(*old))


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
        query = sa.select(parts.c.data).where(parts.c.room == room, parts.c.seq == seq)
        state = decode_parts(connection.execute(query.order_by(parts.c.part)).scalars())
    return Epoch(epoch), state, _load_entries(connection, room, seq or 0)


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
