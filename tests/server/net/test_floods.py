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
    PeerPresence,
    Presence,
    Refused,
    ServerMessage,
)
from server.core.records import Layer, Put
from server.hub import Connection, Hub
from server.net.ws import receive_all
from server.storage.journal import SqliteJournal
from tests.server.net.serving import FakeGeneration, settings_for
from tests.support.kept_sender import KeptSender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from starlette.websockets import WebSocket

    from server.core.ids import RoomId

pytestmark = pytest.mark.anyio
NUM_FLOODED = 12_000


def codes(sender: KeptSender) -> list[str]:
    """Of what was refused."""
    return [message.code for message in sender.sent if isinstance(message, Refused)]


def is_join(message: ServerMessage) -> bool:
    return isinstance(message, JoinReady)


def is_cursor(message: ServerMessage) -> bool:
    return isinstance(message, PeerPresence)


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


async def joined(
    hub: Hub, room: RoomId, number: int, address: str
) -> tuple[Connection, KeptSender]:
    sender = KeptSender()
    connection = hub.connect(room, sender, address=address)
    await hub.receive(connection, codec.encode(Hello(protocol=1, key=bytes([number]) * 16)))
    await sender.until_num(1, is_join)
    return connection, sender


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
    assert codes(heard) == []
    for task in reading:
        await task
    most = FlowLimits().ops.person.burst
    refused = sum(len(codes(sender)) for _, sender in flooders)
    assert refused == NUM_FLOODED - most, "beyond what one person may, all is refused"


async def test_l5_after_a_flood_others_in_the_room_and_at_the_address_still_get_through(
    hub: Hub,
) -> None:
    room = hub.new_room_id()
    flooder, flooded = await joined(hub, room, 1, "192.0.2.1")
    flood = ops("flood", 5_000)
    for message in [*flood, *[Presence(cursor=(0.0, 0.0))] * 1_000]:
        await hub.receive(flooder, codec.encode(message))
    assert codes(flooded) == ["rate"] * (5_000 - int(FlowLimits().ops.connection.burst))
    for number, address in ((2, "192.0.2.1"), (3, "192.0.2.2")):
        other, heard = await joined(hub, room, number, address)
        for message in ops(f"calm{number}", 100):
            await hub.receive(other, codec.encode(message))
        assert codes(heard) == []
        before = sum(map(is_cursor, flooded.sent))
        await hub.receive(other, codec.encode(Presence(cursor=(1.0, 1.0))))
        await flooded.until_num(before + 1, is_cursor)
        assert sum(map(is_cursor, flooded.sent)) == before + 1
