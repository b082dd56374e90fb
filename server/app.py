"""The only place where the server's parts are wired together: `create_app`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from server.core.tickets import Tickets
from server.hub import Hub
from server.net import archives, histories, http
from server.net.founding import MAX_AT_ONCE
from server.net.logins import Logins
from server.net.uploads import Uploads
from server.net.ws import room_socket
from server.ports import BlobStore, GenerationPort
from server.settings import Settings
from server.storage.blobs import FolderBlobs
from server.storage.journal import SqliteJournal
from server.storage.key import load_key

if TYPE_CHECKING:
    from server.core.limits import FlowLimits, RoomLimits
    from server.core.messages import Engine


JOURNAL = "journal.sqlite"
KEY = "rooms.key"


class RunningGeneration(GenerationPort, Protocol):
    """A GenerationPort with a life of its own."""

    async def start(self, on_engine: Callable[[Engine], None]) -> None: ...

    async def stop(self) -> None: ...


MakeGeneration = Callable[[Settings, BlobStore], RunningGeneration]


def create_app(
    settings: Settings,
    *,
    make_generation: MakeGeneration | None = None,
    room_limits: RoomLimits | None = None,
    flow_limits: FlowLimits | None = None,
) -> Starlette:
    """The whole server as an ASGI application. Its lifespan opens and closes everything."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        blobs = FolderBlobs(settings.data_dir / "blobs")
        generation = (make_generation or _generation)(settings, blobs)
        path = settings.data_dir / JOURNAL
        async with SqliteJournal(
            path,
            keep_entries=settings.keep_entries,
            keep_history=settings.keep_history,
            retry_s=settings.disk_retry_s,
        ) as journal:
            hub = Hub(
                settings,
                journal,
                generation,
                load_key(settings.data_dir / KEY),
                room_limits=room_limits,
                flow_limits=flow_limits,
            )
            app.state.hub, app.state.blobs = hub, blobs
            await _sweep_unsettled(blobs, journal)
            await hub.start()
            await generation.start(hub.tell_engine)
            try:
                yield
            finally:
                await generation.stop()
                await hub.stop()

    app = Starlette(
        routes=[
            WebSocketRoute("/ws/{room}", room_socket),
            *archives.routes(),
            *histories.routes(),
            *http.routes(settings),
        ],
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.logins = Logins(settings)
    app.state.founding = asyncio.Semaphore(MAX_AT_ONCE)
    app.state.uploads = Uploads(
        most_person=settings.max_uploads_person,
        most_address=settings.max_uploads_address,
        stall_s=settings.upload_stall_s,
    )
    app.state.tickets = Tickets(settings.ticket_s)
    return app


async def _sweep_unsettled(blobs: FolderBlobs, journal: SqliteJournal) -> None:
    """Delete the pictures of rooms that a crash kept from being made; raises StoreError."""
    for room in blobs.unsettled():
        if await journal.exists(room):
            await blobs.settle(room)
        else:
            await blobs.discard(room)


def _generation(settings: Settings, blobs: BlobStore) -> RunningGeneration:
    from server.generation import Generation, Limits

    limits = Limits(
        per_person=settings.max_pictures_person,
        per_room=settings.max_pictures_room,
        in_all=settings.max_pictures,
    )
    return Generation(settings, blobs, limits=limits)
