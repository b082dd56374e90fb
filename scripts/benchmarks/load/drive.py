"""Loads: what the clients of some rooms do for some seconds, and what it cost the server."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING

import msgspec

from scripts.benchmarks.load.dialects import MAX_WRITERS, WRITER_STEP, Atelier
from scripts.benchmarks.load.lines import Crowd, Line, LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmarks.load.servers import Served

SETTLE_S = 0.3
WARM_S = 0.5
WINDOW = 32
"""Points of one writer in a saturated room that its reader hasn't seen."""
STUCK_S = 5.0
STAGGER = 13
"""Points between the ends of two writers' strokes."""
SEED = 20


class Shape(msgspec.Struct, frozen=True):
    """Who is there and what they do."""

    rooms: int
    lines: int
    writers: int
    per_s: float = 0.0
    """Of each writer; 0 where it sends what the server takes."""
    cursors: bool = False
    strokes: bool = False
    """Whether Atelier's writers also put each stroke that is finished, as its client does."""


class Cost(msgspec.Struct, frozen=True):
    """What one run came to."""

    us: float
    """Processor time of the server for a delivery: something that reached another client."""
    per_s: float
    """Deliveries."""
    busy: float
    """The part of its core that the server used."""
    p50_ms: float
    p99_ms: float
    ack_p95_ms: float


def fill(served: Served, shape: Shape) -> Crowd:
    crowd = Crowd(served.dialect, served.port, served.new_rooms(shape.rooms))
    try:
        for room, place in itertools.product(range(shape.rooms), range(shape.lines)):
            crowd.join(room, place)
    except BaseException:
        crowd.close()
        raise
    crowd.read(time.perf_counter() + SETTLE_S)
    return crowd


class _Writer:
    def __init__(self, line: Line, number: int, frames: Iterator[bytes]) -> None:
        self.line = line
        self.number = number
        """Among the writers of its room."""
        self.frames = frames
        self.num_sent = 0


def _writers(crowd: Crowd, shape: Shape, num_bytes: int = 0) -> list[_Writer]:
    assert shape.cursors or shape.writers <= MAX_WRITERS
    found = []
    for line in crowd.lines:
        if line.place < shape.writers:
            name = crowd.rooms[line.room]
            if shape.cursors:
                frames = crowd.dialect.cursors(name, line.place)
            else:
                frames = crowd.dialect.ink(name, line.place, num_bytes)
            found.append(_Writer(line, line.place, frames))
    return found


def paced(served: Served, shape: Shape, seconds: float) -> Cost:
    """Each writer at its own pace, out of step with the others."""
    crowd = fill(served, shape)
    try:
        return _paced(served, crowd, shape, seconds)
    finally:
        crowd.close()


def _paced(served: Served, crowd: Crowd, shape: Shape, seconds: float) -> Cost:
    if shape.cursors:
        crowd.mark = crowd.dialect.cursor_mark
    writers = _writers(crowd, shape)
    _beat(crowd, writers, shape, WARM_S)
    crowd.delays_s.clear()
    crowd.ack_delays_s.clear()
    started, cpu, seen = time.perf_counter(), served.cpu_s(), crowd.seen
    num_sent = _beat(crowd, writers, shape, seconds)
    took = time.perf_counter() - started
    return _cost(crowd, shape, served.cpu_s() - cpu, crowd.seen - seen, took, num_sent)


def _beat(crowd: Crowd, writers: list[_Writer], shape: Shape, seconds: float) -> int:
    """Let everybody write for so long, and wait for what is under way: how much was written."""
    period = 1 / shape.per_s
    chance = random.Random(SEED)
    order = sorted((chance.random() * period, number) for number in range(len(writers)))
    begin = time.perf_counter()
    num_beats = int(seconds / period)
    for beat in range(num_beats):
        for offset, number in order:
            crowd.read(begin + beat * period + offset)
            _write(crowd, writers[number], shape)
    crowd.drain()
    return num_beats * len(writers)


def _write(crowd: Crowd, writer: _Writer, shape: Shape) -> None:
    frame = next(writer.frames)
    if not shape.cursors:
        x = writer.number * WRITER_STEP + writer.num_sent
        crowd.sent_at[writer.line.room, x] = time.perf_counter()
    writer.line.send(frame)
    writer.num_sent += 1
    dialect = crowd.dialect
    if not shape.strokes or type(dialect) is not Atelier:
        return
    # Not all at the same moment.
    if not (writer.num_sent + writer.number * STAGGER) % dialect.stroke_points:
        op, put = dialect.strokes(1, dialect.stroke_points)
        crowd.asked_at[op.encode()] = time.perf_counter()
        writer.line.send(put)


def _cost(crowd: Crowd, shape: Shape, spent: float, came: int, took: float, num_sent: int) -> Cost:
    others = shape.lines - 1
    expected = num_sent * (shape.lines if crowd.dialect.echoes else others)
    # Of cursors the last one counts, so that a server may leave some out.
    if not expected * (0.7 if shape.cursors else 1) <= came <= expected:
        raise LoadError(f"expected about {expected} arrivals at {crowd.dialect}, got {came}")
    delivered = num_sent * others * came / expected
    delays = sorted(crowd.delays_s)
    return Cost(
        us=spent / delivered * 1e6,
        per_s=delivered / took,
        busy=spent / took,
        p50_ms=quantile(delays, 0.5) * 1e3,
        p99_ms=quantile(delays, 0.99) * 1e3,
        ack_p95_ms=quantile(sorted(crowd.ack_delays_s), 0.95) * 1e3,
    )


def quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def saturated(served: Served, shape: Shape, seconds: float) -> Cost:
    """Each writer sends as soon as a reader of its room has seen all but WINDOW of its points."""
    crowd = fill(served, shape)
    try:
        flood = Flood(crowd, shape)
        flood.run(until_s=WARM_S)
        crowd.drain()
        started, cpu, seen, sent = time.perf_counter(), served.cpu_s(), crowd.seen, flood.num_sent
        flood.run(until_s=seconds)
        crowd.drain()
        took, came = time.perf_counter() - started, crowd.seen - seen
        return _cost(crowd, shape, served.cpu_s() - cpu, came, took, flood.num_sent - sent)
    finally:
        crowd.close()


class Flood:
    """As much as the server takes."""

    def __init__(self, crowd: Crowd, shape: Shape, num_bytes: int = 0) -> None:
        self.num_sent = 0
        self._crowd = crowd
        self._shape = shape
        self._rooms: list[list[_Writer]] = [[] for _ in crowd.rooms]
        for writer in _writers(crowd, shape, num_bytes):
            self._rooms[writer.line.room].append(writer)
        self._readers = [
            next(line for line in crowd.lines if line.room == room and line.place == shape.writers)
            for room in range(len(crowd.rooms))
        ]
        self._sent = [reader.seen for reader in self._readers]

    def run(self, until_s: float = float("inf"), most: float = float("inf")) -> None:
        """For so many seconds, or until so many points were sent."""
        end = time.perf_counter() + until_s
        heard, moved_at = -1, time.perf_counter()
        while (now := time.perf_counter()) < end and self.num_sent < most:
            for room, reader in enumerate(self._readers):
                writers = self._rooms[room]
                room_now = WINDOW * len(writers) - (self._sent[room] - reader.seen)
                each = room_now // len(writers)
                if each >= WINDOW // 4:
                    self._send(room, each)
            self._crowd.read_once(0.05)
            if (seen := self._crowd.seen) != heard:
                heard, moved_at = seen, now
            elif now - moved_at > STUCK_S:
                raise LoadError(f"nothing came for {STUCK_S} s, after {seen} arrivals")

    def _send(self, room: int, each: int) -> None:
        for writer in self._rooms[room]:
            writer.line.send(b"".join(itertools.islice(writer.frames, each)))
            self._sent[room] += each
            self.num_sent += each
