"""What waits to be sent to one client: bounded, ephemeral messages dropped first.

No asyncio, no sockets. Ephemeral messages may be lost; of several with one key only the last
is kept. Everything else is delivered, or else the client is too slow (S9).
"""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode

if TYPE_CHECKING:
    from collections.abc import Callable


class Packet:
    """A message, encoded and framed for the wire once, however many clients it goes to."""

    def __init__(self, content: bytes | Callable[[], bytes]) -> None:
        """`content` is the encoded message, or what encodes it when it is written."""
        self._content = content

    @cached_property
    def payload(self) -> bytes:
        return self._content if isinstance(self._content, bytes) else self._content()

    @cached_property
    def frame(self) -> bytes:
        return Frame(Opcode.BINARY, self.payload).serialize(mask=False)


Key = tuple[str, ...]


class _Item:
    __slots__ = ("ephemeral", "free", "key", "packet")

    def __init__(self, packet: Packet, *, ephemeral: bool, key: Key | None, free: bool) -> None:
        self.packet: Packet | None = packet
        self.ephemeral = ephemeral
        self.key = key
        self.free = free


class Outbox:
    """A queue of packets in the order in which they were put."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[_Item] = deque()
        self._latest: dict[Key, _Item] = {}
        self._counted_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def counted_bytes(self) -> int:
        """What counts against the limit."""
        return self._counted_bytes

    def put(self, packet: Packet) -> bool:
        """Queue what must arrive; False if the client is too slow for it."""
        self._add(_Item(packet, ephemeral=False, key=None, free=False))
        if self._counted_bytes > self._max_bytes:
            self._drop_ephemeral()
        return self._counted_bytes <= self._max_bytes

    def put_join(self, packet: Packet) -> None:
        """Queue a part of what a client gets once, at its join, however big the room is."""
        self._add(_Item(packet, ephemeral=False, key=None, free=True))

    def put_ephemeral(self, packet: Packet, key: Key | None) -> None:
        """Queue what may be lost; it replaces what waits with the same key."""
        if key is not None and (old := self._latest.pop(key, None)) is not None:
            self._clear(old)
        # Half of the space is for what must arrive.
        if self._counted_bytes + len(packet.payload) > self._max_bytes // 2:
            return
        item = _Item(packet, ephemeral=True, key=key, free=False)
        self._add(item)
        if key is not None:
            self._latest[key] = item

    def take(self, max_bytes: int) -> list[Packet]:
        """Remove packets from the front: at least one if any waits, about `max_bytes`."""
        taken: list[Packet] = []
        size = 0
        while self._items and size < max_bytes:
            item = self._items.popleft()
            if item.packet is None:
                continue
            taken.append(item.packet)
            size += len(item.packet.payload)
            if item.key is not None and self._latest.get(item.key) is item:
                del self._latest[item.key]
            self._clear(item)
        return taken

    def _add(self, item: _Item) -> None:
        assert item.packet is not None
        self._items.append(item)
        if not item.free:
            self._counted_bytes += len(item.packet.payload)

    def _clear(self, item: _Item) -> None:
        if item.packet is not None and not item.free:
            self._counted_bytes -= len(item.packet.payload)
        item.packet = None

    def _drop_ephemeral(self) -> None:
        for item in self._items:
            if item.ephemeral:
                self._clear(item)
        self._items = deque(item for item in self._items if item.packet is not None)
        self._latest.clear()
