"""How each server is spoken to: joining, a point of ink, a cursor, and how to see them arrive.

Whatever is sent holds a pattern of bytes that nothing else does, so that arrivals are counted
without decoding; before the pattern lies the number of the point.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import msgspec

from scripts.benchmarks.load import yjs
from scripts.benchmarks.load.frames import frame
from server.core.ids import new_id
from server.core.messages import InkStyle

if TYPE_CHECKING:
    from collections.abc import Iterator

SAME_Y = 23456.789
"""Of all points and cursors: this is what is looked for."""
WRITER_STEP = 1 << 19
"""The x of a point tells its writer and its number: float32 has 24 bits, one for the half."""
MAX_WRITERS = 7
TOKEN = "a token that is checked"
_encode = msgspec.msgpack.Encoder().encode


def x_of(writer: int, number: int) -> float:
    """Never whole: lib0 would write it as an integer."""
    return writer * WRITER_STEP + number + 0.5


class Dialect(ABC):
    """One server's protocol. `room` and `writer` count from 0."""

    ink_mark: bytes
    x_offset: int
    """Of a point's x, as a float32, from the mark."""
    x_format: str
    cursor_mark: bytes
    joined_mark: bytes
    """In the last thing that a client gets while it joins."""
    echoes: bool
    """Whether a writer's own points come back to it."""

    @abstractmethod
    def path(self, room: str) -> str: ...

    @abstractmethod
    def greetings(self, room: str, line: int) -> list[bytes]:
        """The frames with which a client comes in."""

    @abstractmethod
    def ink(self, room: str, writer: int, num_bytes: int = 0) -> Iterator[bytes]:
        """Frames, each with one point (and a packed rest of `num_bytes`), without an end."""

    @abstractmethod
    def cursors(self, room: str, writer: int) -> Iterator[bytes]: ...


class Atelier(Dialect):
    """Ink and cursors pass through; a stroke is an op when it ends."""

    _point = struct.pack("<f", SAME_Y) + bytes((0, 0, 0, 0, 64))
    ink_mark = _point
    x_offset = -4
    x_format = "<f"
    cursor_mark = struct.pack(">d", SAME_Y)
    joined_mark = b"\xa1t\xa5ready"
    echoes = False
    stroke_points = 60

    def path(self, room: str) -> str:
        return f"/ws/{room}"

    def greetings(self, room: str, line: int) -> list[bytes]:
        return [frame(_encode(self.hello(line)))]

    @staticmethod
    def hello(line: int, resume: dict[str, object] | None = None) -> dict[str, object]:
        hello = {"t": "hello", "protocol": 1, "key": line.to_bytes(16, "big"), "name": f"P{line}"}
        return {**hello, "resume": resume} if resume else hello

    def ink(self, room: str, writer: int, num_bytes: int = 0) -> Iterator[bytes]:
        style = msgspec.to_builtins(InkStyle(kind="stroke", size=4.0))
        stroke, number = "", 0
        while True:
            first = number % self.stroke_points
            if not first:
                stroke = new_id()
            x = struct.pack("<f", x_of(writer, number))
            message = {"t": "ink", "stroke": stroke, "first": first}
            message |= {"points": x + self._point + bytes(num_bytes // 5 * 5)}
            message |= {"style": None if first else style, "end": False}
            yield frame(_encode(message))
            number += 1

    def cursors(self, room: str, writer: int) -> Iterator[bytes]:
        number = 0
        while True:
            cursor = (number + 0.5, SAME_Y)
            yield frame(_encode({"t": "presence", "cursor": cursor, "tool": "brush"}))
            number += 1

    @staticmethod
    def strokes(num: int, num_points: int) -> tuple[str, bytes]:
        """The id and the frame of an op that puts strokes."""
        op = new_id()
        points = struct.pack("<ff", 1.0, 2.0) + bytes((16, 0, 16, 0, 64)) * num_points
        changes = [
            {
                "c": "put",
                "record": {
                    "type": "stroke", "id": new_id(), "z": "a0", "points": points, "size": 4.0,
                },
            }
            for _ in range(num)
        ]  # fmt: skip
        return op, frame(_encode({"t": "op", "id": op, "changes": changes}))


class Bare(Atelier):
    """A server that knows nothing of what it passes on; the clients need not greet it."""

    joined_mark = b"\r\n\r\n"

    def greetings(self, room: str, line: int) -> list[bytes]:
        return []


class YWebsocket(Dialect):
    _mark = bytes((yjs.FLOAT32,)) + struct.pack(">f", SAME_Y) + bytes((yjs.INTEGER, 0x80, 1))
    ink_mark = _mark
    x_offset = -4
    x_format = ">f"
    cursor_mark = b'"y":23456.789'
    joined_mark = bytes((yjs.SYNC, 1))
    echoes = True

    def path(self, room: str) -> str:
        return f"/{room}"

    def greetings(self, room: str, line: int) -> list[bytes]:
        return [self._framed(room, yjs.step_1())]

    def ink(self, room: str, writer: int, num_bytes: int = 0) -> Iterator[bytes]:
        client, number = 1_000_000 + writer, 0
        while True:
            x = x_of(writer, number)
            value = yjs.many_points(x, SAME_Y, num_bytes) if num_bytes else yjs.point(x, SAME_Y)
            yield self._framed(room, yjs.append(client, number, value, f"ink{writer}"))
            number += 1

    def cursors(self, room: str, writer: int) -> Iterator[bytes]:
        client, number = 1_000_000 + writer, 0
        user = {"name": f"P{writer}", "color": "#1e1e1e"}
        while True:
            state = {"user": user, "cursor": {"x": number + 0.5, "y": SAME_Y}}
            yield self._framed(room, yjs.awareness(client, number + 1, state))
            number += 1

    def _framed(self, room: str, message: bytes) -> bytes:
        return frame(message)


class Hocuspocus(YWebsocket):
    """Each message bears its document's name, and the first one a token."""

    def path(self, room: str) -> str:
        return "/"

    def greetings(self, room: str, line: int) -> list[bytes]:
        return [self._framed(room, yjs.token(TOKEN)), *super().greetings(room, line)]

    def _framed(self, room: str, message: bytes) -> bytes:
        return frame(yjs.text(room) + message)
