"""Clients as bare sockets: one process reads thousands of them and counts what it sees."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import TYPE_CHECKING

from scripts.benchmarks.load.frames import upgrade

if TYPE_CHECKING:
    from scripts.benchmarks.load.dialects import Dialect

READ_BYTES = 256 * 1024
ACK = b"\xa1t\xa3ack\xa2id\xb0"
"""Before the 16 characters of an op's id."""
JOIN_S = 20.0
DRAIN_S = 0.4


class LoadError(Exception):
    """What was to be measured didn't happen; the text says what came instead."""


class Line:
    """One client. `seen` counts the marks that have come."""

    def __init__(self, room: int, place: int) -> None:
        self.room = room
        self.place = place
        """In its room, from 0."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = 0
        self.tail = b""
        self.unsent = bytearray()

    def send(self, data: bytes) -> None:
        """Send now what the socket takes; the rest goes with the next one."""
        if self.unsent:
            self.unsent += data
            self.push()
            return
        try:
            num = self.socket.send(data)
        except BlockingIOError:
            num = 0
        if num < len(data):
            self.unsent += data[num:]

    def push(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: self.socket.send(self.unsent)]
        except BlockingIOError:
            return


class Crowd:
    """The lines of one load on one server, and what has come over them."""

    def __init__(self, dialect: Dialect, port: int, rooms: list[str]) -> None:
        self.dialect = dialect
        self.rooms = rooms
        self.lines: list[Line] = []
        self.mark = dialect.ink_mark
        self.sent_at: dict[tuple[int, int], float] = {}
        """When a point was sent, by its room and its x; times are taken while there are any."""
        self.delays_s: list[float] = []
        self.asked_at: dict[bytes, float] = {}
        """When an op was sent, by its id."""
        self.ack_delays_s: list[float] = []
        self.welcome = b""
        """What the last one who joined got."""
        self._port = port
        self._poll = select.epoll()
        self._by_fd: dict[int, Line] = {}
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)

    def join(self, room: int, place: int, *, reads: bool = True) -> Line:
        """Come in, and wait until that is over. Where `reads` is False nothing is read later."""
        line = Line(room, place)
        self.lines.append(line)
        if not reads:
            # Set before connecting, so that the server soon feels that nobody reads.
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.socket.settimeout(JOIN_S)
        line.socket.connect(("127.0.0.1", self._port))
        name = self.rooms[room]
        line.socket.sendall(upgrade(f"127.0.0.1:{self._port}", self.dialect.path(name)))
        came = self._until(line, b"", b"\r\n\r\n")
        if b" 101 " not in came[:20]:
            raise LoadError(f"expected a WebSocket, got {came[:200]!r}")
        for greeting in self.dialect.greetings(name, room * 10_000 + place):
            line.socket.sendall(greeting)
        self.welcome = self._until(line, came, self.dialect.joined_mark)
        line.socket.setblocking(False)
        if reads:
            self._by_fd[line.socket.fileno()] = line
            self._poll.register(line.socket, select.EPOLLIN)
        return line

    def _until(self, line: Line, came: bytes, mark: bytes) -> bytes:
        start = 0
        while came.find(mark, start) < 0:
            start = max(0, len(came) - len(mark))
            try:
                piece = line.socket.recv(READ_BYTES)
            except TimeoutError:
                raise LoadError(f"expected {mark!r} within {JOIN_S} s, got {came!r}") from None
            if not piece:
                raise LoadError(f"expected {mark!r}, got the end after {came[-200:]!r}")
            came += piece
        return came

    @property
    def seen(self) -> int:
        return sum(line.seen for line in self.lines)

    def read(self, until: float) -> None:
        """Take in what comes until that time (of `time.perf_counter`), at least what is there."""
        first = True
        while first or time.perf_counter() < until:
            first = False
            self.read_once(max(0.0, until - time.perf_counter()))

    def read_once(self, timeout_s: float) -> None:
        for fd, _ in self._poll.poll(timeout_s):
            self._take(self._by_fd[fd])

    def drain(self) -> None:
        """Read until nothing comes any more."""
        seen, quiet_at = -1, time.perf_counter()
        while time.perf_counter() - quiet_at < DRAIN_S:
            self.read_once(DRAIN_S / 5)
            for line in self.lines:
                line.push()
            if self.seen != seen:
                seen, quiet_at = self.seen, time.perf_counter()

    def _take(self, line: Line) -> None:
        try:
            num = line.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        if not num:
            raise LoadError(f"the server has closed a line: {line.tail[-200:]!r}")
        data = line.tail + self._view[:num]
        keep = len(self.mark) - 1
        if self.sent_at:
            self._time(line, data)
            # With what lies before a mark.
            keep += 4
        if self.asked_at:
            keep = max(keep, len(ACK) + 15)
            self._answered(line, data)
        line.seen += data.count(self.mark) - line.tail.count(self.mark)
        line.tail = data[-keep:]

    def _time(self, line: Line, data: bytes) -> None:
        now = time.perf_counter()
        dialect = self.dialect
        # A mark that lies in the tail as a whole was seen before.
        at = data.find(self.mark, max(0, len(line.tail) - len(self.mark) + 1))
        while at >= 0:
            (x,) = struct.unpack_from(dialect.x_format, data, at + dialect.x_offset)
            sent = self.sent_at.get((line.room, int(x)))
            if sent is not None:
                self.delays_s.append(now - sent)
            at = data.find(self.mark, at + 1)

    def _answered(self, line: Line, data: bytes) -> None:
        now = time.perf_counter()
        at = data.find(ACK)
        while at >= 0:
            asked = self.asked_at.pop(data[at + len(ACK) : at + len(ACK) + 16], None)
            if asked is not None:
                self.ack_delays_s.append(now - asked)
            at = data.find(ACK, at + 1)

    def close(self) -> None:
        self._poll.close()
        for line in self.lines:
            line.socket.close()
