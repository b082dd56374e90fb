"""A TCP proxy that does to lines what networks do to them. Knows nothing of what passes.

`async with FaultProxy(host, port) as proxy` listens on a free loopback port (`proxy.url`). What
passes can be late (`delay_s`), slow (`bytes_per_s`) or held (`stall`, `resume`); lines can be cut,
at once or in the middle of what passes next (`cut`, `cut_after`), or go silent while both ends
take them for alive (`half_open`).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CHUNK_BYTES = 4096


class Line:
    """One connection through the proxy."""

    def __init__(self, client: StreamWriter, server: StreamWriter) -> None:
        self._ends = (client, server)
        self.is_silent = False

    def cut(self) -> None:
        """Reset it at both ends; what is under way is lost."""
        for end in self._ends:
            end.transport.abort()


class FaultProxy:
    """Faults hold for all lines, for those that come later too, except `cut` and `half_open`."""

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        self.bytes_per_s = 0.0
        """0: as fast as it goes."""
        self.url = ""
        self._upstream = (host, port)
        self._lines: set[Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._cut_after: int | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stall(self) -> None:
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        for line in self._lines:
            line.cut()

    def cut_after(self, num_bytes: int) -> None:
        """Cut all lines once so many more bytes have passed, in whichever direction."""
        self._cut_after = num_bytes

    def half_open(self) -> None:
        """From now on nothing passes over the present lines, and neither end is told."""
        for line in self._lines:
            line.is_silent = True

    def heal(self) -> None:
        """Let what comes from now on pass as if there were no proxy."""
        self.delay_s = self.bytes_per_s = 0.0
        self._cut_after = None
        self.resume()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(*self._upstream)
        except OSError:
            return
        line = Line(writer, forth)
        self._lines.add(line)
        try:
            pumps = (self._pump(line, reader, forth), self._pump(line, back, writer))
            await asyncio.gather(*pumps)
        finally:
            self._lines.discard(line)
            line.cut()

    async def _pump(self, line: Line, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                await self._hold(len(data))
                if line.is_silent:
                    continue
                is_cut = self._cut_after is not None and len(data) >= self._cut_after
                if self._cut_after is not None:
                    data, self._cut_after = data[: self._cut_after], self._cut_after - len(data)
                writer.write(data)
                await writer.drain()
                if is_cut:
                    self._cut_after = None
                    self.cut()
            # Whoever hangs up well is heard by the other end, unless nothing passes any more.
            if not line.is_silent:
                writer.write_eof()

    async def _hold(self, num_bytes: int) -> None:
        seconds = self.delay_s + (num_bytes / self.bytes_per_s if self.bytes_per_s else 0.0)
        if seconds:
            await asyncio.sleep(seconds)
        await self._flowing.wait()
