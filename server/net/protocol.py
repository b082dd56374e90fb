"""uvicorn's WebSocket protocol with a way past it: finished frames straight to the transport.

One broadcast is framed once and written with one system call a client. The handle lies in
`scope["extensions"]` under EXTENSION; without it (another server, another protocol class)
plain ASGI sending does the same, slower. Also sees to it that no connection outlives its
closing behind a reader that doesn't read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from websockets.http11 import Request

EXTENSION = "atelier.direct"
HIGH_WATER_BYTES = 256 * 1024
CLOSE_GRACE_S = 2.0
"""How long a closing handshake may take before the connection is cut."""


class DirectSocket(Protocol):
    """What the protocol offers to a writer. Used on the event loop."""

    @property
    def is_open(self) -> bool: ...

    @property
    def is_paused(self) -> bool:
        """The client doesn't keep up: write again when `on_resume` is called."""
        ...

    on_resume: Callable[[], None] | None

    def write_frames(self, data: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None:
        """Say why, and cut the connection soon, whether or not the client hears it."""
        ...


class DirectProtocol(WebSocketsSansIOProtocol):
    """Implements DirectSocket."""

    on_resume: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (
            self.close_sent or self.disconnected or self.transport.is_closing()
        )

    @property
    def is_paused(self) -> bool:
        return not self.writable.is_set()

    def write_frames(self, data: bytes) -> None:
        if self.is_open:
            self.transport.write(data)

    def close(self, code: int, reason: str) -> None:
        if self.is_open:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            try:
                self.conn.send_close(code, reason)
            except InvalidState:
                self.transport.abort()
                return
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.stop_keepalive()
            # Reading goes on, or the client's own close would never be seen.
            if self.read_paused:
                self.read_paused = False
                self.transport.resume_reading()
        self._cut_soon()

    # --- asyncio and uvicorn -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # The application has its task by now, but no turn yet.
        if not self.close_sent:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_resume is not None:
            self.on_resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_resume = None
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_soon()

    def _cut_soon(self) -> None:
        """uvicorn waits for its buffer to empty, for ever if nobody reads it."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)
