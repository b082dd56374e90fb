"""What waits to be sent to one client: bounded, ephemeral messages dropped first.

No asyncio, no sockets. Ephemeral messages may be lost; of several with one key only the last
is kept. Everything else is delivered, or else the client is too slow (S9).
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


Key = tuple[str, ...]

BINARY = 0x82
"""FIN and opcode of a whole binary message (RFC 6455, section 5.2)."""
EPHEMERAL_BYTES = 64 * 1024
"""Most of what may be lost that waits: seconds of a busy room's ink."""
MAX_REPLACED = 1_000
"""Places of packets that were replaced, after which they are cleared away."""


class Packet:
    """A message, encoded and framed for the wire once, however many clients it goes to."""

    __slots__ = ("_content", "_frame", "_payload", "ephemeral", "key")

    def __init__(
        self,
        content: bytes | Callable[[], bytes],
        *,
        ephemeral: bool = False,
        key: Key | None = None,
    ) -> None:
        """`content` is the encoded message, or what encodes it when it is written.

        An ephemeral one may be lost; of several with one `key` only the last counts.
        """
        self._content = content
        self._payload: bytes | None = None
        self._frame: bytes | None = None
        self.ephemeral = ephemeral
        self.key = key

    @property
    def payload(self) -> bytes:
        if self._payload is None:
            content = self._content
            self._payload = content if isinstance(content, bytes) else content()
        return self._payload

    @property
    def frame(self) -> bytes:
        if self._frame is None:
            payload = self.payload
            self._frame = frame_head(len(payload)) + payload
        return self._frame


def frame_head(size: int) -> bytes:
    """What comes before a binary message of so many bytes, unmasked (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((BINARY, size))
    if size < 65_536:
        return struct.pack("!BBH", BINARY, 126, size)
    return struct.pack("!BBQ", BINARY, 127, size)


class _Item:
    __slots__ = ("free", "packet")

    def __init__(self, packet: Packet, *, free: bool) -> None:
        self.packet: Packet | None = packet
        self.free = free


class Outbox:
    """A queue of packets in the order in which they were put."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[_Item] = deque()
        self._latest: dict[Key, _Item] = {}
        self._counted_bytes = 0
        self._ephemeral_bytes = 0
        self._num_replaced = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def counted_bytes(self) -> int:
        """What counts against the limit."""
        return self._counted_bytes

    def put(self, packet: Packet) -> bool:
        """Queue a packet; False if it must arrive and the client is too slow for it."""
        if packet.ephemeral:
            self._put_ephemeral(packet)
            return True
        self._add(packet)
        if self._counted_bytes > self._max_bytes:
            self._drop_ephemeral()
        return self._counted_bytes <= self._max_bytes

    def put_join(self, packet: Packet) -> None:
        """Queue a part of what a client gets once, at its join, however big the room is."""
        self._items.append(_Item(packet, free=True))

    def _put_ephemeral(self, packet: Packet) -> None:
        """It replaces what waits with the same key, and is lost where there is no room."""
        key = packet.key
        if key is not None and (old := self._latest.pop(key, None)) is not None:
            self._clear(old)
            self._num_replaced += 1
            if self._num_replaced > MAX_REPLACED:
                self._tidy()
        size = len(packet.payload)
        # Half of the space is for what must arrive.
        if self._counted_bytes + size > self._max_bytes // 2:
            return
        if self._ephemeral_bytes + size > EPHEMERAL_BYTES:
            return
        item = self._add(packet)
        if key is not None:
            self._latest[key] = item

    def take(self, max_bytes: int) -> list[Packet]:
        """Remove packets from the front: at least one if any waits, about `max_bytes`."""
        taken: list[Packet] = []
        size = 0
        while self._items and size < max_bytes:
            item = self._items.popleft()
            packet = item.packet
            if packet is None:
                continue
            taken.append(packet)
            size += len(packet.payload)
            if packet.key is not None and self._latest.get(packet.key) is item:
                del self._latest[packet.key]
            self._clear(item)
        return taken

    def _add(self, packet: Packet) -> _Item:
        item = _Item(packet, free=False)
        self._items.append(item)
        size = len(packet.payload)
        self._counted_bytes += size
        if packet.ephemeral:
            self._ephemeral_bytes += size
        return item

    def _clear(self, item: _Item) -> None:
        packet = item.packet
        if packet is not None and not item.free:
            size = len(packet.payload)
            self._counted_bytes -= size
            if packet.ephemeral:
                self._ephemeral_bytes -= size
        item.packet = None

    def _drop_ephemeral(self) -> None:
        for item in self._items:
            if item.packet is not None and item.packet.ephemeral:
                self._clear(item)
        self._tidy()
        self._latest.clear()

    def _tidy(self) -> None:
        self._items = deque(item for item in self._items if item.packet is not None)
        self._num_replaced = 0
