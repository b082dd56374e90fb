"""Rooms out of others: what one was at some moment, and a new one that begins with that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.core import polls
from server.core.errors import Refusal, StoreError
from server.core.ids import NOBODY, Epoch
from server.core.messages import Applied, Moment, Snapshot
from server.core.records import Put, Record
from server.core.replica import Replica
from server.core.room import Room, Taken
from server.core.snapshots import in_portions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.core.entries import Entry
    from server.core.ids import RoomId
    from server.core.limits import RoomLimits
    from server.storage.base import Journal

PAGE = 500
"""Entries that are read at a time."""


async def history(journal: Journal, room: RoomId, last: int) -> AsyncIterator[Snapshot | Moment]:
    """The records from which one can go back on, and all ops since, up to number `last`.

    The first moment has no changes: it says what number the records are of. Raises StoreError.
    """
    seq, records = await journal.history_base(room)
    by_id = {record.id: record for record in records}
    for portion in in_portions(polls.shown(by_id, NOBODY)):
        yield Snapshot(records=portion)
    yield Moment(seq=seq, by="", at_ms=0, changes=[])
    while seq < last:
        page = await journal.entries_after(room, seq, min(PAGE, last - seq))
        if not page:
            raise StoreError(f"expected {last} entries in the journal, got {seq}")
        for entry in page:
            changes = polls.shown_changes(entry.changes, NOBODY)
            yield Moment(seq=entry.seq, by=entry.by, at_ms=entry.at_ms, changes=changes)
        seq = page[-1].seq


async def as_of(journal: Journal, room: RoomId, seq: int) -> list[Record]:
    """The records as op number `seq` left them, which is durable.

    Raises StoreError, and Refusal (`no_moment`) where that is forgotten or hasn't come yet.
    """
    base, records = await journal.history_base(room)
    if seq < base:
        raise Refusal("no_moment", f"expected a moment since op {base}, got {seq}")
    replica = Replica()
    replica.reset(base)
    replica.fill(Snapshot(records=records))
    while replica.seq < seq:
        page = await journal.entries_after(room, replica.seq, min(PAGE, seq - replica.seq))
        if not page:
            raise Refusal("no_moment", f"expected a moment up to op {replica.seq}, got {seq}")
        await asyncio.to_thread(_follow, replica, page)
    return list(replica.records.values())


def _follow(replica: Replica, page: Sequence[Entry]) -> None:
    for entry in page:
        replica.apply(Applied(seq=entry.seq, id=entry.id, by=entry.by, changes=entry.changes))


async def found(
    journal: Journal, id: RoomId, records: Sequence[Record], limits: RoomLimits, now_ms: int
) -> None:
    """Write a room with these records, as a whole or not at all; whoever comes first makes it.

    `records` must be in an order in which each can be put. Raises Refusal and StoreError.
    """
    # What can't be put is found out before there is a room.
    room = Room(id, Epoch(""), limits)
    changes = [Put(record) for record in records]
    # Its people are others than those who drew what is in it.
    taken = await asyncio.to_thread(room.append, changes, NOBODY, now_ms)
    durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_durable(seq: int) -> None:
        if not durable.done():
            durable.set_result(None)

    def on_failed(reason: str) -> None:
        if not durable.done():
            durable.set_exception(StoreError(reason))

    opened = await journal.open(id, on_durable, on_failed)
    if isinstance(taken, Taken):
        opened.log.append(taken.entry)
        await durable
    opened.log.close()
