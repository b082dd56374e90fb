"""A real server is killed at random moments, and nothing acknowledged is lost. Rules J1, R3."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

import pytest

from server.client import RoomClient, new_room
from server.core.ids import new_id
from server.core.records import Layer, Patch, Put, Record
from tests.server.net.serving import settings_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
NUM_KILLS = 20
NUM_HANDS = 4
READY = "Atelier is ready at "


async def start(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    settings = settings_for(folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "--port", "0", "--model", "none", "--snapshot-every", "50",
        "--data", str(settings.data_dir), "--web-dir", str(settings.web_dir),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith(READY)
    return process, line.removeprefix(READY).strip().rstrip("/")


class Hand:
    """Draws without pause, and keeps account of what the server has acknowledged."""

    def __init__(self, name: str, room: str) -> None:
        self.client = RoomClient("", room, name=name)
        self.acknowledged: dict[str, int] = {}
        self.is_done = False
        self._counter = f"count-{name}"

    async def draw(self) -> None:
        """Until done; what is under way when the server dies is sent again to the next."""
        await self.client.submit(Put(Layer(id=self._counter, z="a0", name="0")))
        while not self.is_done:
            id = new_id()
            count = str(len(self.acknowledged) + 1)
            put = Put(Layer(id=id, z="a1", name=count))
            seq = await self.client.submit(put, Patch(self._counter, {"name": count}))
            self.acknowledged[id] = seq

    async def go_on(self, url: str) -> None:
        self.client.server = url
        await self.client.connect()

    def check(self, records: dict[str, Record]) -> None:
        for count, id in enumerate(self.acknowledged, start=1):
            assert records[id] == Layer(id=id, z="a1", name=str(count), by=self.client.person)
        counter = records[self._counter]
        assert isinstance(counter, Layer)
        assert counter.name == str(len(self.acknowledged))


async def test_j1_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    process, url = await start(tmp_path)
    room = await new_room(url)
    process.kill()
    await process.wait()
    hands = [Hand(f"hand-{number}", room) for number in range(NUM_HANDS)]
    drawing = [asyncio.create_task(hand.draw()) for hand in hands]
    for _ in range(NUM_KILLS):
        process, url = await start(tmp_path)
        try:
            await asyncio.gather(*(hand.go_on(url) for hand in hands))
            await asyncio.sleep(rng.uniform(0.0, 0.3))
        finally:
            process.kill()
            await process.wait()

    process, url = await start(tmp_path)
    for hand in hands:
        await hand.go_on(url)
        hand.is_done = True
    await asyncio.gather(*drawing)
    async with RoomClient(url, room) as fresh:
        for hand in hands:
            hand.check(fresh.records)
            await hand.client.until(lambda client: client.seq == fresh.seq)
            assert hand.client.records == fresh.records
            await hand.client.close()
        seqs = [seq for hand in hands for seq in hand.acknowledged.values()]
        assert len(set(seqs)) == len(seqs)
        # Every op has put one record of its own: none was taken twice, and none got lost.
        assert len(fresh.canvas) == len(seqs) + NUM_HANDS
        # The first who came made the room, which is an op too.
        assert fresh.seq == len(fresh.canvas) + 1
        print(f"{len(seqs)} acknowledged")
    process.terminate()
    await process.wait()
