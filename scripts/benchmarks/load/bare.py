"""The limit: a server that does nothing but pass on what comes, to all others in the room.

Each message is framed once and written to the transports. `python -m ...load.bare` prints its
port. No limits, no names, no checks: what it costs is what any server on asyncio costs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import cast

from websockets.frames import Frame, Opcode

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ROOMS: dict[bytes, set[Bare]] = {}


class Bare(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""
        self._others: set[Bare] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.write = self.transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        if self._others is not None:
            self._others.discard(self)

    def data_received(self, data: bytes) -> None:
        data = self._data + data
        if self._others is None:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._data = head
                return
            self._enter(head)
        at = 0
        while (size := self._size(data, at)) and len(data) - at >= size:
            self._relay(data[at : at + size])
            at += size
        self._data = data[at:]

    def _enter(self, head: bytes) -> None:
        lines = head.split(b"\r\n")
        key = next(line[19:] for line in lines if line.lower().startswith(b"sec-websocket-key: "))
        proof = base64.b64encode(hashlib.sha1(key + GUID).digest())
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        answer += b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n"
        self.write(answer)
        self._others = ROOMS.setdefault(lines[0], set())
        self._others.add(self)

    @staticmethod
    def _size(data: bytes, at: int) -> int:
        """Of the frame that begins there; 0 while that can't be told."""
        if len(data) - at < 8:
            return 0
        length = data[at + 1] & 0x7F
        return 6 + length if length < 126 else 8 + int.from_bytes(data[at + 2 : at + 4], "big")

    def _relay(self, data: bytes) -> None:
        # The mask of this benchmark's clients is zero.
        payload = data[6:] if data[1] & 0x7F < 126 else data[8:]
        frame = Frame(Opcode.BINARY, payload).serialize(mask=False)
        for other in self._others or ():
            if other is not self:
                other.write(frame)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
