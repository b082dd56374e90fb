"""Clients that are broken, slow or malicious. Rules S2, S9, S12, J3."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
import websockets
import websockets.frames
from websockets.asyncio.client import ClientConnection, connect

from server.client import Disconnected, RoomClient
from server.core import codec
from server.core.messages import Hello, Presence
from server.core.records import Layer, Patch, Put
from server.net.protocol import CLOSE_GRACE_S
from server.storage.journal import SqliteJournal
from tests.server.net.serving import Served, serving, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio
FRAMES = json.loads(
    (Path(__file__).parents[2] / "golden" / "protocol" / "frames.json").read_text("utf-8")
)


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    settings = settings_for(tmp_path, max_outbox_bytes=200_000, max_message_bytes=300_000)
    async with serving(settings, direct=request.param) as served:
        yield served


def address(served: Served, room: str) -> str:
    return f"{served.url.replace('http', 'ws')}/ws/{room}"


async def closing(client: ClientConnection) -> tuple[int, str]:
    """How the server closes the connection."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in client:
            pass
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


async def test_s2_a_bad_frame_gets_4400_with_a_reason_and_the_room_stays(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        await ann.submit(Put(Layer(id="one", z="a0")))
        for case in FRAMES["bad"]:
            async with connect(address(served, room), proxy=None) as bad:
                await bad.send(codec.encode(Hello(protocol=1, key=bytes(16))))
                await bad.send(bytes.fromhex(case["hex"]))
                code, reason = await closing(bad)
            assert code == 4400, case["name"]
            assert reason, case["name"]
        async with RoomClient(served.url, room) as late:
            assert late.records == ann.records
            assert late.seq == 2


async def test_s2_text_messages_get_4400(served: Served) -> None:
    async with connect(address(served, served.new_room_id()), proxy=None) as bad:
        await bad.send("hello")
        assert (await closing(bad))[0] == 4400


async def test_l1_a_message_that_is_too_long_gets_1009(served: Served) -> None:
    async with connect(address(served, served.new_room_id()), proxy=None) as bad:
        await bad.send(codec.encode(Hello(protocol=1, key=bytes(16))))
        await bad.send(bytes(300_001))
        assert (await closing(bad))[0] == 1009


async def test_s12_a_page_of_another_site_may_not_connect(served: Served) -> None:
    uri = address(served, served.new_room_id())
    for origin in ("http://evil.example", "null", "http://["):
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(uri, origin=websockets.Origin(origin), proxy=None)
        assert caught.value.response.status_code == 403, origin
    async with connect(uri, origin=websockets.Origin(served.url), proxy=None):
        pass


async def test_s9_a_reader_who_stalls_is_cut_off_and_delays_nobody(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, room) as bob:
        await ann.submit(Put(Layer(id="one", z="a0")))
        async with stalled(served, room):
            await ann.until(lambda client: len(client.people) == 3)
            fill = [Patch("one", {"name": "x" * 80})] * 1_000
            while len(ann.people) == 3:
                async with asyncio.timeout(5):
                    seq = await ann.submit(*fill)
                    await bob.until(partial(has_reached, seq))
            await bob.until(lambda client: len(client.people) == 2)


def has_reached(seq: int, client: RoomClient) -> bool:
    return client.seq >= seq


@contextlib.asynccontextmanager
async def stalled(served: Served, room: str) -> AsyncIterator[None]:
    """Join by hand on a socket with a small buffer, and never read."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await loop.sock_connect(raw, served.address)
    host = f"{served.address[0]}:{served.address[1]}"
    request = (
        f"GET /ws/{room} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    assert b"101" in await loop.sock_recv(raw, 4096)
    payload = codec.encode(Hello(protocol=1, key=bytes(16)))
    frame = websockets.frames.Frame(websockets.frames.Opcode.BINARY, payload)
    await loop.sock_sendall(raw, frame.serialize(mask=True))
    try:
        yield
    finally:
        raw.close()


async def test_s9_stopping_doesnt_wait_for_a_reader_who_stalls(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        async with serving(settings_for(tmp_path)) as served:
            room = served.new_room_id()
            async with RoomClient(served.url, room) as ann:
                await ann.submit(Put(Layer(id="one", z="a0")))
                await stack.enter_async_context(stalled(served, room))
                await ann.until(lambda client: len(client.people) == 2)
                for _ in range(60):
                    await ann.submit(*[Patch("one", {"name": "x" * 80})] * 1_000)
            begun = loop.time()
        assert loop.time() - begun < 2 * CLOSE_GRACE_S
        assert served.generation.told[-1] == "stop"


async def test_s9_cursors_dont_pile_up_for_a_reader_who_stalls(served: Served) -> None:
    room = served.new_room_id()
    async with (
        RoomClient(served.url, room) as ann,
        RoomClient(served.url, room) as bob,
        stalled(served, room),
    ):
        await ann.until(lambda client: len(client.people) == 3)
        for number in range(200):
            await ann.send(Presence(cursor=(float(number), 0.0), tool="brush"))
        await bob.submit(Put(Layer(id="one", z="a0")))
        await ann.until(lambda client: client.seq == 2)
        assert len(ann.people) == 3


async def test_j3_when_the_journal_fails_people_hear_it_and_lose_nothing(
    served: Served, tmp_path: Path
) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        await ann.submit(Put(Layer(id="one", z="a0")))
        lock = sa.create_engine(f"sqlite:///{tmp_path}/data/journal.sqlite")
        with lock.begin() as connection:
            # Somebody else's entry takes the place of the next one.
            connection.exec_driver_sql(
                "INSERT INTO entries"
                " SELECT room, 3, 'op-foreign', x'00', x'00' FROM entries LIMIT 1"
            )
        lost = asyncio.create_task(ann.submit(Put(Layer(id="two", z="a0")), id="op-second"))
        with pytest.raises(Disconnected) as caught:
            await ann.until(lambda client: "two" in client.records)
        assert caught.value.code == 4503
        assert served.hub.rooms == []
        with lock.begin() as connection:
            connection.exec_driver_sql("DELETE FROM entries WHERE seq = 3")
        lock.dispose()

        await ann.connect()
        assert await lost == 3
        assert ann.canvas.keys() == {"one", "two"}


async def test_j3_a_room_that_cant_be_read_closes_with_4503(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SqliteJournal, *_: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, OSError("gone"))

    monkeypatch.setattr(SqliteJournal, "_read_now", broken)
    with pytest.raises(Disconnected) as caught:
        await RoomClient(served.url, served.new_room_id()).connect()
    assert caught.value.code == 4503
