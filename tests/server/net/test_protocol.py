"""Frames in whatever pieces they come: each message once, in order, some a turn. Rules S2, S14."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from server.net.protocol import AT_ONCE_PER_TURN, READ_AHEAD_BYTES, DirectProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

pytestmark = pytest.mark.anyio
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MAX_BYTES = 200_000
INK = b"ink"
"""What begins so is dealt with at once."""


class Transport(asyncio.Transport):
    """Keeps what is written, and whether anything is read."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = b""
        self.num_waiting = 0
        """Bytes that the client hasn't read."""
        self.is_reading_now = True
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def get_write_buffer_size(self) -> int:
        return self.num_waiting

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


class Peer:
    """A connection to an application that takes one event after the other."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        """By the application and by `on_binary`, in the order in which it was dealt with."""
        self.passed = 0
        self.last: MutableMapping[str, Any] = {}
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        config = uvicorn.Config(
            self.application,
            interface="asgi3",
            ws_max_size=MAX_BYTES,
            log_config=None,
            ws_per_message_deflate=False,
        )
        config.load()
        self.transport = Transport()
        self.protocol = DirectProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        self.protocol.connection_made(self.transport)

    async def application(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        self.protocol.on_binary = self.passes
        while (event := await receive())["type"] == "websocket.receive":
            self.heard.append(event.get("bytes") or event["text"].encode())
            await self.may_go_on.wait()
            await asyncio.sleep(0)
        self.last = event

    def passes(self, data: bytes) -> bool:
        if not data.startswith(INK):
            return False
        self.heard.append(data)
        self.passed += 1
        return True

    async def open(self) -> None:
        self.protocol.data_received(HANDSHAKE)
        await self.until(lambda: b"\r\n\r\n" in self.transport.written)
        await asyncio.sleep(0)
        self.transport.written = b""

    def say(self, data: bytes) -> None:
        self.protocol.data_received(data)

    async def until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if is_so():
                return
            await asyncio.sleep(0)
        raise AssertionError("it didn't come about")


def framed(data: bytes, opcode: Opcode = Opcode.BINARY, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.mark.parametrize("seed", range(8))
async def test_s2_messages_are_heard_once_and_in_order_however_they_are_cut(seed: int) -> None:
    chance, peer = random.Random(seed), Peer()
    await peer.open()
    stream, expected, pings = b"", [], []
    for number in range(120):
        size = chance.choice((0, 1, 100, 125, 126, 200, 65_535, 65_536, 90_000))
        data = chance.choice((INK, b"op")) + b"%d" % number + bytes(size)
        kind = chance.random()
        if kind < 0.1:
            cut = chance.randrange(len(data))
            stream += framed(data[:cut], fin=False) + framed(b"between", Opcode.PING)
            stream += framed(data[cut:], Opcode.CONT)
            pings.append(b"between")
        else:
            stream += framed(data)
        if kind > 0.9:
            pings.append(b"%d" % number)
            stream += framed(pings[-1], Opcode.PING)
        expected.append(data)
    while stream:
        # A transport that doesn't read brings nothing.
        await peer.until(lambda: peer.transport.is_reading_now)
        size = chance.choice((1, 7, 300, 5_000, 100_000))
        peer.say(stream[:size])
        stream = stream[size:]
        if chance.random() < 0.3:
            await asyncio.sleep(0)
    await peer.until(lambda: len(peer.heard) == len(expected))
    assert peer.heard == expected
    answers = b"".join(Frame(Opcode.PONG, data).serialize(mask=False) for data in pings)
    assert peer.transport.written == answers
    assert peer.passed > 20, "what can be dealt with at once is"


async def test_s14_what_is_only_passed_on_is_dealt_with_some_a_turn() -> None:
    peer = Peer()
    await peer.open()
    peer.say(framed(INK) * (2 * AT_ONCE_PER_TURN + 1))
    for turn in range(1, 4):
        assert peer.passed == min(turn * AT_ONCE_PER_TURN, 2 * AT_ONCE_PER_TURN + 1)
        peer.say(framed(b"op"))
        await asyncio.sleep(0)
    await peer.until(lambda: len(peer.heard) == peer.passed + 3)


async def test_s14_nothing_overtakes_what_the_application_has_to_do_first() -> None:
    peer = Peer()
    await peer.open()
    peer.may_go_on.clear()
    peer.say(framed(b"op 1") + framed(INK) + framed(b"op 2") + framed(INK))
    for _ in range(10):
        await asyncio.sleep(0)
    assert peer.heard == [b"op 1"]
    peer.may_go_on.set()
    await peer.until(lambda: len(peer.heard) == 4)
    assert peer.heard == [b"op 1", INK, b"op 2", INK]


async def test_j5_no_more_is_read_while_much_waits() -> None:
    peer = Peer()
    await peer.open()
    peer.may_go_on.clear()
    one = framed(b"op" + bytes(1_000))
    num = 2 * READ_AHEAD_BYTES // len(one)
    for _ in range(num):
        peer.say(one)
    await asyncio.sleep(0)
    assert not peer.transport.is_reading_now
    peer.may_go_on.set()
    await peer.until(lambda: len(peer.heard) == num)
    assert peer.transport.is_reading_now


@pytest.mark.parametrize("one", [framed(INK), framed(b"", Opcode.PING)])
async def test_s14_no_more_is_read_while_much_waits_for_its_turn(one: bytes) -> None:
    """A turn of the loop reads far more than it deals with."""
    peer = Peer()
    await peer.open()
    peer.say(one * (AT_ONCE_PER_TURN + 1))
    peer.say(one * (READ_AHEAD_BYTES // len(one) + AT_ONCE_PER_TURN))
    assert not peer.transport.is_reading_now
    await peer.until(lambda: peer.transport.is_reading_now)
    peer.say(framed(b"op"))
    await peer.until(lambda: b"op" in peer.heard)


async def test_s9_answers_to_pings_that_nobody_reads_dont_pile_up() -> None:
    peer = Peer()
    await peer.open()
    peer.say(framed(b"1", Opcode.PING))
    peer.transport.num_waiting = 2 * READ_AHEAD_BYTES
    peer.say(framed(b"2", Opcode.PING))
    peer.transport.num_waiting = 0
    peer.say(framed(b"3", Opcode.PING))
    answers = [Frame(Opcode.PONG, data).serialize(mask=False) for data in (b"1", b"3")]
    assert peer.transport.written == b"".join(answers)


async def test_l1_what_is_too_long_is_closed_before_it_is_there() -> None:
    peer = Peer()
    await peer.open()
    peer.say(framed(INK) + framed(bytes(MAX_BYTES + 1))[:5_000])
    await peer.until(lambda: bool(peer.last))
    assert peer.last["code"] == 1009
    assert peer.heard == [INK]
    peer.say(framed(INK))
    assert peer.heard == [INK]


@pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.BINARY, INK).serialize(mask=False),
        b"\xc2" + framed(INK)[1:],
        framed(INK, fin=False) + framed(INK),
        framed(INK, Opcode.CONT),
        b"\x89\xfe\x00\x7e" + bytes(4 + 126),  # a ping that is too long
    ],
)
async def test_s2_frames_that_break_the_rules_close_the_line(data: bytes) -> None:
    peer = Peer()
    await peer.open()
    peer.say(framed(INK) + data + framed(INK))
    await peer.until(lambda: bool(peer.last))
    assert peer.last["code"] == 1002
    assert peer.heard == [INK]


async def test_s2_after_a_close_nothing_is_heard() -> None:
    peer = Peer()
    await peer.open()
    peer.say(framed(INK) + framed(b"\x03\xe8", Opcode.CLOSE) + framed(INK))
    await peer.until(lambda: bool(peer.last))
    assert peer.last["code"] == 1000
    assert peer.heard == [INK]
    other = Peer()
    await other.open()
    other.protocol.close(4400, "enough")
    other.say(framed(INK) + framed(b"op"))
    await other.until(lambda: bool(other.last))
    assert other.heard == []
    other.protocol.connection_lost(None)
    peer.protocol.connection_lost(None)
