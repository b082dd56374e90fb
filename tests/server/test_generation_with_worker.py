"""Generation with the real worker and the embedded model, from the request to the picture."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from PIL import Image as Pixels
from PIL import ImageChops

from server.core.messages import Engine, Generate
from server.engine import Engine as Worker
from server.engine import OnEvent, OnStatus, worker_command
from server.generation import Generation
from tests.support import canvas
from tests.support.fake_generation import ANN, FakeBlobs, FakeRoom, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio
PATIENT_S = 90


@dataclass
class Workshop:
    room: FakeRoom = field(default_factory=FakeRoom)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    workers: list[Worker] = field(default_factory=list)
    statuses: list[Engine] = field(default_factory=list)
    generation: Generation = field(init=False)

    def __post_init__(self) -> None:
        self.generation = Generation(Settings("embedded"), self.blobs, connect=self._connect)
        self.room.generation = self.generation

    def _connect(self, on_event: OnEvent, on_status: OnStatus) -> Worker:
        self.workers.append(Worker(worker_command("embedded"), on_event, on_status))
        return self.workers[-1]

    def ask(self, job: str) -> None:
        self.generation.generate(self.room, ANN, Generate(id=job, frame="frame"))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not true():
                self.room.news.clear()
                await self.room.news.wait()

    def hear(self, status: Engine) -> None:
        self.statuses.append(status)
        self.room.news.set()

    def picture(self, index: int = 0) -> Pixels.Image:
        blob = self.room.candidates()[index].blob
        return Pixels.open(io.BytesIO(self.blobs.stored[blob]))


@asynccontextmanager
async def workshop() -> AsyncIterator[Workshop]:
    it = Workshop()
    await it.generation.start(it.hear)
    try:
        yield it
    finally:
        await it.generation.stop()


async def test_a_sketch_a_mask_a_death_and_a_live_frame_go_all_the_way() -> None:
    async with workshop() as it:
        it.room.put(
            canvas.frame(prompt="a red house", steps=6, seed=3),
            canvas.stroke("s", (20, 64), (236, 64)),
        )
        it.ask("sketch")
        await it.until(lambda: it.room.job("sketch").state in ("done", "failed"))
        assert it.room.job("sketch").state == "done", it.room.job("sketch").reason
        assert it.picture().mode == "RGB"
        assert len(it.room.relayed) >= 3
        assert Pixels.open(io.BytesIO(it.room.relayed[-1].jpeg)).format == "JPEG"

        it.room.put(canvas.mask("m", "frame", (20, 200), (236, 200)))
        it.ask("mask")
        await it.until(lambda: it.room.job("mask").state in ("done", "failed"))
        assert it.room.job("mask").state == "done", it.room.job("mask").reason
        painted = it.picture(1)
        assert painted.mode == "RGBA"
        assert it.room.candidates()[1].masked
        # Above the mask and its feathered edge nothing was painted.
        above = painted.getchannel("A").crop((0, 0, painted.width, painted.height // 2))
        assert ImageChops.lighter(above, above).getextrema() == (0, 0)

        it.ask("killed")
        process = it.workers[0]._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await it.until(lambda: it.room.job("killed").state in ("done", "failed"))
        assert it.room.job("killed").state == "done", it.room.job("killed").reason
        assert "restarting" in [status.state for status in it.statuses]

        live = canvas.frame("live", x=1000.0, live=True, prompt="a blue boat", steps=20)
        it.room.put(live)
        await it.until(lambda: any(job.live and job.state == "done" for job in it.room.jobs()))
        before = it.room.candidates()[-1]
        it.room.put(canvas.stroke("s2", (1020, 64), (1236, 64)))
        await it.until(lambda: it.room.candidates()[-1].blob != before.blob)
        assert it.room.candidates()[-1].id == before.id
