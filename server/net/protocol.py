"""uvicorn's WebSocket protocol with a way past it, for what is written and for what is read.

Written are finished frames, straight to the transport: one broadcast is framed once, and goes
out with one system call a client. Read are whole messages, which may be dealt with at once,
without a task's turn for each (`on_binary`); the application gets what is left, in its order.
The handle lies in `scope["extensions"]` under EXTENSION; without it (another server, another
protocol class) plain ASGI does the same, slower. Also sees to it that no connection outlives
its closing behind a reader that doesn't read.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.protocol import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn._types import ASGIReceiveEvent
    from websockets.frames import Frame
    from websockets.http11 import Request

EXTENSION = "atelier.direct"
READ_AHEAD_BYTES = 64 * 1024
"""Of frames that wait for their turn, after which no more is read; and of what waits to be sent,
after which pings aren't answered."""
AT_ONCE_PER_TURN = 32
"""Messages of one connection that are dealt with at once before the others have their turn."""
MASKED = 0x80
MASK_BYTES = 4
WHOLE_BINARY = 0x80 | Opcode.BINARY
HEAD_END = b"\r\n\r\n"
CLOSE_GRACE_S = 2.0
"""How long a closing handshake may take before the connection is cut."""


class DirectSocket(Protocol):
    """What the protocol offers to a writer. Used on the event loop."""

    @property
    def is_open(self) -> bool: ...

    @property
    def is_paused(self) -> bool:
        """The client doesn't keep up: write again when that has changed."""
        ...

    on_change: Callable[[], None] | None
    """Called when the client begins to keep up or doesn't any more, and when the line closes."""

    on_binary: Callable[[bytes], bool] | None
    """Asked about each binary message before the application; True: it is dealt with."""

    @property
    def send_now(self) -> Callable[[bytes], int]:
        """Sends as much as goes at once while this is open and not paused; may raise OSError."""
        ...

    def write(self, data: bytes) -> None:
        """Send whole frames, or the rest of one, as soon as it goes."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say why, and cut the connection soon, whether or not the client hears it."""
        ...


class DirectProtocol(WebSocketsSansIOProtocol):
    """Implements DirectSocket."""

    on_change: Callable[[], None] | None = None
    on_binary: Callable[[bytes], bool] | None = None
    _tells_frames_apart = False
    """Bytes are kept here until a frame is whole. Else websockets does that."""
    _is_awaited = False
    """The application has dealt with all that it got."""
    _waits = False
    """A whole frame is here that can't have its turn yet."""
    _is_going_on = False
    """The next frames have their turn soon."""

    @property
    def is_open(self) -> bool:
        return self.handshake_complete and not (
            self.close_sent or self.disconnected or self.transport.is_closing()
        )

    @property
    def is_paused(self) -> bool:
        return not self.writable.is_set()

    def write(self, data: bytes) -> None:
        if self.is_open:
            self.transport.write(data)

    def _write_all(self, data: bytes) -> int:
        self.transport.write(data)
        return len(data)

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
        # Paused as soon as anything waits there: it does so in the outbox, where it can be lost.
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        self._came = bytearray()
        self._socket = _shared_socket(self.loop, transport)
        self.send_now = self._write_all if self._socket is None else self._socket.send

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        # The application has its task by now, but no turn yet.
        if not self.close_sent:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._tells_frames_apart:
            self._came += data
            if self._is_going_on:
                self._read_on()
            else:
                self._read()
            return
        was_initiated = self.handshake_initiated
        super().data_received(data)
        # Nothing has come behind the handshake: the next byte begins a frame.
        self._tells_frames_apart = (
            self.handshake_initiated
            and not was_initiated
            and not self.close_sent
            and data.find(HEAD_END) == len(data) - len(HEAD_END)
        )

    async def receive(self) -> ASGIReceiveEvent:
        self._is_awaited = True
        if not self._is_going_on:
            self._read()
        try:
            return await self.queue.get()
        finally:
            self._is_awaited = False
            self._read_on()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._tell()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._tell()

    def eof_received(self) -> None:
        # asyncio closes the line after this.
        self.disconnected = True
        self._tell()

    def handle_ping(self) -> None:
        waits = self.transport.get_write_buffer_size()
        if waits > READ_AHEAD_BYTES and self.conn.state is State.OPEN:
            # Who reads no answers needs no more of them: they would pile up.
            self.conn.data_to_send()
            return
        super().handle_ping()

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._socket is not None:
            # Before asyncio closes it: its number may be another connection's after that.
            self._socket.detach()
        super().connection_lost(exc)
        self._tell()
        self.on_change = None
        self.on_binary = None
        self._came.clear()

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut_soon()

    # --- what comes ---------------------------------------------------------------------------

    def _read(self) -> None:
        """Deal with the frames that are here, until the application has something to do."""
        came, at, num = self._came, 0, 0
        self._waits = False
        while self._tells_frames_apart and (span := _span(came, at)) is not None:
            start, end = span
            state = self.conn.state
            if state > State.OPEN or end - start > self.config.ws_max_size:
                # Closing is websockets' business, and so is saying what was too large.
                self._tells_frames_apart = False
                end = len(came)
            elif end > len(came):
                break
            elif num == AT_ONCE_PER_TURN:
                self._waits = True
                self._go_on_soon()
                break
            elif state is not State.OPEN or not self._is_awaited or not self.queue.empty():
                self._waits = True
                break
            self._deal_with(at, start, end)
            at = end
            num += 1
        del came[:at]
        self._read_on()

    def _deal_with(self, at: int, start: int, end: int) -> None:
        """One whole frame, or all that is left."""
        came = self._came
        is_plain = came[at] == WHOLE_BINARY and came[at + 1] & MASKED and self._tells_frames_apart
        if not is_plain or self.conn.current_size is not None:
            super().data_received(bytes(came[at:end]))
            return
        data = apply_mask(came[start:end], came[start - MASK_BYTES : start])
        if self.on_binary is None or not self.on_binary(data):
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})

    def _go_on_soon(self) -> None:
        if not self._is_going_on:
            self._is_going_on = True
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_going_on = False
        self._read()

    def _read_on(self) -> None:
        """Read no more while too much waits, and go on when it doesn't."""
        is_too_much = self._waits and len(self._came) > READ_AHEAD_BYTES
        if is_too_much and not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()
        elif self.read_paused and not is_too_much and self.queue.empty():
            self.read_paused = False
            self.transport.resume_reading()

    def _cut_soon(self) -> None:
        """uvicorn waits for its buffer to empty, for ever if nobody reads it."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_GRACE_S, self.transport.abort)
        self._tell()


def _shared_socket(
    loop: asyncio.AbstractEventLoop, transport: asyncio.BaseTransport
) -> socket.socket | None:
    """The transport's socket, to send past it: a tenth less for each message to each client.

    None where the transport isn't the plain one that sends at once itself.
    """
    shared = transport.get_extra_info("socket")
    is_plain = transport.get_extra_info("sslcontext") is None
    if shared is None or not is_plain or not isinstance(loop, asyncio.SelectorEventLoop):
        return None
    return socket.socket(shared.family, shared.type, shared.proto, fileno=shared.fileno())


def _span(came: bytearray, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins and will end; None until that can be told."""
    if len(came) - at < 2:
        return None
    length, start = came[at + 1] & ~MASKED, at + 2
    if length >= 126:
        num_bytes = 2 if length == 126 else 8
        if len(came) < start + num_bytes:
            return None
        length = int.from_bytes(came[start : start + num_bytes], "big")
        start += num_bytes
    if came[at + 1] & MASKED:
        start += MASK_BYTES
    return start, start + length
