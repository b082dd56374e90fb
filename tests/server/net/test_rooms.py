"""Rooms over real sockets: what people in one room see of each other. Rules S, J, T14, T15."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from server.client import Disconnected, RoomClient
from server.core.deeds import Gather
from server.core.errors import Refusal
from server.core.messages import (
    Gathered,
    Look,
    PeerInk,
    PeerLook,
    PeerPresence,
    Presence,
    Preview,
    Profile,
    ServerMessage,
)
from server.core.records import Candidate, Delete, Frame, Image, Layer, Patch, Put
from tests.server.net.serving import Served, serving, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
FRAME = Frame(id="frame", z="a0", x=0.0, y=0.0, w=256.0, h=256.0, prompt="a house")


def layer(id: str, name: str = "") -> Put:
    return Put(Layer(id=id, z="a0", name=name))


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings_for(tmp_path), direct=request.param) as served:
        yield served


async def test_s3_an_op_of_one_is_seen_by_the_other(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, room) as bob:
        assert await ann.submit(layer("one", "Sky")) == 2
        await bob.until(lambda client: client.seq == 2)
        assert await bob.submit(Patch("one", {"name": "Sea"})) == 3
        await ann.until(lambda client: client.seq == 3)

        assert ann.records == bob.records
        assert ann.records["one"] == Layer(id="one", z="a0", name="Sea", by=ann.person)
        assert len(ann.people) == len(bob.people) == 2


async def test_s4_who_comes_late_sees_it_all(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        ops = (ann.submit(layer(f"layer-{number}", "x" * 80)) for number in range(2_000))
        await asyncio.gather(*ops)
        async with RoomClient(served.url, room) as late:
            assert late.welcome is not None
            assert late.welcome.mode == "snapshot"
            assert late.seq == 2_001
            assert late.records == ann.records


async def test_s5_who_comes_back_gets_what_was_missed_and_sends_what_was_not_acknowledged(
    served: Served,
) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, room) as bob:
        await ann.submit(layer("one"))
        await bob.until(lambda client: client.seq == 2)
        await bob.close()
        offline = asyncio.create_task(bob.submit(layer("two"), id="op-offline"))
        await ann.submit(Delete("one"))
        await bob.connect()

        assert bob.welcome is not None
        assert bob.welcome.mode == "tail"
        assert await offline == 4
        assert bob.canvas.keys() == {"two"}
        assert await bob.submit(layer("two"), id="op-offline") == 4


async def test_s5_another_epoch_is_never_merged(served: Served) -> None:
    room, other = served.new_room_id(), served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, other) as bob:
        await ann.submit(layer("one"))
        await bob.submit(layer("two"))
        await ann.close()
        ann.room = other
        await ann.connect()
        assert ann.welcome is not None
        assert ann.welcome.mode == "snapshot"
        assert ann.canvas.keys() == {"two"}


async def test_j9_who_holds_what_was_cut_off_a_damaged_journal_starts_from_a_snapshot(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, snapshot_every=5)
    async with serving(settings) as served:
        room = served.new_room_id()
        async with RoomClient(served.url, room) as ann:
            for number in range(8):
                await ann.submit(layer(f"layer-{number}"))
    connection = sqlite3.connect(settings.data_dir / "journal.sqlite")
    with connection:
        (snapshot,) = connection.execute("SELECT seq FROM snapshots").fetchone()
        connection.execute("UPDATE entries SET entry = x'00' WHERE seq = 8")
    connection.close()
    assert snapshot < 8

    async with serving(settings) as served:
        async with RoomClient(served.url, room) as bob:
            assert bob.seq == 7
            await bob.submit(layer("new-1"), layer("new-2"))
            await bob.submit(layer("new-3"))
            ann.server = served.url
            await ann.connect()
            assert ann.welcome is not None
            assert ann.welcome.mode == "snapshot"
            assert ann.records == bob.records
            await ann.close()
        assert len(bob.canvas) == 9


async def test_s6_a_refused_op_says_why_and_changes_nothing(served: Served) -> None:
    async with RoomClient(served.url, served.new_room_id()) as ann:
        await ann.submit(layer("one"))
        with pytest.raises(Refusal, match="exists"):
            await ann.submit(layer("two"), layer("one"))
        assert ann.canvas.keys() == {"one"}
        assert await ann.submit(layer("two")) == 3


async def test_s7_cursors_and_names_are_relayed_to_the_others(served: Served) -> None:
    room = served.new_room_id()
    heard: list[ServerMessage] = []
    async with (
        RoomClient(served.url, room, on_message=heard.append) as ann,
        RoomClient(served.url, room, name="Bob") as bob,
    ):
        await bob.send(Presence(cursor=(1.0, 2.0), tool="brush"))
        await ann.until(lambda _: any(isinstance(m, PeerPresence) for m in heard))
        await bob.send(Profile(name="Robert", color="#00ff00"))
        await ann.until(lambda c: "Robert" in {person.name for person in c.people.values()})

        presence = next(m for m in heard if isinstance(m, PeerPresence))
        assert (presence.cursor, presence.tool) == ((1.0, 2.0), "brush")
        joins: list[ServerMessage] = []
        async with RoomClient(served.url, room, on_message=joins.append):
            assert presence in joins
        await ann.until(lambda client: len(client.people) == 2)
        assert not any(isinstance(m, PeerInk) for m in heard)


async def test_s8_undo_is_ones_own_and_its_depth_is_told(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, room) as bob:
        await ann.submit(layer("one"))
        await bob.submit(layer("two"))
        await ann.until(lambda client: client.history.undo == 1)
        await ann.undo()
        await bob.until(lambda client: client.canvas.keys() == {"two"})
        await ann.until(lambda client: client.history.redo == 1)
        await ann.redo()
        await bob.until(lambda client: client.canvas.keys() == {"one", "two"})


async def test_s8_text_that_two_type_at_once_keeps_all_keystrokes(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann, RoomClient(served.url, room) as bob:
        await ann.submit(Put(FRAME))
        await bob.until(lambda client: client.seq == 2)
        await asyncio.gather(
            ann.edit("frame", "prompt", [7, " by the sea"]),
            bob.edit("frame", "prompt", [2, "red "]),
        )
        await ann.until(lambda client: client.seq == 4)
        await bob.until(lambda client: client.seq == 4)
        assert ann.records == bob.records
        frame = bob.records["frame"]
        assert isinstance(frame, Frame)
        assert frame.prompt == "a red house by the sea"


async def test_r21_a_candidate_is_accepted_and_taken_back(served: Served) -> None:
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        await ann.submit(Put(FRAME))
        job = await ann.generate("frame")
        await ann.until(lambda client: f"{job}-0" in client.records)
        image = await ann.accept(f"{job}-0")
        assert isinstance(ann.records[image], Image)
        await ann.undo()
        assert image not in ann.records
        candidate = ann.records[f"{job}-0"]
        assert isinstance(candidate, Candidate)
        assert candidate.state == "open"
        await ann.cancel("frame")
        await ann.discard(f"{job}-0")
        assert "cancel frame" in served.generation.told


async def test_s13_who_joins_midway_gets_the_latest_preview_and_later_ones(served: Served) -> None:
    preview = Preview(
        frame="frame", job="job", index=0, step=1, steps=9, box=(0.0, 0.0, 1.0, 1.0), jpeg=b"1"
    )
    served.generation.shown = [preview]
    async with RoomClient(served.url, served.new_room_id()) as ann:
        assert ann.previews == {("frame", 0): preview}


async def test_s10_a_room_that_nobody_may_name_is_closed_with_4404(served: Served) -> None:
    with pytest.raises(Disconnected) as caught:
        await RoomClient(served.url, "short").connect()
    assert caught.value.code == 4404


async def test_r20_a_room_stays_until_it_is_idle_and_comes_back_whole(tmp_path: Path) -> None:
    async with serving(settings_for(tmp_path, idle_s=0.0)) as served:
        room = served.new_room_id()
        async with RoomClient(served.url, room) as ann:
            await ann.submit(layer("one"))
            served.hub.sweep()
            assert len(served.hub.rooms) == 1
            served.generation.is_busy = True
        served.hub.sweep()
        assert len(served.hub.rooms) == 1
        served.generation.is_busy = False
        while served.hub.rooms:
            await asyncio.sleep(0)
            served.hub.sweep()
        assert served.generation.told[-1] == f"closed {room}"

        async with RoomClient(served.url, room) as late:
            assert late.canvas.keys() == {"one"}


async def test_r20_many_who_come_at_once_load_a_room_once(served: Served) -> None:
    room = served.new_room_id()
    clients = [RoomClient(served.url, room) for _ in range(20)]
    await asyncio.gather(*(client.connect() for client in clients))
    await clients[0].submit(layer("one"))
    for client in clients:
        await client.until(lambda c: c.canvas.keys() == {"one"})
        await client.close()
    assert [told for told in served.generation.told if told.startswith("opened")] == [
        f"opened {room}"
    ]


async def test_t14_what_each_sees_is_relayed_for_those_who_follow(served: Served) -> None:
    heard: list[ServerMessage] = []
    async with (
        RoomClient(served.url, served.new_room_id(), on_message=heard.append) as ann,
        RoomClient(served.url, ann.room) as bob,
    ):
        await bob.send(Look(sight=(0.0, 1.0, 640.0, 480.0)))
        await bob.send(Look(sight=(5.0, 1.0, 640.0, 480.0)))
        assert bob.welcome is not None
        look = PeerLook(session=bob.welcome.session, sight=(5.0, 1.0, 640.0, 480.0))
        await ann.until(lambda _: look in heard)
        joins: list[ServerMessage] = []
        async with RoomClient(served.url, ann.room, on_message=joins.append):
            assert look in joins
        assert ann.seq == bob.seq == 1


async def test_t15_a_host_gathers_everybody_and_nobody_else_does(served: Served) -> None:
    heard: list[ServerMessage] = []
    async with (
        RoomClient(served.url, served.new_room_id()) as ann,
        RoomClient(served.url, ann.room, on_message=heard.append) as bob,
    ):
        with pytest.raises(Refusal, match=r"^not_host: "):
            await bob.decide(Gather())
        assert await ann.decide(Gather()) == 0
        assert ann.welcome is not None
        gathered = Gathered(session=ann.welcome.session)
        await bob.until(lambda _: gathered in heard)
        assert ann.seq == 1
