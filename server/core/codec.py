"""Bytes of the wire to typed messages and back. Never raises anything but ProtocolError.

msgpack reads first because it has limits on depth and sizes; msgspec then checks the types.
"""

from __future__ import annotations

import math
import re
from typing import NoReturn

import msgpack
import msgspec

from server.core.errors import ProtocolError
from server.core.messages import ClientMessage, Ink, Look, Presence, ServerMessage

BAD_MESSAGE = 4400
MAX_DEPTH = 16
MAX_ITEMS = 4_096
"""Of any one array or map; the longest legitimate one is the changes of an op."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[ServerMessage] = msgspec.msgpack.Decoder(ServerMessage)


class BadRequest(msgspec.Struct, frozen=True):
    """A message with an id that isn't what its kind should be: it is refused by that id."""

    id: str
    reason: str


def encode(message: ServerMessage | ClientMessage) -> bytes:
    return _encoder.encode(message)


def decode_server(data: bytes) -> ServerMessage:
    """Read what a server sent, in a client that trusts it; raises msgspec.DecodeError."""
    return _decoder.decode(data)


def decode(data: bytes) -> ClientMessage | BadRequest:
    """Read what a client sent; raises ProtocolError, whatever the bytes are."""
    content = _unpack(data)
    try:
        # Naming the builtin types keeps text from being read as base64 where bytes belong.
        message: ClientMessage = msgspec.convert(content, ClientMessage, builtin_types=(bytes,))
    except (msgspec.ValidationError, RecursionError) as error:
        return _bad(content, str(error))
    if isinstance(message, Presence) and not has_finite_cursor(message):
        raise ProtocolError(BAD_MESSAGE, "expected a cursor of finite numbers")
    if isinstance(message, Look) and not has_finite_sight(message):
        raise ProtocolError(BAD_MESSAGE, "expected a sight of finite numbers")
    if isinstance(message, Ink) and not has_whole_points(message):
        raise ProtocolError(BAD_MESSAGE, "expected 8 bytes of origin and 5 bytes for each point")
    return message


def has_finite_cursor(presence: Presence) -> bool:
    return presence.cursor is None or all(map(math.isfinite, presence.cursor))


def has_finite_sight(look: Look) -> bool:
    return all(map(math.isfinite, look.sight))


def has_whole_points(ink: Ink) -> bool:
    return len(ink.points) % 5 in (0, 3)


def _unpack(data: bytes) -> object:
    try:
        content: object = msgpack.unpackb(
            data,
            strict_map_key=True,
            ext_hook=_no_extension,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        what = str(error) or type(error).__name__
        raise ProtocolError(BAD_MESSAGE, f"expected MessagePack: {what}") from None
    if _too_deep(content):
        raise ProtocolError(BAD_MESSAGE, f"expected at most {MAX_DEPTH} levels of nesting")
    return content


def _no_extension(code: int, data: bytes) -> NoReturn:
    raise ValueError(f"got an extension of type {code}")


def _too_deep(content: object) -> bool:
    level: list[object] = [content]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _bad(content: object, reason: str) -> BadRequest:
    id = content.get("id") if isinstance(content, dict) else None
    if isinstance(id, str) and _ID.fullmatch(id):
        return BadRequest(id, reason)
    raise ProtocolError(BAD_MESSAGE, reason)
