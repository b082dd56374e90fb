"""Real clients and the real server with bad lines between them. Rule S15."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest

from server.client import Disconnected, RoomClient, new_room
from server.core.records import Layer, Put
from tests.support.fault_proxy import FaultProxy
from tests.support.hands import Hand, check_all
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
NUM_HANDS = 3
NUM_FAULTS = 25
FAULTS = ("cut", "cut in a message", "stall", "delay", "trickle", "half-open", "heal")
TODAY = random.randrange(2**32)
SEEDS = [pytest.param(TODAY, id="today")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    flags = ("--model", "none", "--ping-s", "1", "--snapshot-every", "40", "--keep-entries", "60")
    with ServerProcess(tmp_path_factory.mktemp("bad-lines"), *flags) as server:
        yield server


@contextlib.asynccontextmanager
async def proxied(server: ServerProcess) -> AsyncIterator[FaultProxy]:
    host, port = server.url.removeprefix("http://").split(":")
    async with FaultProxy(host, int(port)) as proxy:
        yield proxy


async def come_and_stay(client: RoomClient) -> None:
    """Until the line breaks."""
    await client.connect()
    await client.until(lambda _: False)


def layer(id: str) -> Put:
    return Put(Layer(id=id, z="a0"))


class BadLine:
    """A hand, and the line that it draws over."""

    def __init__(self, hand: Hand, proxy: FaultProxy, rng: random.Random) -> None:
        self.hand = hand
        self.proxy = proxy
        self._rng = rng

    def suffer(self, fault: str) -> None:
        proxy, rng = self.proxy, self._rng
        match fault:
            case "cut":
                proxy.cut()
            case "cut in a message":
                proxy.cut_after(rng.randrange(1, 2_000))
            case "stall":
                proxy.stall()
            case "delay":
                proxy.delay_s = rng.uniform(0.0, 0.02)
            case "trickle":
                proxy.bytes_per_s = rng.uniform(20_000, 200_000)
            case "half-open":
                proxy.half_open()
            case _:
                proxy.heal()

    async def go_on(self) -> None:
        """Wait until work goes on over this line; one that is dead is given up."""
        self.proxy.resume()
        goal = len(self.hand.acknowledged) + 2
        try:
            async with asyncio.timeout(0.5):
                await self.hand.until_acknowledged(goal)
        except TimeoutError:
            self.proxy.heal()
            self.proxy.cut()
            await self.hand.until_acknowledged(goal)


@pytest.mark.parametrize("seed", SEEDS)
async def test_s15_whatever_lines_do_nothing_is_lost_and_nothing_happens_twice(
    server: ServerProcess, seed: int
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    room = await new_room(server.url)
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        lines: list[BadLine] = []
        for number in range(NUM_HANDS):
            proxy = await stack.enter_async_context(proxied(server))
            lines.append(BadLine(Hand(f"hand-{number}", room, proxy.url), proxy, rng))
        hands = [line.hand for line in lines]
        drawing = [tasks.create_task(hand.draw()) for hand in hands]
        staying = [tasks.create_task(hand.stay()) for hand in hands]
        for _ in range(NUM_FAULTS):
            line, other = rng.sample(lines, 2)
            line.suffer(rng.choice(FAULTS))
            # Whatever it is, it is one line's: the work of the others goes on.
            await other.go_on()
            if rng.random() < 0.5:
                await line.go_on()
        for line in lines:
            line.proxy.heal()
            await line.go_on()
            line.hand.is_done = True
        await asyncio.gather(*drawing)
        num_ops = await check_all(hands, server.url)
        print(f"{num_ops} acknowledged, none lost")
        for task in staying:
            task.cancel()
        await asyncio.gather(*staying, return_exceptions=True)
        for hand in hands:
            await hand.client.close()


async def test_s15_a_line_that_stalls_delays_nobody_else(server: ServerProcess) -> None:
    room = await new_room(server.url)
    async with (
        proxied(server) as proxy,
        RoomClient(proxy.url, room) as ann,
        RoomClient(server.url, room) as bob,
        RoomClient(server.url, room) as carl,
    ):
        proxy.stall()
        drawn = asyncio.create_task(ann.submit(layer("ann")))
        for number in range(20):
            seq = await bob.submit(layer(f"bob-{number}"))
            await carl.until(lambda client, seq=seq: client.seq == seq)  # type: ignore[misc]
        assert ann.seq == 1
        assert not drawn.done()
        proxy.resume()
        last = await drawn
        for client in (ann, bob, carl):
            await client.until(lambda client: client.seq == last)
        assert ann.records == bob.records == carl.records


async def test_s15_a_join_over_a_line_that_trickles_gets_everything(server: ServerProcess) -> None:
    room = await new_room(server.url)
    async with RoomClient(server.url, room) as ann, proxied(server) as proxy:
        for number in range(100):
            await ann.submit(layer(f"layer-{number}"))
        proxy.bytes_per_s = 100_000
        proxy.delay_s = 0.01
        coming = asyncio.create_task(RoomClient(proxy.url, room).__aenter__())
        last = [await ann.submit(layer(f"later-{number}")) for number in range(20)][-1]
        late = await coming
        await late.until(lambda client: client.seq == last)
        assert late.records == ann.records
        await late.close()


async def test_s15_a_line_that_died_on_one_side_is_noticed_and_its_edit_comes_once(
    server: ServerProcess,
) -> None:
    room = await new_room(server.url)
    async with (
        RoomClient(server.url, room) as bob,
        proxied(server) as proxy,
        RoomClient(proxy.url, room) as ann,
    ):
        await bob.until(lambda client: len(client.people) == 2)
        proxy.half_open()
        drawn = asyncio.create_task(ann.submit(layer("one")))
        # The server hears no pong, and tells the others that she is gone.
        await bob.until(lambda client: len(client.people) == 1)
        assert not drawn.done()
        await ann.connect()
        assert await drawn == 2
        await bob.until(lambda client: client.seq == 2)
        assert ann.records == bob.records


async def test_s15_a_line_that_is_cut_in_a_join_is_no_harm(server: ServerProcess) -> None:
    room = await new_room(server.url)
    async with RoomClient(server.url, room) as ann, proxied(server) as proxy:
        for number in range(50):
            await ann.submit(Put(Layer(id=f"layer-{number}", z="a0", name="x" * 80)))
        for num_bytes in range(100, 4_000, 500):
            late = RoomClient(proxy.url, room)
            proxy.cut_after(num_bytes)
            with pytest.raises((Disconnected, OSError)):
                await come_and_stay(late)
            proxy.heal()
            await late.connect()
            assert late.records == ann.records
            await late.close()
        await ann.until(lambda client: len(client.people) == 1)
