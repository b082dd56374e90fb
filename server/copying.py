"""Brings a new room into being that holds what another one held. Knows no HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.core.errors import StoreError
from server.core.ids import Epoch, PersonId
from server.core.records import Put, Record
from server.core.room import Room, Taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.core.ids import RoomId
    from server.core.limits import RoomLimits
    from server.storage.base import Journal

NOBODY = PersonId("")
"""Who put what is there when a room begins: its people are others than those who drew it."""


async def found(
    journal: Journal, id: RoomId, records: Sequence[Record], limits: RoomLimits, now_ms: int
) -> None:
    """Write a room with these records, as a whole or not at all; whoever comes first makes it.

    `records` must be in an order in which each can be put. Raises Refusal and StoreError.
    """
    # What can't be put is found out before there is a room.
    room = Room(id, Epoch(""), limits)
    changes = [Put(record) for record in records]
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
