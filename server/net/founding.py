"""A new room from records and pictures: what opening a file and branching off have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core.errors import Refusal, StoreError
from server.core.ids import RoomId
from server.net.http import error, json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from server.core.records import Record
    from server.hub import Hub
    from server.storage.blobs import FolderBlobs

MAX_AT_ONCE = 2
"""New rooms that are made at a time: each takes as much memory as a full room."""
STATUS = {"room_full": 413, "no_moment": 404}


class RoomFounded(msgspec.Struct, frozen=True):
    """The body of the answer where a new room came into being."""

    room: RoomId


async def found_room(
    request: Request,
    records: Sequence[Record],
    pictures: Iterable[str],
    read: Callable[[str], Awaitable[bytes | None]],
) -> Response:
    """Make a room with these; after a fault there is nothing of it."""
    hub: Hub = request.app.state.hub
    blobs: FolderBlobs = request.app.state.blobs
    room = hub.new_room_id()
    try:
        await blobs.begin(room)
        for name in pictures:
            data = await read(name)
            if data is not None:
                await blobs.put(room, data)
        await hub.found(room, records)
    except Refusal as refusal:
        await blobs.discard(room)
        return refused(refusal)
    except StoreError as failure:
        await blobs.discard(room)
        return error(503, "not_stored", str(failure))
    await blobs.settle(room)
    return json(201, RoomFounded(room))


def refused(refusal: Refusal) -> Response:
    return error(STATUS.get(refusal.code, 400), refusal.code, refusal.reason)
