"""Rooms that are unloaded in the moment in which somebody comes. Rule R20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.client import RoomClient
from server.core import codec
from server.core.ids import RoomId
from server.core.messages import PROTOCOL_VERSION, Hello, JoinReady
from server.core.records import Layer, Put
from tests.server.net.serving import Served, serving, settings_for
from tests.support.kept_sender import KeptSender

if TYPE_CHECKING:
    from pathlib import Path

    from server.ports import RoomPort

pytestmark = pytest.mark.anyio
HELLO = codec.encode(Hello(protocol=PROTOCOL_VERSION, key=bytes(16)))


async def unloaded_room(served: Served) -> RoomId:
    """A room with something in it that isn't loaded any more."""
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        await ann.submit(Put(Layer(id="one", z="a0")))
    while served.hub.rooms:
        await asyncio.sleep(0)
        served.hub.sweep()
    return RoomId(room)


async def come(served: Served, room: RoomId) -> KeptSender:
    sender = KeptSender()
    await served.hub.receive(served.hub.connect(room, sender), HELLO)
    return sender


async def test_r20_who_comes_in_the_turn_in_which_a_room_is_unloaded_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings_for(tmp_path, idle_s=0.0)) as served:
        room = await unloaded_room(served)
        late: list[asyncio.Task[KeptSender]] = []
        loop = asyncio.get_running_loop()

        def opened(_: RoomPort) -> None:
            # The room is there; those who wait for it have not had their turn yet.
            monkeypatch.undo()
            loop.call_soon(served.hub.sweep)
            late.append(asyncio.create_task(come(served, room)))

        monkeypatch.setattr(served.generation, "opened", opened)
        early = await come(served, room)
        for sender in (early, await late[0]):
            assert JoinReady(seq=2) in sender.sent
        assert len(served.hub.rooms) == 1


async def test_r20_a_room_that_is_unloaded_while_it_is_written_loses_nothing_to_who_comes(
    tmp_path: Path,
) -> None:
    async with serving(settings_for(tmp_path, idle_s=0.0, snapshot_every=5)) as served:
        room = await unloaded_room(served)
        for number in range(30):
            async with RoomClient(served.url, room) as ann:
                await ann.submit(Put(Layer(id=f"layer-{number}", z="a0")))
                leaving = asyncio.create_task(ann.close())
                while served.hub.rooms:
                    # Comes again as soon as the room may go.
                    await asyncio.sleep(0)
                    served.hub.sweep()
                await leaving
        async with RoomClient(served.url, room) as late:
            assert len(late.canvas) == 31
