"""The WebSocket endpoint: a socket's messages to the hub, one after the other.

Knows nothing of what the messages mean. Sending is the sender's, which never waits; reading
waits for the hub, so that a client is read no faster than its messages are dealt with.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import PlainTextResponse

from server.core.access import STRANGER
from server.core.closings import NO_ROOM
from server.core.codec import BAD_MESSAGE
from server.core.ids import RoomId, is_room_id
from server.net.logins import is_allowed_origin
from server.net.senders import direct_of, sender_of

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from server.core.access import Grant
    from server.core.tickets import Tickets
    from server.hub import Connection, Hub
    from server.settings import Settings

BAD_TICKET = 4401, "this ticket is used up or too old: get another"
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
    if not is_room_id(room):
        sender.close(*NO_ROOM)
    elif (grant := grant_of(websocket, RoomId(room), hub.now())) is None:
        sender.close(*BAD_TICKET)
    else:
        address = websocket.app.state.logins.address_of(websocket)
        connection = hub.connect(RoomId(room), sender, grant, address)
        direct = direct_of(websocket)
        if direct is not None:
            direct.on_binary = partial(hub.relay, connection)
        try:
            await receive_all(websocket, hub, connection)
        finally:
            hub.disconnect(connection)
    await sender.drained()


def grant_of(websocket: WebSocket, room: RoomId, now: float) -> Grant | None:
    """What somebody came with; None if that is a ticket that isn't good."""
    ticket = websocket.query_params.get("ticket")
    tickets: Tickets = websocket.app.state.tickets
    grant = STRANGER if ticket is None else tickets.redeem(room, ticket, now)
    login: str = websocket.app.state.logins.login_of(websocket)
    if grant is None or grant.login or not login:
        return grant
    return msgspec.structs.replace(grant, login=login)


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
