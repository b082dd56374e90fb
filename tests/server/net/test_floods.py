"""What one floods a room with doesn't hold up another. Rules L5, S11.

Counted in turns and in messages with a clock that stands still: nothing here is timed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from server.core import codec
from server.core.limits import FlowLimits
from server.core.messages import (
    ClientMessage,
    Hello,
    JoinReady,
    Op,
    Presence,
    Refused,
    ServerMessage,
)
from server.core.records import Layer, Put
from server.hub import Connection, Hub
from server.net.ws import receive_all
from server.storage.journal import SqliteJournal
from tests.server.net.serving import FakeGeneration, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from starlette.websockets import WebSocket

    from server.core.ids import RoomId
    from server.net.outbox import Packet

pytestmark = pytest.mark.anyio
NUM_FLOODED = 12_000


class Listener:
    """A sender that keeps what it was given."""

    def __init__(self) -> None:
        self.on_close: Callable[[], None] | None = None
        self.before: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self.send_now: Callable[[bytes], int] | None = None
        self.is_open = True
        self.heard: list[ServerMessage] = []
        self.num_cursors = 0
        self.is_in = asyncio.Event()
        self.has_moved = asyncio.Event()

    def send(self, packet: Packet) -> None:
        if self.before is not None:
            self.before()
        self.put(packet)

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is sent at once here")

    def put(self, packet: Packet) -> None:
        if packet.ephemeral:
            self.num_cursors += 1
            self.has_moved.set()
            return
        self.heard.append(codec.decode_server(packet.payload))
        if isinstance(self.heard[-1], JoinReady):
            self.is_in.set()

    def send_join(self, packet: Packet) -> None:
        self.send(packet)

    def close(self, code: int, reason: str) -> None:
        self.is_open = False

    async def drained(self) -> None:
        return None

    def codes(self) -> list[str]:
        return [message.code for message in self.heard if isinstance(message, Refused)]


class Line:
    """A socket on which all of `messages` lie ready at once."""

    def __init__(self, messages: list[ClientMessage], on_read: Callable[[], None]) -> None:
        self._left = [codec.encode(message) for message in reversed(messages)]
        self._on_read = on_read

    async def receive(self) -> dict[str, object]:
        if not self._left:
            return {"type": "websocket.disconnect"}
        self._on_read()
        return {"type": "websocket.receive", "bytes": self._left.pop()}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    settings = settings_for(tmp_path)
    async with SqliteJournal(settings.data_dir / "journal.sqlite") as journal:
        generation = FakeGeneration(settings, None)  # type: ignore[arg-type]
        hub = Hub(settings, journal, generation, bytes(32), clock=lambda: 0.0)
        await hub.start()
        yield hub
        await hub.stop()


async def joined(hub: Hub, room: RoomId, number: int, address: str) -> tuple[Connection, Listener]:
    listener = Listener()
    connection = hub.connect(room, listener, address=address)
    await hub.receive(connection, codec.encode(Hello(protocol=1, key=bytes([number]) * 16)))
    await listener.is_in.wait()
    return connection, listener


def ops(name: str, num: int) -> list[ClientMessage]:
    return [
        Op(id=f"op-{name}-{i}", changes=[Put(Layer(id=f"{name}-{i}", z="a0"))]) for i in range(num)
    ]


async def test_l5_a_flood_from_many_connections_of_one_leaves_others_their_turn(hub: Hub) -> None:
    room = hub.new_room_id()
    order: list[str] = []
    flooders = [await joined(hub, room, 1, "192.0.2.1") for _ in range(4)]
    victim, heard = await joined(hub, room, 2, "192.0.2.2")
    num_each = NUM_FLOODED // len(flooders)
    reading = [
        asyncio.create_task(
            receive_all(
                cast("WebSocket", Line(ops(f"flood{i}", num_each), lambda: order.append("flood"))),
                hub,
                connection,
            )
        )
        for i, (connection, _) in enumerate(flooders)
    ]
    calm = Line(ops("calm", 100), lambda: order.append("calm"))
    await receive_all(cast("WebSocket", calm), hub, victim)
    # However much lies ready, each of the others has one message read between two of one's own.
    assert order.count("flood") <= (order.count("calm") + 2) * len(flooders)
    assert heard.codes() == []
    for task in reading:
        await task
    most = FlowLimits().ops.person.burst
    refused = sum(len(listener.codes()) for _, listener in flooders)
    assert refused == NUM_FLOODED - most, "beyond what one person may, all is refused"


async def test_l5_after_a_flood_others_in_the_room_and_at_the_address_still_get_through(
    hub: Hub,
) -> None:
    room = hub.new_room_id()
    flooder, flooded = await joined(hub, room, 1, "192.0.2.1")
    flood = ops("flood", 5_000)
    for message in [*flood, *[Presence(cursor=(0.0, 0.0))] * 1_000]:
        await hub.receive(flooder, codec.encode(message))
    assert flooded.codes() == ["rate"] * (5_000 - int(FlowLimits().ops.connection.burst))
    for number, address in ((2, "192.0.2.1"), (3, "192.0.2.2")):
        other, heard = await joined(hub, room, number, address)
        for message in ops(f"calm{number}", 100):
            await hub.receive(other, codec.encode(message))
        assert heard.codes() == []
        before = flooded.num_cursors
        flooded.has_moved.clear()
        await hub.receive(other, codec.encode(Presence(cursor=(1.0, 1.0))))
        await flooded.has_moved.wait()
        assert flooded.num_cursors == before + 1
