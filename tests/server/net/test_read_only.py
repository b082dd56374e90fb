"""A disk that is full or fails, as the people in the rooms meet it. Rule J8."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import httpx
import pytest

from server.client import Disconnected, RoomClient, new_room
from server.core import codec
from server.core.ids import RoomId
from server.core.messages import (
    PROTOCOL_VERSION,
    Ack,
    Disk,
    Hello,
    JoinReady,
    Op,
    PeerPresence,
    Presence,
    ServerMessage,
)
from server.core.records import Layer, Patch, Put
from server.storage.journal import SqliteJournal
from tests.server.net.serving import Served, serving, settings_for
from tests.support.faulty_disk import FaultyDisk
from tests.support.hands import Hand, check_all
from tests.support.kept_sender import KeptSender
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.core.messages import ClientMessage, DiskState

pytestmark = pytest.mark.anyio
HELLO = Hello(protocol=PROTOCOL_VERSION, key=bytes(16))


class Studio:
    """A server whose disk can be made to fail."""

    def __init__(self, served: Served, journal: SqliteJournal, disk: FaultyDisk) -> None:
        self.served = served
        self.journal = journal
        self.disk = disk
        self._changed = asyncio.Event()
        journal.watch_disk(self._hear)

    def _hear(self, state: DiskState) -> None:
        self.served.hub.tell_disk(state)
        self._changed.set()

    async def until_disk(self, state: DiskState) -> None:
        while self.journal.disk != state:
            self._changed.clear()
            await self._changed.wait()

    async def break_disk(self, state: DiskState) -> None:
        """Let it fail, and somebody in a room of their own meet that."""
        self.disk.state = state
        with pytest.raises(Disconnected):
            await RoomClient(self.served.url, self.served.new_room_id()).connect()
        await self.until_disk(state)

    async def mend_disk(self) -> None:
        self.disk.state = "ok"
        await self.until_disk("ok")


@pytest.fixture
async def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Studio]:
    made: list[tuple[SqliteJournal, FaultyDisk]] = []

    def journal(
        path: Path, *, keep_entries: int, keep_history: int, retry_s: float
    ) -> SqliteJournal:
        journal = SqliteJournal(
            path, keep_entries=keep_entries, keep_history=keep_history, retry_s=retry_s
        )
        made.append((journal, FaultyDisk(journal)))
        return journal

    monkeypatch.setattr("server.app.SqliteJournal", journal)
    async with serving(settings_for(tmp_path, disk_retry_s=0.005)) as served:
        yield Studio(served, *made[0])


def layer(id: str, name: str = "") -> Put:
    return Put(Layer(id=id, z="a0", name=name))


async def test_j8_what_cant_be_saved_waits_with_its_author_until_the_disk_works(
    studio: Studio,
) -> None:
    url, room = studio.served.url, studio.served.new_room_id()
    heard: list[ServerMessage] = []
    ann, bob = RoomClient(url, room, on_message=heard.append), RoomClient(url, room)
    async with ann, bob:
        await ann.submit(layer("one"))
        studio.disk.state = "full"
        second = asyncio.create_task(ann.submit(layer("two")))
        for client in (ann, bob):
            with pytest.raises(Disconnected) as caught:
                await client.until(lambda _: False)
            assert caught.value.code == 4503

        await studio.until_disk("full")
        await ann.connect()
        await bob.connect()
        assert (ann.disk, bob.disk) == ("full", "full")
        third = asyncio.create_task(ann.submit(Patch("two", {"name": "Sea"})))
        fourth = asyncio.create_task(bob.submit(layer("four")))
        # The room is there to look at and to meet in; whoever comes new sees it, too.
        async with RoomClient(url, room) as late:
            assert late.disk == "full"
            assert late.canvas.keys() == {"one"}
            await late.send(Presence(cursor=(1.0, 2.0)))
            await ann.until(lambda _: any(isinstance(m, PeerPresence) for m in heard))
            assert not (second.done())
            assert not (third.done())
            assert not (fourth.done())

            await studio.mend_disk()
            seqs = await asyncio.gather(second, third, fourth)
            await late.until(lambda client: client.seq == 5)
            assert sorted(seqs) == [3, 4, 5]
            assert seqs[0] < seqs[1]
            await bob.until(lambda client: client.seq == 5)
            assert ann.records == bob.records == late.records
            assert ann.records["two"] == Layer(id="two", z="a0", name="Sea", by=ann.person)


async def test_j8_who_has_nothing_under_way_is_told_and_stays_connected(studio: Studio) -> None:
    heard: list[ServerMessage] = []
    room = studio.served.new_room_id()
    async with RoomClient(studio.served.url, room, on_message=heard.append) as ann:
        await studio.break_disk("failing")
        await ann.until(lambda client: client.disk == "failing")
        waiting = asyncio.create_task(ann.submit(layer("one")))
        await studio.mend_disk()
        assert await waiting == 2
        states = [message.state for message in heard if isinstance(message, Disk)]
        assert states == ["failing", "ok"]


async def test_j8_what_comes_behind_what_wasnt_taken_isnt_taken_either(studio: Studio) -> None:
    hub, room = studio.served.hub, RoomId(studio.served.new_room_id())
    sender = KeptSender()
    connection = hub.connect(room, sender)

    async def say(message: ClientMessage) -> None:
        await hub.receive(connection, codec.encode(message))
        await asyncio.sleep(0)

    await say(HELLO)
    await sender.until(JoinReady(seq=1))
    await studio.break_disk("full")
    await say(Op(id="op-00001", changes=[layer("one")]))
    assert sender.closed is not None
    assert sender.closed[0] == 4503
    await studio.mend_disk()
    await say(Op(id="op-00002", changes=[Patch("one", {"name": "Sky"})]))
    assert not any(isinstance(message, Ack) for message in sender.sent)
    (hosted,) = hub.rooms
    assert "one" not in hosted.records


async def test_j8_a_room_that_nobody_has_made_yet_waits_for_the_disk(studio: Studio) -> None:
    room = studio.served.new_room_id()
    # It got as far as a line in the journal, but it has no host.
    opened = await studio.journal.open(RoomId(room), lambda _: None, lambda _: None)
    opened.log.close()
    await studio.break_disk("full")
    ann = RoomClient(studio.served.url, room)
    with pytest.raises(Disconnected) as caught:
        await ann.connect()
    assert caught.value.code == 4503
    await studio.mend_disk()
    async with ann:
        assert ann.people[ann.welcome.session if ann.welcome else ""].role == "host"


async def test_j8_no_room_is_made_of_another_and_none_is_left_of_it(studio: Studio) -> None:
    async with RoomClient(studio.served.url, studio.served.new_room_id()) as ann:
        await ann.submit(layer("one"))
        badge = {"authorization": f"Bearer {ann.badge}"}
        async with httpx.AsyncClient(
            base_url=studio.served.url, headers=badge, trust_env=False
        ) as http:
            await studio.break_disk("full")
            # What is there can still be looked at and taken along.
            assert (await http.get(f"/rooms/{ann.room}/history")).status_code == 200
            assert (await http.get(f"/rooms/{ann.room}/archive")).status_code == 200
            at = f"/rooms/{ann.room}/branches"
            assert (await http.post(at, json={"seq": 2})).status_code == 503
            with studio.journal.engine.connect() as connection:
                rooms = connection.exec_driver_sql("SELECT id FROM rooms").scalars().all()
            assert rooms == [ann.room]
            await studio.mend_disk()
            assert (await http.post(at, json={"seq": 2})).status_code == 201


async def test_j8_a_disk_that_fails_at_random_moments_under_load_loses_nothing(
    tmp_path: Path,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    flags = ("--model", "none", "--disk-retry-s", "0.02", "--snapshot-every", "30")
    with ServerProcess(tmp_path, *flags) as server:
        room = await new_room(server.url)
        hands = [Hand(f"hand-{number}", room, server.url) for number in range(3)]
        working = [asyncio.create_task(hand.draw()) for hand in hands]
        staying = [asyncio.create_task(hand.stay()) for hand in hands]
        for _ in range(10):
            for hand in hands:
                await hand.until_acknowledged(len(hand.acknowledged) + rng.randrange(1, 20))
            told = [hand.until_told("failing") for hand in hands]
            server.break_disk()
            await asyncio.gather(*told)
            server.mend_disk()
        for hand in hands:
            await hand.until_acknowledged(len(hand.acknowledged) + 1)
            hand.is_done = True
        await asyncio.gather(*working)
        print(f"{await check_all(hands, server.url)} acknowledged, none lost")
        for task in staying:
            task.cancel()
        await asyncio.gather(*staying, return_exceptions=True)
        for hand in hands:
            await hand.client.close()


async def test_j8_nothing_is_made_for_a_room_before_it_can_be_saved(studio: Studio) -> None:
    room = studio.served.new_room_id()
    told = studio.served.generation.told
    async with RoomClient(studio.served.url, room) as ann:
        await ann.submit(layer("one"))
        studio.disk.state = "full"
        waiting = asyncio.create_task(ann.submit(layer("two")))
        with pytest.raises(Disconnected):
            await ann.until(lambda _: False)
        await studio.until_disk("full")
        await ann.connect()
        assert [line for line in told if room in line] == [f"opened {room}", f"closed {room}"]
        await studio.mend_disk()
        assert [line for line in told if room in line][2:] == [f"opened {room}"]
        await waiting
