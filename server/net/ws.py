"""The WebSocket endpoint: a socket's messages to the hub, one after the other.

Knows nothing of what the messages mean. Sending is the sender's, which never waits; reading
waits for the hub, so that a client is read no faster than its messages are dealt with.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from server.core.codec import BAD_MESSAGE
from server.core.ids import RoomId, is_room_id
from server.net.senders import sender_of

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from server.hub import Connection, Hub
    from server.settings import Settings

NO_ROOM = 4404
HELLO_TIMEOUT_S = 10.0


async def room_socket(websocket: WebSocket) -> None:
    """`WS /ws/{room}`."""
    settings: Settings = websocket.app.state.settings
    hub: Hub = websocket.app.state.hub
    if not is_allowed_origin(websocket, settings):
        reason = "this page may not connect here: add its origin to ATELIER_ALLOWED_ORIGINS"
        await websocket.send_denial_response(PlainTextResponse(reason, 403))
        return
    await websocket.accept()
    sender = sender_of(websocket, settings.max_outbox_bytes)
    room = websocket.path_params["room"]
    if is_room_id(room):
        connection = hub.connect(RoomId(room), sender)
        try:
            await receive_all(websocket, hub, connection)
        finally:
            hub.disconnect(connection)
    else:
        sender.close(NO_ROOM, "no such room: start from the first page")
    await sender.drained()


def is_allowed_origin(websocket: WebSocket, settings: Settings) -> bool:
    """Browsers always say where a page is from: another site's may not use this one's rooms."""
    origin = websocket.headers.get("origin")
    if origin is None or origin in settings.origins:
        return True
    _, _, host = origin.partition("://")
    return host != "" and host == websocket.headers.get("host")


async def receive_all(websocket: WebSocket, hub: Hub, connection: Connection) -> None:
    """Feed the hub until the socket is closed, by whichever side.

    Messages that came in one piece are there without waiting: in between it is the others' turn.
    """
    deadline: float | None = HELLO_TIMEOUT_S
    while True:
        try:
            async with asyncio.timeout(deadline):
                event = await websocket.receive()
        except TimeoutError:
            connection.sender.close(BAD_MESSAGE, f"expected hello within {HELLO_TIMEOUT_S:.0f} s")
            return
        if event["type"] != "websocket.receive":
            return
        data = event.get("bytes")
        if data is None:
            connection.sender.close(BAD_MESSAGE, "expected binary messages, got text")
            return
        await hub.receive(connection, data)
        deadline = None
        await asyncio.sleep(0)
