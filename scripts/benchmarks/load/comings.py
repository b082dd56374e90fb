"""Loads that aren't deliveries: coming into a large room, all coming back at once, not reading."""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from scripts.benchmarks.load.dialects import Atelier
from scripts.benchmarks.load.drive import Flood, Shape, quantile
from scripts.benchmarks.load.frames import frame, upgrade
from scripts.benchmarks.load.lines import Crowd, LoadError

if TYPE_CHECKING:
    from scripts.benchmarks.load.servers import Served

STROKES, POINTS = 10_000, 60
STROKES_PER_OP = 2_000
JOINS = 5
BACK, BACK_PER_ROOM, MISSED_OPS = 1_000, 25, 20
BACK_S = 60.0
STALLED = 3
STALLED_BYTES = 30_000_000
PIECE_BYTES = 1_000
SAMPLE_S = 0.02


class Join(msgspec.Struct, frozen=True):
    cpu_ms: float
    """Processor time of the server."""
    wall_ms: float
    """Until the client has all of it."""


def join_large(served: Served) -> list[Join]:
    """Come into a room of STROKES strokes, one client after the other."""
    crowd = Crowd(served.dialect, served.port, served.new_rooms(1))
    try:
        author = crowd.join(0, 0)
        for _ in range(STROKES // STROKES_PER_OP):
            op, put = Atelier.strokes(STROKES_PER_OP, POINTS)
            crowd.asked_at[op.encode()] = time.perf_counter()
            author.send(put)
            while crowd.asked_at:
                author.push()
                crowd.read_once(0.05)
        # The journal's snapshot of all that is written beside what follows.
        _calm(served)
        return [_join(served, crowd, place) for place in range(1, JOINS + 1)]
    finally:
        crowd.close()


def _calm(served: Served, most_s: float = 20.0) -> None:
    """Wait until the server has nothing to do."""
    end = time.perf_counter() + most_s
    while time.perf_counter() < end:
        cpu = served.cpu_s()
        time.sleep(0.2)
        if served.cpu_s() - cpu < 0.002:
            return


def _join(served: Served, crowd: Crowd, place: int) -> Join:
    started, cpu = time.perf_counter(), served.cpu_s()
    crowd.join(0, place)
    took = time.perf_counter() - started
    crowd.drain()
    return Join(cpu_ms=(served.cpu_s() - cpu) * 1e3, wall_ms=took * 1e3)


def come_back(served: Served) -> list[float]:
    """Seconds until each of BACK clients that lost their lines at one moment is in again."""
    num_rooms = BACK // BACK_PER_ROOM
    rooms = served.new_rooms(num_rooms)
    crowd = Crowd(served.dialect, served.port, rooms)
    epochs = []
    try:
        for room in range(num_rooms):
            for place in range(BACK_PER_ROOM):
                line = crowd.join(room, place)
            epochs.append(_epoch(crowd.welcome))
            for _ in range(MISSED_OPS):
                line.send(Atelier.strokes(1, POINTS)[1])
        crowd.drain()
    finally:
        crowd.close()
    _calm(served)
    return _return(served, rooms, epochs)


def _epoch(welcome: bytes) -> str:
    """Of the room, as the welcome tells it."""
    at = welcome.index(b"\xa5epoch") + 6
    return str(msgspec.msgpack.decode(welcome[at : at + 1 + (welcome[at] & 0x1F)]))


class _Returner:
    def __init__(self, name: str, hello: bytes, port: int) -> None:
        self.hello = hello
        self.request = upgrade(f"127.0.0.1:{port}", f"/ws/{name}")
        self.came = b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))

    def act(self, event: int) -> tuple[bool, int]:
        """Go on; whether it is in, and which event to wait for."""
        if event & select.EPOLLOUT:
            self.socket.send(self.request)
            return False, select.EPOLLIN
        piece = self.socket.recv(256 * 1024)
        if not piece:
            raise LoadError(f"a line that came back was closed: {self.came[-200:]!r}")
        had = b"\r\n\r\n" in self.came
        self.came += piece
        if not had and b"\r\n\r\n" in self.came:
            self.socket.send(self.hello)
        return Atelier.joined_mark in self.came, select.EPOLLIN


def _return(served: Served, rooms: list[str], epochs: list[str]) -> list[float]:
    poll = select.epoll()
    started = time.perf_counter()
    waiting: dict[int, _Returner] = {}
    all_lines = []
    for number in range(BACK):
        room, place = divmod(number, BACK_PER_ROOM)
        resume = {"epoch": epochs[room], "seq": 1}
        hello = frame(msgspec.msgpack.encode(Atelier.hello(room * 10_000 + place, resume)))
        line = _Returner(rooms[room], hello, served.port)
        all_lines.append(line)
        waiting[line.socket.fileno()] = line
        poll.register(line.socket, select.EPOLLOUT)
    took: list[float] = []
    try:
        while waiting and time.perf_counter() - started < BACK_S:
            for fd, event in poll.poll(1.0):
                is_in, next_event = waiting[fd].act(event)
                poll.modify(fd, next_event)
                if is_in:
                    took.append(time.perf_counter() - started)
                    poll.unregister(fd)
                    del waiting[fd]
    finally:
        poll.close()
        for line in all_lines:
            line.socket.close()
    if waiting:
        raise LoadError(f"{len(waiting)} of {BACK} weren't in again after {BACK_S} s")
    return took


def stall(served: Served) -> float:
    """Megabytes of the server's memory for each reader that stopped reading."""
    shape = Shape(rooms=1, lines=25, writers=5)
    crowd = Crowd(served.dialect, served.port, served.new_rooms(1))
    try:
        for place in range(shape.lines):
            crowd.join(0, place)
        flood = Flood(crowd, shape, PIECE_BYTES)
        # All that the load itself takes is there before.
        flood.run(most=STALLED_BYTES / PIECE_BYTES / 3)
        crowd.drain()
        for place in range(shape.lines, shape.lines + STALLED):
            crowd.join(0, place, reads=False)
        before = most = served.rss_mb()
        while flood.num_sent < STALLED_BYTES / PIECE_BYTES:
            flood.run(until_s=SAMPLE_S, most=STALLED_BYTES / PIECE_BYTES)
            most = max(most, served.rss_mb())
        return (most - before) / STALLED
    finally:
        crowd.close()


def return_figure(took: list[float]) -> float:
    return quantile(sorted(took), 0.99)
