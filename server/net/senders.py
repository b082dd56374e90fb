"""One writer for each socket: what is put into its outbox goes out in order.

`DirectSender` writes finished frames to the transport, all that one turn of the event loop
has brought at once. While nothing waits, a room may `send_now` itself, the same bytes to
all. `AsgiSender` sends with a task and plain ASGI. Neither ever makes the caller wait: a
client that can't keep up is disconnected (S9).
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from itertools import repeat
from operator import call
from typing import TYPE_CHECKING, Protocol, TypeAlias

from starlette.websockets import WebSocketDisconnect

from server.net.outbox import Outbox, Packet
from server.net.protocol import EXTENSION, DirectSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.websockets import WebSocket

TOO_SLOW = 4408
TOO_SLOW_REASON = "too slow: connect again and resume"
WRITE_BYTES = 256 * 1024
CLOSE_GRACE_S = 2.0


SendNow: TypeAlias = "Callable[[bytes], int]"


class Sender(Protocol):
    """What a room may do with a connection."""

    on_close: Callable[[], None] | None
    """Called when this side closes, whether or not the client ever hears of it."""

    before: Callable[[], None] | None
    """Called before anything else is sent or closed: it may `put` what has to come first."""

    on_change: Callable[[], None] | None
    """Called when `send_now` is another."""

    send_now: SendNow | None
    """Sends as much as goes at once, the rest is for `write`; may raise OSError.

    None while it would overtake something, or nobody reads it.
    """

    @property
    def is_open(self) -> bool: ...

    def send(self, packet: Packet) -> None: ...

    def send_join(self, packet: Packet) -> None: ...

    def put(self, packet: Packet) -> None:
        """As `send`, of what comes first."""
        ...

    def write(self, data: bytes) -> None:
        """Send the rest."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send what can be sent, then close. Later sends are ignored."""
        ...

    async def drained(self) -> None:
        """Return once the closing is under way and no task is left."""
        ...


def sender_of(websocket: WebSocket, max_outbox_bytes: int) -> Sender:
    """The fastest sender that this connection allows; call it after `accept`."""
    direct = direct_of(websocket)
    if direct is not None:
        return DirectSender(direct, max_outbox_bytes)
    return AsgiSender(websocket, max_outbox_bytes)


def direct_of(websocket: WebSocket) -> DirectSocket | None:
    direct: DirectSocket | None = websocket.scope["extensions"].get(EXTENSION)
    return direct


def send_at_once(sends: Mapping[Sender, SendNow], data: bytes) -> None:
    """Send the same bytes to all of these.

    This is where the time of a busy server goes. Behind each system call all caches are cold,
    so there is not a line of Python between one call and the next.
    """
    sending = map(call, sends.values(), repeat(data))
    sizes: list[int] = []
    while len(sizes) < len(sends):
        try:
            # Keeps what it has, and can go on, when one of them fails.
            sizes.extend(sending)
        except OSError:
            sizes.append(0)
    if sum(sizes) < len(data) * len(sends):
        for sender, size in zip(sends, sizes, strict=True):
            # Whatever kept it from going, the transport meets it too, and waits or closes.
            if size < len(data):
                sender.write(data[size:])


class _Sender(ABC):
    """The outbox's side of both."""

    def __init__(self, max_outbox_bytes: int) -> None:
        self.on_close: Callable[[], None] | None = None
        self.before: Callable[[], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self.send_now: SendNow | None = None
        self._outbox = Outbox(max_outbox_bytes)

    def close(self, code: int, reason: str) -> None:
        if self.is_open and code != TOO_SLOW:
            self._begin()
        # What had to come first may have shown that it is too slow, and closed it.
        if self.is_open:
            self._close(code, reason)
            if self.on_close is not None:
                self.on_close()

    def send(self, packet: Packet) -> None:
        self._begin()
        self.put(packet)

    def put(self, packet: Packet) -> None:
        if not self.is_open:
            return
        if self._outbox.put(packet):
            self._wake()
        else:
            self.close(TOO_SLOW, TOO_SLOW_REASON)

    def send_join(self, packet: Packet) -> None:
        self._begin()
        if self.is_open:
            self._outbox.put_join(packet)
            self._wake()

    def _begin(self) -> None:
        if self.before is not None:
            self.before()

    @property
    @abstractmethod
    def is_open(self) -> bool: ...

    @abstractmethod
    def _close(self, code: int, reason: str) -> None: ...

    @abstractmethod
    def _wake(self) -> None: ...


class DirectSender(_Sender):
    """Writes to the transport once a turn, while the client keeps up."""

    def __init__(self, socket: DirectSocket, max_outbox_bytes: int) -> None:
        super().__init__(max_outbox_bytes)
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._is_flush_due = False
        socket.on_change = self._changed
        self._changed()

    @property
    def is_open(self) -> bool:
        return self._socket.is_open

    def _close(self, code: int, reason: str) -> None:
        while code != TOO_SLOW and self.is_open and self._outbox and not self._socket.is_paused:
            self._flush()
        self._socket.close(code, reason)

    async def drained(self) -> None:
        return None

    def _changed(self) -> None:
        """The socket is another than before: closed, paused, or read again."""
        if not self._socket.is_open:
            self._send_by(None)
        elif self._outbox:
            self._wake()
        else:
            self._send_by(None if self._socket.is_paused else self._socket.send_now)

    def _send_by(self, send_now: SendNow | None) -> None:
        if send_now is not self.send_now:
            self.send_now = send_now
            if self.on_change is not None:
                self.on_change()

    def write(self, data: bytes) -> None:
        self._socket.write(data)

    def _wake(self) -> None:
        self._send_by(None)
        if not self._is_flush_due and not self._socket.is_paused:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        self._begin()
        if self._socket.is_paused or not self._socket.is_open:
            return
        frames = [packet.frame for packet in self._outbox.take(WRITE_BYTES)]
        self._socket.write(b"".join(frames))
        # Whoever takes a whole room in doesn't take the others' turn.
        self._changed()


class AsgiSender(_Sender):
    """A task that sends one message after the other."""

    def __init__(self, websocket: WebSocket, max_outbox_bytes: int) -> None:
        super().__init__(max_outbox_bytes)
        self._websocket = websocket
        self._woken = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._is_gone = False
        self._task = asyncio.create_task(self._run())

    @property
    def is_open(self) -> bool:
        return self._closing is None and not self._is_gone

    def _close(self, code: int, reason: str) -> None:
        self._closing = (code, reason)
        self._woken.set()

    async def drained(self) -> None:
        self.close(1000, "")
        _, late = await asyncio.wait([self._task], timeout=CLOSE_GRACE_S)
        for task in late:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is sent at once here")

    def _wake(self) -> None:
        self._woken.set()

    async def _run(self) -> None:
        try:
            while self._closing is None or self._outbox:
                await self._woken.wait()
                self._woken.clear()
                for packet in self._outbox.take(WRITE_BYTES):
                    await self._websocket.send_bytes(packet.payload)
                if self._outbox or self._closing:
                    self._woken.set()
            await self._websocket.close(*self._closing)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._is_gone = True
