"""A connection without a socket: it keeps what it is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.core import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.core.messages import ServerMessage
    from server.net.outbox import Packet


class KeptSender:
    """Implements `server.net.senders.Sender`."""

    def __init__(self) -> None:
        self.on_close: Callable[[], None] | None = None
        self.before: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self.send_now: Callable[[bytes], int] | None = None
        self.sent: list[ServerMessage] = []
        self.closed: tuple[int, str] | None = None
        self._changed = asyncio.Event()

    async def until(self, message: ServerMessage) -> None:
        """Wait until this was sent."""
        await self.until_num(1, lambda sent: sent == message)

    async def until_num(self, num: int, wanted: Callable[[ServerMessage], bool]) -> None:
        """Wait until so many of these were sent."""
        while sum(map(wanted, self.sent)) < num:
            self._changed.clear()
            await self._changed.wait()

    @property
    def is_open(self) -> bool:
        return self.closed is None

    def send(self, packet: Packet) -> None:
        if self.before is not None:
            self.before()
        self.put(packet)

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is sent at once here")

    def put(self, packet: Packet) -> None:
        if self.is_open:
            self.sent.append(codec.decode_server(packet.payload))
            self._changed.set()

    def send_join(self, packet: Packet) -> None:
        self.send(packet)

    def close(self, code: int, reason: str) -> None:
        if self.before is not None:
            self.before()
        if self.is_open:
            self.closed = (code, reason)
            if self.on_close is not None:
                self.on_close()

    async def drained(self) -> None:
        return None
