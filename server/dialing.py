"""How a client reaches a server: a socket, a ticket for it, and the id of a new room.

Knows nothing of what is said over the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import websockets
from websockets.asyncio.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
CLOSE_S = 1.0
"""How long a server that may be gone is waited for when hanging up."""


class Disconnected(Exception):
    """The connection ended. `code` and `reason` are those of its closing."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


async def new_room(url: str) -> str:
    """The id of a room that nobody has made yet; whoever joins it first is its host."""

    def first_page() -> str:
        connection = HTTPConnection(url.partition("://")[2].rstrip("/"))
        try:
            connection.request("GET", "/")
            return connection.getresponse().headers["location"].removeprefix("/r/")
        finally:
            connection.close()

    return await asyncio.to_thread(first_page)


async def ticket(server: str, room: str, link: str, token: str) -> str:
    """What a token, or else a link, is exchanged for; raises Disconnected."""
    body = {"token": token} if token else {"link": link}

    def exchange() -> str:
        asking = urllib.request.Request(
            f"{server}/rooms/{room}/tickets", json.dumps(body).encode(), method="POST"
        )
        try:
            with _opener.open(asking) as answer:
                ticket: str = json.load(answer)["ticket"]
                return ticket
        except urllib.error.HTTPError as error:
            with error:
                reason = json.load(error)["reason"]
            raise Disconnected(4000 + error.code, reason) from None

    return await asyncio.to_thread(exchange)


async def dial(uri: str) -> ClientConnection:
    """Raises Disconnected, OSError."""
    try:
        return await connect(
            uri,
            max_size=MAX_MESSAGE_BYTES,
            compression=None,
            proxy=None,
            close_timeout=CLOSE_S,
        )
    except websockets.InvalidHandshake as error:
        raise Disconnected(1006, f"expected a WebSocket at {uri}: {error}") from error


# The server is asked directly, whatever proxy the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def as_disconnected() -> Iterator[None]:
    """What a broken connection raises."""
    try:
        yield
    except websockets.ConnectionClosed as closed:
        received = closed.rcvd
        code, reason = (received.code, received.reason) if received else (1006, "connection lost")
        raise Disconnected(code, reason) from None
