"""Pages, assets and pictures over HTTP. Errors are JSON: {"error": code, "reason": sentence}."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from server.core.closings import NO_ROOM
from server.core.errors import Refusal, StoreError
from server.core.ids import RoomId, is_room_id
from server.core.messages import BlobStored
from server.net.logins import is_allowed_origin
from server.net.pictures import TooManyPixels, UnsupportedPicture, content_type_of, read_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from starlette.requests import Request
    from starlette.types import Scope

    from server.core.access import Grant
    from server.hosted import HostedRoom
    from server.hub import Hub
    from server.net.uploads import Uploads
    from server.seats import Seat
    from server.settings import Settings
    from server.storage.blobs import FolderBlobs

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "style-src 'self' 'unsafe-inline'",
        "connect-src 'self' ws: wss:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # A room's address is its key: no other site may learn it from a link that somebody follows.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FOREVER = "public, max-age=31536000, immutable"
MAX_TICKET_BYTES = 16 * 1024
PRIVATE_FOREVER = "private, max-age=31536000, immutable"
NOT_BUILT = """<!doctype html><html lang="en"><title>Atelier</title>
<h1>The web client isn't built yet</h1>
<p>Run <code>scripts/run</code>, which builds it, or <code>npm ci &amp;&amp; npm run build</code>
in the folder <code>web</code>. Then reload this page.</p></html>"""
_BLOB = re.compile(r"[0-9a-f]{64}")


class ErrorBody(msgspec.Struct, frozen=True):
    error: str
    reason: str


class TicketRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody came with: a link to the room, or a signed token."""

    link: Annotated[str, Meta(max_length=200)] = ""
    token: Annotated[str, Meta(max_length=8_000)] = ""


class TicketIssued(msgspec.Struct, frozen=True):
    ticket: str
    """For `?ticket=` of the room's WebSocket, once, within `expires_s`."""
    expires_s: float


class Assets(StaticFiles):
    """Files whose names change with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FOREVER
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def routes(settings: Settings) -> list[Route | Mount]:
    return [
        Route("/", start),
        Route("/healthz", health),
        Route("/r/{room}", page),
        Route("/rooms/{room}/tickets", make_ticket, methods=["POST"]),
        Route("/rooms/{room}/blobs/{name}", get_blob, methods=["GET"]),
        Route("/rooms/{room}/blobs/{name}", put_blob, methods=["PUT"]),
        Mount("/assets", Assets(directory=settings.web_dir / "assets", check_dir=False)),
        Route("/{file}", top_file),
    ]


async def start(request: Request) -> Response:
    """`GET /`: on to a new room."""
    hub: Hub = request.app.state.hub
    return RedirectResponse(f"/r/{hub.new_room_id()}", 303, {"Cache-Control": "no-store"})


async def health(request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def page(request: Request) -> Response:
    """`GET /r/{room}`: the client, whether or not anybody has been in the room yet."""
    settings: Settings = request.app.state.settings
    if not is_room_id(request.path_params["room"]):
        return no_room()
    index = settings.web_dir / "index.html"
    if not await asyncio.to_thread(index.is_file):
        return HTMLResponse(NOT_BUILT, 503, PAGE_HEADERS)
    return FileResponse(index, headers=PAGE_HEADERS)


async def top_file(request: Request) -> Response:
    """`GET /favicon.svg` and its like: files that lie beside the page."""
    settings: Settings = request.app.state.settings
    name = Path(request.path_params["file"]).name
    file = settings.web_dir / name
    try:
        is_there = await asyncio.to_thread(file.is_file)
    except OSError:  # a name too long for any file
        is_there = False
    if name.startswith(".") or not is_there:
        return error(404, "not_found", "there is nothing here")
    return FileResponse(file, headers=PAGE_HEADERS)


async def make_ticket(request: Request) -> Response:
    """`POST /rooms/{room}/tickets`: exchange a link or a token for a ticket."""
    settings: Settings = request.app.state.settings
    hub: Hub = request.app.state.hub
    room, begun = request.path_params["room"], hub.now()
    if not is_allowed_origin(request, settings):
        return error(403, "bad_origin", "this page may not ask: add it to ATELIER_ALLOWED_ORIGINS")
    if not hub.buckets.take_link(request.app.state.logins.address_of(request), begun):
        return error(429, "rate", "too many tries from here: wait a little")
    try:
        wanted = msgspec.json.decode(
            await body_of(request, MAX_TICKET_BYTES) or b"", type=TicketRequest
        )
    except msgspec.DecodeError as failure:
        return error(400, "bad_request", f"expected a link or a token: {failure}")
    try:
        grant = await _grant(request, room, wanted)
    except StoreError as failure:
        return error(503, "not_stored", str(failure))
    if grant is None:
        await hub.keep_waiting(begun)
        return no_room()
    ticket = request.app.state.tickets.issue(room, grant, hub.now())
    response = json(201, TicketIssued(ticket, settings.ticket_s))
    response.headers["Cache-Control"] = "no-store"
    return response


async def _grant(request: Request, room: str, wanted: TicketRequest) -> Grant | None:
    hub: Hub = request.app.state.hub
    if not is_room_id(room):
        return None
    if wanted.token:
        grant: Grant | None = request.app.state.logins.grant_of(
            RoomId(room), wanted.token, hub.now_ms()
        )
        return grant
    return await hub.invited_by(RoomId(room), wanted.link)


async def get_blob(request: Request) -> Response:
    room, name = request.path_params["room"], request.path_params["name"]
    if not (is_room_id(room) and _BLOB.fullmatch(name)):
        return error(404, "no_blob", "there is no such picture")
    blobs: FolderBlobs = request.app.state.blobs
    try:
        stored = await blobs.stream(RoomId(room), name)
        head = await anext(stored.pieces, b"") if stored is not None else b""
    except StoreError as failure:
        return error(503, "not_stored", str(failure))
    media_type = content_type_of(head)
    if stored is None or media_type is None:
        return error(404, "no_blob", "there is no such picture")
    headers = {
        "Cache-Control": PRIVATE_FOREVER,
        "Content-Length": str(stored.num_bytes),
        "ETag": f'"{name}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return StreamingResponse(_from(head, stored.pieces), 200, headers, media_type)


async def _from(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in rest:
        yield piece


async def put_blob(request: Request) -> Response:
    """Store a picture under its hash, after a look at its size and its header."""
    settings: Settings = request.app.state.settings
    room, name = request.path_params["room"], request.path_params["name"]
    uploader = _uploader(request, RoomId(room))
    if isinstance(uploader, Response):
        return uploader
    if not uploader.meter.take("blobs", request.app.state.hub.now()):
        return error(429, "rate", "too many pictures at once: send it again in a few seconds")
    if not _BLOB.fullmatch(name):
        return error(400, "bad_name", "expected the SHA-256 of the picture in lower-case hex")
    with upload(request, uploader) as may_send:
        if not may_send:
            return error(429, "rate", "too many uploads at a time: wait for the others to end")
        data = await body_of(request, settings.max_blob_bytes)
        if data is None:
            reason = f"expected at most {settings.max_blob_bytes} bytes: make the picture smaller"
            return error(413, "too_large", reason)
        return await _store(request, RoomId(room), name, data)


def upload(request: Request, seat: Seat) -> AbstractContextManager[bool]:
    """Count an upload while it lasts; it gives False where there are too many already."""
    uploads: Uploads = request.app.state.uploads
    return uploads.one(seat.person_id, request.app.state.logins.address_of(request))


def seat_of(request: Request, room: RoomId) -> tuple[HostedRoom, Seat] | Response:
    """The room, and whose badge this is; else what to answer whoever isn't in the room."""
    hub: Hub = request.app.state.hub
    _, _, badge = request.headers.get("authorization", "").partition("Bearer ")
    not_here = error(404, "no_room", "no such room, or you aren't in it: join it first")
    return hub.seat_of(room, badge) or not_here


def _uploader(request: Request, room: RoomId) -> Seat | Response:
    """Whose badge this is; else why whoever shows it, or none, may not store a picture now."""
    found = seat_of(request, room)
    if isinstance(found, Response):
        return found
    hosted, seat = found
    try:
        hosted.check_may_change(seat)
    except Refusal as refusal:
        return error(403, refusal.code, refusal.reason)
    return seat


async def _store(request: Request, room: RoomId, name: str, data: bytes) -> Response:
    settings: Settings = request.app.state.settings
    digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
    if not hmac.compare_digest(digest, name):
        return error(400, "bad_hash", f"expected bytes with the hash {name}, got {digest}")
    try:
        header = await asyncio.to_thread(read_header, data, settings.max_blob_px)
        # Sending it may have taken long: what a host decided meanwhile counts.
        if isinstance(uploader := _uploader(request, room), Response):
            return uploader
        await request.app.state.blobs.put(room, data)
    except UnsupportedPicture as unsupported:
        return error(415, "unsupported", str(unsupported))
    except TooManyPixels as too_many:
        return error(413, "too_many_pixels", str(too_many))
    except StoreError as failure:
        return error(503, "not_stored", str(failure))
    return json(201, BlobStored(blob=name, width=header.width, height=header.height))


async def body_of(request: Request, max_bytes: int) -> bytes | None:
    """The body, as much of it as comes; None, without the rest, if it is longer than allowed."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > max_bytes:
        return None
    uploads: Uploads = request.app.state.uploads
    body = bytearray()
    async for piece in uploads.pieces(request):
        body += piece
        if len(body) > max_bytes:
            return None
    return bytes(body)


def no_room() -> Response:
    return error(404, "no_room", NO_ROOM[1])


def error(status: int, code: str, reason: str) -> Response:
    return json(status, ErrorBody(code, reason))


def json(status: int, body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
