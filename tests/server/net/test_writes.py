"""What a message costs on its way out, told by what is done and not by a clock. Rule S16."""

from __future__ import annotations

import asyncio
from socket import socketpair
from typing import TYPE_CHECKING

import pytest
import uvicorn
from uvicorn.server import ServerState

from server.__main__ import configured
from server.core.access import STRANGER, Standing
from server.core.ids import RoomId
from server.core.limits import Buckets, FlowLimits
from server.core.messages import Left, Person
from server.net.outbox import Packet
from server.net.protocol import DirectProtocol
from server.net.senders import WRITE_BYTES, DirectSender
from server.seats import Later, Seat, Seats, on_loop, packed
from tests.server.net.serving import serving, settings_for
from tests.support.sessions import new_meter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.applications import Starlette

pytestmark = pytest.mark.anyio
ROOM = RoomId("r" * 22)
NUM = 40


class Socket:
    """A client that keeps up, and counts how often it is written to."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.most = 1_000_000_000
        """How many bytes go at once; less than 0: it breaks."""
        self.codes: list[int] = []
        self.is_open = True
        self.is_paused = False
        self.on_change: Callable[[], None] | None = None
        self.on_binary: Callable[[bytes], bool] | None = None

    def send_now(self, data: bytes) -> int:
        if self.most < 0:
            raise BrokenPipeError
        self.writes.append(data[: self.most])
        return len(self.writes[-1])

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self, code: int, reason: str) -> None:
        self.codes.append(code)
        self.is_open = False


def room_of(num: int, later: Later = on_loop) -> tuple[Seats, list[Seat], list[Socket]]:
    seats, sockets = Seats(later), [Socket() for _ in range(num)]
    buckets = Buckets(FlowLimits())
    for number, socket in enumerate(sockets):
        person = Person(session=f"s{number}", person=f"p{number}", name="", color="#000000")
        meter = new_meter(buckets, ROOM, person.session)
        sender = DirectSender(socket, 1_000_000)
        seats.expect(seat := Seat(person, sender, STRANGER, Standing("editor"), meter))
        seats.arrive(seat)
    return seats, seats.all(), sockets


async def settled(sockets: list[Socket]) -> None:
    """After the turn in which everybody heard of everybody."""
    await asyncio.sleep(0)
    for socket in sockets:
        socket.writes.clear()


async def test_s16_what_one_turn_brings_is_one_write_for_each_client() -> None:
    seats, all_seats, sockets = room_of(NUM)
    await settled(sockets)
    packets = [Packet(b"ink %d" % number, ephemeral=True) for number in range(10)]
    for packet in packets:
        seats.spread(packet, but=all_seats[0])
    left = Left(session="s99")
    seats.broadcast(left)
    all_seats[1].send(left)
    assert [socket.writes for socket in sockets] == [[]] * NUM
    await asyncio.sleep(0)
    news, said = packed(left).frame, b"".join(packet.frame for packet in packets)
    assert sockets[0].writes == [news]
    assert sockets[1].writes == [said + news + news]
    assert [socket.writes for socket in sockets[2:]] == [[said + news]] * (NUM - 2)


async def test_s16_a_message_is_framed_once_and_takes_no_task_and_one_callback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seats, _, sockets = room_of(NUM)
    await settled(sockets)
    encoded: list[int] = []
    packet = Packet(lambda: encoded.append(1) or b"op" * 100)  # type: ignore[func-returns-value]
    loop, callbacks = asyncio.get_running_loop(), 0
    call_soon = loop.call_soon

    def counted(*arguments: object, **more: object) -> object:
        nonlocal callbacks
        callbacks += 1
        return call_soon(*arguments, **more)  # type: ignore[arg-type]

    tasks = asyncio.all_tasks()
    monkeypatch.setattr(loop, "call_soon", counted)
    for _ in range(5):
        seats.spread(packet)
    assert (callbacks, asyncio.all_tasks()) == (1, tasks)
    monkeypatch.undo()
    await asyncio.sleep(0)
    assert encoded == [1]
    assert packet.frame is packet.frame
    assert [socket.writes for socket in sockets] == [[packet.frame * 5]] * NUM


async def test_s16_more_than_a_portion_in_one_turn_goes_out_in_order_and_in_portions() -> None:
    seats, _, (socket,) = room_of(1)
    await settled([socket])
    packets = [Packet(bytes([number]) * (WRITE_BYTES // 2)) for number in range(7)]
    for packet in packets[:6]:
        seats.spread(packet)
    await asyncio.sleep(0)
    seats.spread(packets[6])
    for _ in range(8):
        before = len(socket.writes)
        await asyncio.sleep(0)
        assert len(socket.writes) <= before + 1
    assert b"".join(socket.writes) == b"".join(packet.frame for packet in packets)
    assert max(map(len, socket.writes)) < 2 * WRITE_BYTES


@pytest.mark.parametrize("most", [-1, 0, 1, 7])
async def test_s16_what_doesnt_go_at_once_is_written_behind_it(most: int) -> None:
    seats, all_seats, sockets = room_of(3)
    await settled(sockets)
    for socket in sockets:
        socket.most = most
    packets = [Packet(b"ink %d" % number, ephemeral=True) for number in range(3)]
    seats.spread(packets[0], but=all_seats[0])
    for packet in packets[1:]:
        seats.spread(packet)
    await asyncio.sleep(0)
    frames = [packet.frame for packet in packets]
    said = [b"".join(socket.writes) for socket in sockets]
    assert said == [b"".join(frames[1:]), b"".join(frames), b"".join(frames)]


async def test_s16_what_is_told_to_one_keeps_its_place_among_what_is_told_to_all() -> None:
    seats, all_seats, sockets = room_of(2)
    await settled(sockets)
    first, second, third = (Packet(text) for text in (b"first", b"second", b"third"))
    left = Left(session="s99")
    seats.spread(first)
    all_seats[0].send(left)
    seats.spread(second)
    all_seats[0].send(left)
    seats.spread(third)
    for _ in range(3):
        await asyncio.sleep(0)
    all_said = [packet.frame for packet in (first, second, third)]
    mine = [all_said[0], packed(left).frame, all_said[1], packed(left).frame, all_said[2]]
    assert [socket.writes for socket in sockets] == [[b"".join(mine)], [b"".join(all_said)]]


async def test_s16_what_was_said_before_a_line_is_closed_still_goes_out() -> None:
    seats, all_seats, sockets = room_of(2)
    await settled(sockets)
    said = Packet(b"said")
    seats.spread(said)
    all_seats[0].sender.close(4410, "out")
    await asyncio.sleep(0)
    assert [socket.writes for socket in sockets] == [[said.frame]] * 2


async def test_s9_a_line_that_proves_too_slow_while_it_is_closed_is_closed_once() -> None:
    """What this turn has said is put before the end, and may be more than may wait."""
    seats, (seat,), (socket,) = room_of(1)
    await settled([socket])
    closed: list[bool] = []
    seat.sender.on_close = lambda: closed.append(socket.is_open)
    for _ in range(6):
        seats.spread(Packet(bytes(WRITE_BYTES)))
    seat.sender.close(4410, "out")
    assert closed == [False]
    assert socket.codes == [4408]


async def test_s16_a_line_that_is_lost_cant_be_sent_on() -> None:
    """The number of its socket may be another's by then."""
    ours, theirs = socketpair()
    settings = uvicorn.Config(lambda: None, interface="asgi3", log_config=None)
    settings.load()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.connect_accepted_socket(
        lambda: DirectProtocol(settings, ServerState(), {}, loop), ours
    )
    send_now = protocol.send_now
    assert send_now(b"here") == 4
    assert theirs.recv(10) == b"here"
    protocol.transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="descriptor"):
        send_now(b"gone")
    theirs.close()


async def test_s17_cursors_of_a_room_go_out_together_and_the_last_one_of_each_counts() -> None:
    told: list[tuple[float, Callable[[], None]]] = []

    def later(after_s: float, act: Callable[[], None]) -> None:
        if after_s:
            told.append((after_s, act))
        else:
            on_loop(after_s, act)

    seats, all_seats, sockets = room_of(3, later)
    for number in range(5):
        seats.move(all_seats[0], "presence", b"a%d" % number)
        seats.move(all_seats[1], "presence", b"b%d" % number)
    seats.move(all_seats[2], "presence", b"c")
    seats.leave(all_seats[2])
    await settled(sockets)
    ((after_s, tell),) = told
    assert after_s <= 0.016
    tell()
    await asyncio.sleep(0)
    a, b = Packet(b"a4").frame, Packet(b"b4").frame
    assert [socket.writes for socket in sockets] == [[b], [a], []]


async def test_s17_a_room_tells_of_cursors_at_most_once_in_its_time() -> None:
    told: list[Callable[[], None]] = []
    seats, all_seats, sockets = room_of(
        2, lambda after_s, act: told.append(act) if after_s else None
    )
    await settled(sockets)
    for number in range(3):
        seats.move(all_seats[0], "presence", b"a%d" % number)
    seats.move(all_seats[1], "presence", b"b")
    seats.leave(all_seats[1])
    seats.move(all_seats[0], "presence", b"a3")
    assert len(told) == 1
    told.pop()()
    seats.move(all_seats[0], "presence", b"a4")
    assert len(told) == 1


async def test_s16_nothing_is_compressed(tmp_path: Path) -> None:
    """A client that would take compressed messages gets plain ones."""
    settings = settings_for(tmp_path)
    asked = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    head = (
        b"GET /ws/%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
    )
    async with serving(settings) as served:
        port = int(served.url.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head % (ROOM.encode(), asked))
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 101 " in answer
    assert b"extensions" not in answer.lower()


def test_s16_the_server_that_people_start_writes_past_asgi(tmp_path: Path, app: Starlette) -> None:
    config = configured(app, settings_for(tmp_path))
    assert config.ws is DirectProtocol
    assert config.ws_per_message_deflate is False


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    from server.app import create_app

    return create_app(settings_for(tmp_path))
