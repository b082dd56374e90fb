"""A real server on a free loopback port, in the test's own event loop, with generation faked."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import uvicorn

from server.__main__ import configured, listen
from server.app import create_app
from server.core.errors import Refusal
from server.core.messages import Cancel, Engine, Generate, Preview
from server.core.records import Candidate, Change, Frame, Job, Put, Record
from server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from starlette.applications import Starlette

    from server.core.ids import PersonId, RoomId
    from server.core.limits import FlowLimits, RoomLimits
    from server.hub import Hub
    from server.ports import BlobStore, RoomPort

BLOB = "0f" * 32


class FakeGeneration:
    """Delivers a candidate at once, and remembers what it was told."""

    def __init__(self, settings: Settings, blobs: BlobStore) -> None:
        self.told: list[str] = []
        self.shown: list[Preview] = []
        self.is_busy = False
        self.on_engine: Callable[[Engine], None] = lambda engine: None

    async def start(self, on_engine: Callable[[Engine], None]) -> None:
        self.on_engine = on_engine

    async def stop(self) -> None:
        self.told.append("stop")

    @property
    def engine(self) -> Engine:
        return Engine(state="starting", detail="loading")

    def generate(self, room: RoomPort, by: PersonId, request: Generate) -> None:
        frame = room.records.get(request.frame)
        if not isinstance(frame, Frame):
            raise Refusal("missing_frame", "there is no such frame")
        job = Job(id=request.id, frame=frame.id, state="done", count=1, done=1)
        candidate = Candidate(
            id=f"{request.id}-0", frame=frame.id, job=job.id, index=0, blob=BLOB, seed=1,
            x=frame.x, y=frame.y, w=frame.w, h=frame.h,
        )  # fmt: skip
        room.append([Put(job), Put(candidate)], by)

    def cancel(self, room: RoomPort, by: PersonId, request: Cancel) -> None:
        self.told.append(f"cancel {request.frame}")

    def withdraw(self, room: RoomPort, person: PersonId | None) -> None:
        self.told.append(f"withdraw {person}")

    def changed(
        self,
        room: RoomPort,
        changes: Sequence[Change],
        before: Mapping[str, Record | None],
        by: PersonId,
    ) -> None:
        self.told.append(f"changed {sorted(before)}")

    def previews(self, room: RoomId) -> Sequence[Preview]:
        return self.shown

    def opened(self, room: RoomPort) -> None:
        self.told.append(f"opened {room.id}")

    def closed(self, room: RoomId) -> None:
        self.told.append(f"closed {room}")

    def busy(self, room: RoomId) -> bool:
        return self.is_busy


class Served:
    """A running server, and a way to its insides."""

    def __init__(self, url: str, app: Starlette, generation: FakeGeneration) -> None:
        self.url = url
        self.app = app
        self.generation = generation

    @property
    def hub(self) -> Hub:
        hub: Hub = self.app.state.hub
        return hub

    def new_room_id(self) -> str:
        return self.hub.new_room_id()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    settings: Settings,
    *,
    room_limits: RoomLimits | None = None,
    flow_limits: FlowLimits | None = None,
    direct: bool = True,
) -> AsyncIterator[Served]:
    """Serve within the block. `direct=False` is a server without the way past ASGI."""
    made: list[FakeGeneration] = []

    def make_generation(settings: Settings, blobs: BlobStore) -> FakeGeneration:
        made.append(FakeGeneration(settings, blobs))
        return made[0]

    app = create_app(
        settings,
        make_generation=make_generation,
        room_limits=room_limits,
        flow_limits=flow_limits,
    )
    config = configured(app, settings)
    if not direct:
        config.ws = "websockets-sansio"
    server = _Server(config)
    listening = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:
        assert not task.done(), "the server didn't start"
        await asyncio.sleep(0)
    port = listening.getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}", app, made[0])
    finally:
        server.should_exit = True
        await task
        listening.close()


def settings_for(folder: Path, **changes: object) -> Settings:
    """Settings with data and a built client in `folder`."""
    web = folder / "web"
    (web / "assets").mkdir(parents=True, exist_ok=True)
    (web / "index.html").write_text("<!doctype html><title>Atelier</title>")
    (web / "assets" / "app-1a2b.js").write_text("export {};")
    data = folder / "data"
    data.mkdir(exist_ok=True)
    defaults = {"data_dir": data, "web_dir": web, "port": 0, "model": "none", "refusal_s": 0.01}
    return Settings(**{**defaults, **changes})  # type: ignore[arg-type]
