"""What becomes superfluous in the journal once a snapshot is finished, and how it goes.

Each function is one transaction's work. Knows nothing of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from server.storage import chain
from server.storage.tables import entries, history, parts, past, snapshots

if TYPE_CHECKING:
    from server.core.ids import RoomId

HISTORY_BYTES = 64 * 1024 * 1024
SWEPT_ROWS = 100
SWEPT_BYTES = 1024 * 1024
"""Most that one transaction of `sweep` clears away: what waits for it waits for milliseconds."""


class Kept(msgspec.Struct, frozen=True):
    """What stays although a snapshot includes it."""

    entries: int
    """For those who resume."""
    history: int
    """Entries to go back over; once there are more, the older half is forgotten."""
    history_bytes: int = HISTORY_BYTES


def finish_snapshot(
    connection: sa.Connection, room: RoomId, seq: int, written: chain.SnapshotSum, kept: Kept
) -> int:
    """From now on the snapshot counts; what it makes superfluous is left to `sweep`.

    Where history began until now: whoever goes back just now began from there.
    """
    here = (entries.c.room == room, entries.c.seq == seq)
    link: bytes = connection.execute(sa.select(entries.c.link).where(*here)).scalar_one()
    # One with the same number may be there if it was damaged.
    same = (snapshots.c.room == room, snapshots.c.seq == seq)
    connection.execute(sa.delete(snapshots).where(*same))
    row = {"room": room, "seq": seq, "link": link, "num_parts": written.num_parts}
    connection.execute(sa.insert(snapshots), row | {"digest": written.finished(link)})
    # Left by one with the same number that was never finished.
    more = (parts.c.room == room, parts.c.seq == seq, parts.c.part >= written.num_parts)
    connection.execute(sa.delete(parts).where(*more))
    begun, _ = read_history(connection, room)
    _shorten_history(connection, room, seq, kept)
    needed = [seq, *read_history(connection, room)]
    stale = (snapshots.c.room == room, snapshots.c.seq.not_in(needed))
    connection.execute(sa.delete(snapshots).where(*stale))
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
    needed = [seq, *read_history(connection, room)]
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
        moved = sa.select(entries.c.room, entries.c.seq, entries.c.entry, entries.c.link)
        moved = moved.where(*swept, entries.c.seq > begun)
        names = ["room", "seq", "entry", "link"]
        connection.execute(sa.insert(past).from_select(names, moved))
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
    base, middle = read_history(connection, room)
    size = sa.func.coalesce(sa.func.sum(sa.func.length(past.c.entry)), 0)
    query = sa.select(size).where(past.c.room == room, past.c.seq > base)
    num_bytes = connection.execute(query).scalar_one()
    share = max((seq - base) / kept.history, num_bytes / kept.history_bytes)
    if share > 1:
        base, middle = (middle, seq) if middle else (seq, 0)
    elif share > 0.5 and not middle:
        middle = seq
    connection.execute(sa.delete(history).where(history.c.room == room))
    row = {"room": room, "base": base, "middle": middle}
    digest = chain.of_numbers(room, base, middle)
    connection.execute(sa.insert(history), row | {"digest": digest})


def read_history(connection: sa.Connection, room: RoomId) -> tuple[int, int]:
    """`base` and `middle`; where they are damaged 0, so that nothing is cleared away by mistake."""
    columns = (history.c.base, history.c.middle, history.c.digest)
    row = connection.execute(sa.select(*columns).where(history.c.room == room)).first()
    if row is None or row.digest != chain.of_numbers(room, row.base, row.middle):
        return (0, 0)
    return (row.base, row.middle)
