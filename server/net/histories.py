"""What a room was before, over HTTP, and new rooms that branch off from some moment of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from server.core.copies import blobs_of, portable
from server.core.errors import Refusal, StoreError
from server.core.ids import RoomId
from server.core.records import Count
from server.net.founding import found_room, refused
from server.net.http import body_of, error, seat_of
from server.render import timelapse

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from server.core.messages import Moment, Snapshot
    from server.hosted import HostedRoom
    from server.hub import Hub
    from server.ports import BlobStore

MAX_REQUEST_BYTES = 1_024
PIECE_BYTES = 64 * 1024
LENGTH_BYTES = 4
FILMS = {
    "webp": ("image/webp", timelapse.as_webp),
    "frames": ("application/zip", timelapse.as_folder),
}

_encoder = msgspec.msgpack.Encoder()


class BranchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: Count
    """Of the op that left the room as it is to be."""


def routes() -> list[Route]:
    return [
        Route("/rooms/{room}/history", history, methods=["GET"]),
        Route("/rooms/{room}/branches", branch, methods=["POST"]),
        Route("/rooms/{room}/timelapse", film, methods=["GET"]),
    ]


async def history(request: Request) -> Response:
    """`GET /rooms/{room}/history`: all that can be gone back over, for those who may change it."""
    hub: Hub = request.app.state.hub
    hosted = await _editable(request)
    if isinstance(hosted, Response):
        return hosted
    messages = hub.history(hosted.id, hosted.seq)
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(framed(messages), 200, headers, "application/octet-stream")


async def branch(request: Request) -> Response:
    """`POST /rooms/{room}/branches`: a new room that begins as this one was at some moment."""
    hub: Hub = request.app.state.hub
    blobs: BlobStore = request.app.state.blobs
    hosted = await _editable(request)
    if isinstance(hosted, Response):
        return hosted
    try:
        wanted = msgspec.json.decode(
            await body_of(request, MAX_REQUEST_BYTES) or b"", type=BranchRequest
        )
    except msgspec.DecodeError as failure:
        return error(400, "bad_request", f"expected the number of an op: {failure}")
    founding: asyncio.Semaphore = request.app.state.founding
    if founding.locked():
        return error(429, "rate", "others are making rooms: try again in a few seconds")
    async with founding:
        try:
            records = portable(await hub.as_of(hosted.id, wanted.seq))
        except Refusal as refusal:
            return refused(refusal)
        except StoreError as failure:
            return error(503, "not_stored", str(failure))
        read = partial(blobs.get, hosted.id)
        return await found_room(request, records, blobs_of(records), read)


async def film(request: Request) -> Response:
    """`GET /rooms/{room}/timelapse`: the history as an animated WebP, or as a folder of frames."""
    hub: Hub = request.app.state.hub
    blobs: BlobStore = request.app.state.blobs
    kind = request.query_params.get("as", "webp")
    if kind not in FILMS:
        return error(400, "bad_request", f"expected one of {', '.join(FILMS)}, got {kind[:40]!r}")
    hosted = await _editable(request)
    if isinstance(hosted, Response):
        return hosted
    founding: asyncio.Semaphore = request.app.state.founding
    if founding.locked():
        return error(429, "rate", "others are making films or rooms: try again in a few seconds")
    media_type, encode = FILMS[kind]

    def drawn() -> bytes:
        return encode(timelapse.draw(timelapse.scenes(past), hosted.id, fetch))

    def fetch(blob: str) -> bytes | None:
        return anyio.from_thread.run(blobs.get, hosted.id, blob)

    async with founding:
        try:
            past = [message async for message in hub.history(hosted.id, hosted.seq)]
            data = await anyio.to_thread.run_sync(drawn)
        except StoreError as failure:
            return error(503, "not_stored", str(failure))
    if not data:
        return error(404, "no_moment", "expected a room in which something was drawn")
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(data, 200, headers, media_type)


async def _editable(request: Request) -> HostedRoom | Response:
    """The room, all of it durable, if whoever asks may change it; else what to answer."""
    hub: Hub = request.app.state.hub
    found = seat_of(request, RoomId(request.path_params["room"]))
    if isinstance(found, Response):
        return found
    hosted, seat = found
    try:
        hosted.check_may_change(seat)
        if not seat.meter.take("blobs", hub.now()):
            return error(429, "rate", "too much at once: try again in a few seconds")
        await hosted.saved()
    except Refusal as refusal:
        return error(403, refusal.code, refusal.reason)
    except StoreError as failure:
        return error(503, "not_stored", str(failure))
    return hosted


async def framed(messages: AsyncIterator[Snapshot | Moment]) -> AsyncIterator[bytes]:
    """Each message as MessagePack after its length, in pieces of some size."""
    piece = bytearray()
    async for message in messages:
        data = _encoder.encode(message)
        piece += len(data).to_bytes(LENGTH_BYTES, "big") + data
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
