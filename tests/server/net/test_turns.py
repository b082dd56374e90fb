"""One connection's work doesn't take the others' turn on the event loop. Rule S14."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from server.net.outbox import Packet
from server.net.senders import WRITE_BYTES, DirectSender
from server.net.ws import receive_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.websockets import WebSocket

    from server.hub import Connection, Hub

pytestmark = pytest.mark.anyio


class Flood:
    """A socket with many messages that came at once, and the hub that gets them."""

    def __init__(self, num_messages: int) -> None:
        self.num_left = num_messages
        self.num_received = 0

    async def receive_event(self) -> dict[str, object]:
        self.num_left -= 1
        if self.num_left < 0:
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "bytes": b""}

    async def act(self, connection: Connection, data: bytes) -> None:
        self.num_received += 1


class Socket:
    """A client that takes all that it is sent."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self.is_open = True
        self.is_paused = False
        self.on_change: Callable[[], None] | None = None
        self.on_binary: Callable[[bytes], bool] | None = None

    def send_now(self, data: bytes) -> int:
        self.write(data)
        return len(data)

    def write(self, data: bytes) -> None:
        self.num_bytes += len(data)

    def close(self, code: int, reason: str) -> None:
        self.is_open = False


def flooded(flood: Flood) -> tuple[WebSocket, Hub]:
    class FloodSocket:
        receive = staticmethod(flood.receive_event)

    class FloodHub:
        receive = staticmethod(flood.act)

    return cast("WebSocket", FloodSocket()), cast("Hub", FloodHub())


async def test_s14_messages_that_came_at_once_are_read_one_a_turn() -> None:
    flood = Flood(1_000)
    websocket, hub = flooded(flood)
    reading = asyncio.create_task(receive_all(websocket, hub, cast("Connection", None)))
    for turn in range(10):
        assert flood.num_received <= turn
        await asyncio.sleep(0)
    await reading
    assert flood.num_received == 1_000


async def test_s14_a_large_room_is_sent_in_portions_a_turn() -> None:
    socket = Socket()
    sender = DirectSender(socket, 1_000)
    encoded: list[int] = []

    def part(number: int) -> bytes:
        encoded.append(number)
        return bytes(WRITE_BYTES)

    for number in range(5):
        sender.send_join(Packet(partial(part, number)))
    assert encoded == []
    for turn in range(1, 6):
        await asyncio.sleep(0)
        assert encoded == list(range(turn))
        assert socket.num_bytes > turn * WRITE_BYTES
    socket.is_paused = True
    sender.send_join(Packet(partial(part, 5)))
    await asyncio.sleep(0)
    assert encoded == list(range(5)), "what nobody reads isn't encoded"


async def test_s14_what_waits_is_sent_before_closing() -> None:
    socket = Socket()
    sender = DirectSender(socket, 1_000)
    for _ in range(3):
        sender.send_join(Packet(bytes(WRITE_BYTES)))
    sender.close(1000, "")
    assert socket.num_bytes > 3 * WRITE_BYTES
