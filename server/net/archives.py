"""Rooms as files over HTTP: saving one, and opening a new one from such a file."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from typing import IO, TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from server.core.errors import Refusal, StoreError
from server.core.ids import RoomId
from server.net.founding import found_room, refused
from server.net.http import error, seat_of, upload
from server.storage.archive import Archive, ArchiveLimits, pack

if TYPE_CHECKING:
    from starlette.requests import Request

    from server.hub import Hub
    from server.net.uploads import Uploads
    from server.settings import Settings
    from server.storage.blobs import FolderBlobs


def routes() -> list[Route]:
    return [
        Route("/rooms/{room}/archive", save, methods=["GET"]),
        Route("/rooms/{room}/imports", open_file, methods=["POST"]),
    ]


async def save(request: Request) -> Response:
    """`GET /rooms/{room}/archive`: the room as a file, for those who are in it."""
    hub: Hub = request.app.state.hub
    blobs: FolderBlobs = request.app.state.blobs
    room = RoomId(request.path_params["room"])
    found = seat_of(request, room)
    if isinstance(found, Response):
        return found
    hosted, seat = found
    if not seat.meter.take("blobs", hub.now()):
        return error(429, "rate", "too much at once: try again in a few seconds")
    records = list(hosted.records.values())
    try:
        await hosted.saved()
    except StoreError as failure:
        return error(503, "not_stored", str(failure))
    pieces = pack(records, partial(blobs.stream, room), hub.now_ms())
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


async def open_file(request: Request) -> Response:
    """`POST /rooms/{room}/imports`: a new room from a file, for those who are in some room."""
    settings: Settings = request.app.state.settings
    hub: Hub = request.app.state.hub
    found = seat_of(request, RoomId(request.path_params["room"]))
    if isinstance(found, Response):
        return found
    _, seat = found
    if not seat.meter.take("blobs", hub.now()):
        return error(429, "rate", "too much at once: try again in a few seconds")
    with (
        upload(request, seat) as may_send,
        tempfile.TemporaryFile(dir=settings.data_dir) as file,
    ):
        if not may_send:
            return error(429, "rate", "too many uploads at a time: wait for the others to end")
        try:
            is_whole = await _receive(request, file, settings.max_import_bytes)
        except OSError as failure:
            return error(503, "not_stored", f"the file can't be kept: {failure}")
        if not is_whole:
            reason = f"expected at most {settings.max_import_bytes} bytes"
            return error(413, "too_large", reason)
        founding: asyncio.Semaphore = request.app.state.founding
        if founding.locked():
            return error(429, "rate", "others are making rooms: try again in a few seconds")
        async with founding:
            return await _found(request, file)


async def _receive(request: Request, file: IO[bytes], max_bytes: int) -> bool:
    """Keep what comes of the body in `file`; False where it is longer than allowed."""
    uploads: Uploads = request.app.state.uploads
    num_bytes = 0
    async for piece in uploads.pieces(request):
        num_bytes += len(piece)
        if num_bytes > max_bytes:
            return False
        await asyncio.to_thread(file.write, piece)
    return True


async def _found(request: Request, file: IO[bytes]) -> Response:
    """Look through the file, then make a room of it."""
    settings: Settings = request.app.state.settings
    hub: Hub = request.app.state.hub
    limits = ArchiveLimits(
        room=hub.room_limits, blob_bytes=settings.max_blob_bytes, blob_px=settings.max_blob_px
    )
    try:
        archive = await asyncio.to_thread(Archive, file, limits)
    except Refusal as refusal:
        return refused(refusal)

    async def read(name: str) -> bytes:
        return await asyncio.to_thread(archive.blob, name)

    return await found_room(request, archive.records, archive.blobs, read)
