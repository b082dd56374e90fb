"""What a Yjs client sends, byte for byte: lib0's numbers, updates (version 1), awareness.

A stroke in progress is a Y.Array to which each point is appended as one value, [x, y, pressure],
which is how drawing is usually shared over Yjs; a cursor is the whole state of one's awareness.
"""

from __future__ import annotations

import json
import struct

SYNC, AWARENESS, AUTH = 0, 1, 2
STEP_1, UPDATE = 0, 2
TOKEN = 0
HAS_ORIGIN = 0x80
CONTENT_ANY = 8
ARRAY, FLOAT32, INTEGER, BYTES = 117, 124, 125, 116


def number(value: int) -> bytes:
    """lib0's varUint."""
    data = bytearray()
    while value > 0x7F:
        data.append(0x80 | value & 0x7F)
        value >>= 7
    data.append(value)
    return bytes(data)


def text(value: str) -> bytes:
    """lib0's varString."""
    return sized(value.encode())


def sized(data: bytes) -> bytes:
    """lib0's varUint8Array."""
    return number(len(data)) + data


def point(x: float, y: float) -> bytes:
    """[x, y, 64] as lib0's `any`."""
    x_bytes, y_bytes = struct.pack(">f", x), struct.pack(">f", y)
    floats = bytes((FLOAT32,)) + x_bytes + bytes((FLOAT32,)) + y_bytes
    # 64 and above take a second byte: a sign and a continuation bit are in the first.
    return bytes((ARRAY, 3)) + floats + bytes((INTEGER, 0x80, 1))


def many_points(x: float, y: float, num_bytes: int) -> bytes:
    """A piece of a stroke as one packed value behind a first point."""
    return bytes((ARRAY, 2)) + point(x, y) + bytes((BYTES,)) + sized(bytes(num_bytes))


def append(client: int, clock: int, value: bytes, name: str) -> bytes:
    """The sync message with the update that appends one value to the array `name`.

    `clock` counts the values that this client has appended before; each client's follow their
    own, so that no two have to wait for each other.
    """
    if clock:
        place = bytes((HAS_ORIGIN | CONTENT_ANY,)) + number(client) + number(clock - 1)
    else:
        place = bytes((CONTENT_ANY,)) + number(1) + text(name)
    item = place + number(1) + value
    update = number(1) + number(1) + number(client) + number(clock) + item + number(0)
    return number(SYNC) + number(UPDATE) + sized(update)


def awareness(client: int, clock: int, state: object) -> bytes:
    """The message that tells of one client's state."""
    content = text(json.dumps(state, separators=(",", ":")))
    return number(AWARENESS) + sized(number(1) + number(client) + number(clock) + content)


def step_1() -> bytes:
    """The sync message of a client that has nothing yet."""
    return number(SYNC) + number(STEP_1) + sized(number(0))


def token(secret: str) -> bytes:
    """Hocuspocus's authentication message."""
    return number(AUTH) + number(TOKEN) + text(secret)
