"""People who draw without pause, and keep account of what the server has acknowledged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.client import Disconnected, RoomClient
from server.core.ids import new_id
from server.core.messages import Disk
from server.core.records import Layer, Patch, Put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from server.core.messages import DiskState, ServerMessage
    from server.core.records import Record


class Hand:
    """Each op puts a record of its own and counts up in one that stays: so it shows whether it
    was taken never, once or twice, and whether in its order."""

    def __init__(self, name: str, room: str, url: str = "") -> None:
        self.client = RoomClient(url, room, name=name, on_message=self._hear)
        self.acknowledged: dict[str, int] = {}
        self.is_done = False
        self._counter = f"count-{name}"
        self._counted = asyncio.Condition()
        self._told: dict[DiskState, asyncio.Event] = {}

    async def draw(self) -> None:
        """Until done; what is under way when the line breaks is sent again over the next."""
        await self.client.submit(Put(Layer(id=self._counter, z="a0", name="0")))
        while not self.is_done:
            id = new_id()
            count = str(len(self.acknowledged) + 1)
            put = Put(Layer(id=id, z="a1", name=count))
            seq = await self.client.submit(put, Patch(self._counter, {"name": count}))
            async with self._counted:
                self.acknowledged[id] = seq
                self._counted.notify_all()

    async def go_on(self, url: str) -> None:
        self.client.server = url
        await self.client.connect()

    async def stay(self) -> None:
        """Connect again whenever the line breaks, until cancelled."""
        while True:
            try:
                await self.client.connect()
                await self.client.until(lambda _: False)
            except (Disconnected, OSError):
                await asyncio.sleep(0)

    def until_told(self, state: DiskState) -> Awaitable[object]:
        """Wait to hear from now on that the server's disk is in this state."""
        return self._told.setdefault(state, asyncio.Event()).wait()

    def _hear(self, message: ServerMessage) -> None:
        if isinstance(message, Disk) and message.state in self._told:
            self._told.pop(message.state).set()

    async def until_acknowledged(self, num: int) -> None:
        async with self._counted:
            await self._counted.wait_for(lambda: len(self.acknowledged) >= num)

    def check(self, records: dict[str, Record]) -> None:
        for count, id in enumerate(self.acknowledged, start=1):
            assert records[id] == Layer(id=id, z="a1", name=str(count), by=self.client.person)
        counter = records[self._counter]
        assert isinstance(counter, Layer)
        assert counter.name == str(len(self.acknowledged))


async def check_all(hands: Sequence[Hand], url: str) -> int:
    """Compare what was acknowledged to what is there; all are done. The number of ops."""
    async with RoomClient(url, hands[0].client.room) as fresh:
        for hand in hands:
            hand.check(fresh.records)
            await hand.client.until(lambda client: client.seq == fresh.seq)
            assert hand.client.records == fresh.records
        seqs = [seq for hand in hands for seq in hand.acknowledged.values()]
        assert len(set(seqs)) == len(seqs)
        # Every op has put one record of its own: none was taken twice, and none got lost.
        assert len(fresh.canvas) == len(seqs) + len(hands)
        # The first who came made the room, which is an op too.
        assert fresh.seq == len(fresh.canvas) + 1
    return len(seqs)
