"""The tables of the journal, and what is written to them in one transaction.

Plain SQL that SQLite and PostgreSQL both take. Knows nothing of threads or of the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId, new_id
from server.storage import chain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.core.entries import Entry

FORMAT = 2
"""What the tables and their contents look like; what is written otherwise isn't read."""
TRIAL_BYTES = 1024 * 1024
"""As long as the longest message that clients may send, unless that is set otherwise."""

metadata = sa.MetaData()
formats = sa.Table(
    "formats",
    metadata,
    sa.Column("format", sa.Integer, primary_key=True, autoincrement=False),
)
rooms = sa.Table(
    "rooms",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("epoch", sa.String, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
)
"""With the number and the link of the last entry that was committed: none may be missing."""
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("op", sa.String, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("room", "op"),
)
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.Column("num_parts", sa.Integer, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
)
"""Those that are finished: the newest of a room, and those from which its history begins."""
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
    sa.Column("link", sa.LargeBinary, nullable=False),
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
    sa.Column("link", sa.LargeBinary, nullable=False),
)
"""Entries that are needed no more but to go back over them. Their ops' ids may come again."""
history = sa.Table(
    "history",
    metadata,
    sa.Column("room", sa.String, primary_key=True),
    sa.Column("base", sa.Integer, nullable=False),
    sa.Column("middle", sa.Integer, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
)
"""Which snapshots are kept to go back from: the entries after `base` are all there. Once those are
too many, `middle` takes its place, so that half of them stay. 0 is the empty room."""

encoder = msgspec.msgpack.Encoder()


class Head(msgspec.Struct, frozen=True):
    """The last entry of a room that was committed."""

    seq: int
    link: bytes


def create_all(connection: sa.Connection) -> None:
    """Make what tables aren't there; raises StoreError if those that are look otherwise."""
    is_new = not sa.inspect(connection).has_table(rooms.name)
    if not is_new and not sa.inspect(connection).has_table(formats.name):
        raise _other_format("1")
    metadata.create_all(connection)
    if is_new:
        connection.execute(sa.insert(formats), {"format": FORMAT})
    found = connection.execute(sa.select(formats.c.format)).scalars().all()
    if found != [FORMAT]:
        raise _other_format(", ".join(map(str, found)) or "none")


def _other_format(found: str) -> StoreError:
    return StoreError(
        f"the journal was written by another version of Atelier (format {found}, expected "
        f"{FORMAT}): choose another folder with --data, or save its rooms as files with that "
        "version and open those here"
    )


def has_room(connection: sa.Connection, room: RoomId) -> bool:
    query = sa.select(rooms.c.id).where(rooms.c.id == room)
    return connection.execute(query).first() is not None


def create_room(connection: sa.Connection, room: RoomId, epoch: Epoch) -> None:
    """Add the room with a new epoch, unless it is there."""
    if not has_room(connection, room):
        row = {"id": room, "epoch": epoch, "seq": 0, "link": chain.origin(room)}
        connection.execute(sa.insert(rooms), row)


def head(connection: sa.Connection, room: RoomId) -> Head:
    query = sa.select(rooms.c.seq, rooms.c.link).where(rooms.c.id == room)
    row = connection.execute(query).one()
    return Head(row.seq, row.link)


def num_committed(connection: sa.Connection) -> int:
    """The entries of all rooms together."""
    query = sa.select(sa.func.coalesce(sa.func.sum(rooms.c.seq), 0))
    return int(connection.execute(query).scalar_one())


def renew_epochs(connection: sa.Connection) -> None:
    """No copy that anybody has may be merged with what is here."""
    ids = connection.execute(sa.select(rooms.c.id)).scalars().all()
    if ids:
        query = sa.update(rooms).where(rooms.c.id == sa.bindparam("room"))
        query = query.values(epoch=sa.bindparam("new"))
        connection.execute(query, [{"room": id, "new": new_id()} for id in ids])


def add_entries(
    connection: sa.Connection, added: Mapping[RoomId, Sequence[Entry]], heads: Mapping[RoomId, Head]
) -> dict[RoomId, Head]:
    """Add entries behind the heads of their rooms; the new heads.

    Raises StoreError if a head isn't what the table has: somebody else has written.
    """
    rows: list[dict[str, object]] = []
    moved: list[dict[str, object]] = []
    after = dict(heads)
    for room, of_room in added.items():
        link = heads[room].link
        for entry in of_room:
            data = encoder.encode(entry)
            link = chain.link(link, data)
            rows.append(
                {"room": room, "seq": entry.seq, "op": entry.id, "entry": data, "link": link}
            )
        after[room] = Head(of_room[-1].seq, link)
        moved.append(
            {"of": room, "before": of_room[0].seq - 1, "seq": of_room[-1].seq, "link": link}
        )
    if rows:
        connection.execute(sa.insert(entries), rows)
        if connection.execute(_MOVE_HEAD, moved).rowcount != len(moved):
            raise StoreError(f"expected entries that follow those of {', '.join(added)}")
    return after


_MOVE_HEAD = (
    sa.update(rooms)
    .where(rooms.c.id == sa.bindparam("of"), rooms.c.seq == sa.bindparam("before"))
    .values(seq=sa.bindparam("seq"), link=sa.bindparam("link"))
)


def add_part(connection: sa.Connection, room: RoomId, seq: int, part: int, data: bytes) -> None:
    """Add a part of a snapshot that doesn't count yet; leftovers of a failed one are replaced."""
    here = (parts.c.room == room, parts.c.seq == seq, parts.c.part == part)
    connection.execute(sa.delete(parts).where(*here))
    connection.execute(sa.insert(parts), {"room": room, "seq": seq, "part": part, "data": data})


def cut(connection: sa.Connection, room: RoomId, last: Head, epoch: Epoch) -> None:
    """Set all entries after `last` aside; the room goes on from there under a new epoch.

    What was told of them must not be merged with what will have their numbers. Raises StoreError
    where a snapshot that includes them was finished since the room was read: it is whole, then.
    """
    newer = sa.select(snapshots.c.seq).where(
        snapshots.c.room == room,
        snapshots.c.seq > last.seq,
        snapshots.c.seq <= head(connection, room).seq,
    )
    if connection.execute(newer).first() is not None:
        raise StoreError(f"a snapshot of room {room} was finished meanwhile: try again")
    gone = (entries.c.room == room, entries.c.seq > last.seq)
    columns = (
        entries.c.room, rooms.c.epoch, entries.c.seq, entries.c.op, entries.c.entry, entries.c.link,
    )  # fmt: skip
    cut_off = sa.select(*columns).where(*gone, rooms.c.id == entries.c.room)
    names = [column.name for column in columns]
    connection.execute(sa.insert(set_aside).from_select(names, cut_off))
    connection.execute(sa.delete(entries).where(*gone))
    new = {"epoch": epoch, "seq": last.seq, "link": last.link}
    connection.execute(sa.update(rooms).where(rooms.c.id == room), new)


def add_trial(connection: sa.Connection) -> None:
    delete_trial(connection)
    connection.execute(sa.insert(trials), {"id": 1, "data": bytes(TRIAL_BYTES)})


def delete_trial(connection: sa.Connection) -> None:
    connection.execute(sa.delete(trials))
