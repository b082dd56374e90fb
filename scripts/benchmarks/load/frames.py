"""WebSocket frames as a client sends them (RFC 6455, section 5), and its opening handshake."""

from __future__ import annotations

import struct

BINARY = 0x82
MASK = 0x80


def frame(payload: bytes) -> bytes:
    """A binary frame. The mask is zero: the server unmasks it all the same."""
    size = len(payload)
    if size < 126:
        head = bytes((BINARY, MASK | size))
    elif size < 65_536:
        head = struct.pack("!BBH", BINARY, MASK | 126, size)
    else:
        head = struct.pack("!BBQ", BINARY, MASK | 127, size)
    return head + bytes(4) + payload


def upgrade(host: str, path: str) -> bytes:
    """The request with which a connection begins."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "",
        "",
    )
    return "\r\n".join(lines).encode()
