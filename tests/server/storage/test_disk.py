"""A disk that is full or fails, and a journal that was damaged. Rules J8 and J9."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId
from server.core.room import Room
from server.storage.disk import state_after
from server.storage.journal import SqliteJournal
from tests.server.storage.test_journal import (
    ROOM,
    Watch,
    entry,
    grown,
    until_entries,
    until_snapshot,
)
from tests.support.faulty_disk import FaultyDisk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from server.core.messages import DiskState

pytestmark = pytest.mark.anyio


class DiskWatch:
    """Remembers what a journal tells of its disk."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.states: list[DiskState] = []
        self._changed = asyncio.Event()
        journal.watch_disk(self._hear)

    def _hear(self, state: DiskState) -> None:
        self.states.append(state)
        self._changed.set()

    async def until(self, *states: DiskState) -> None:
        while self.states != list(states):
            self._changed.clear()
            await self._changed.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(path, retry_s=0.005) as journal:
        yield journal


@pytest.mark.parametrize("trouble", ["full", "failing"])
async def test_j8_a_disk_that_fails_is_told_and_so_is_that_it_works_again(
    journal: SqliteJournal, trouble: DiskState
) -> None:
    disk, heard, watch = FaultyDisk(journal), DiskWatch(journal), Watch()
    opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    opened.log.append(entry(1))
    await watch.until_durable(1)

    disk.state = trouble
    opened.log.append(entry(2))
    await watch.until_failed()
    await heard.until(trouble)
    assert journal.disk == trouble

    # The room can be read meanwhile, but none can be made.
    again = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
    assert again.entries == [entry(1)]
    with pytest.raises(StoreError):
        await journal.open(RoomId("n" * 22), Watch().on_durable, Watch().on_failed)

    disk.state = "ok"
    await heard.until(trouble, "ok")
    late = Watch()
    again = await journal.open(ROOM, late.on_durable, late.on_failed)
    again.log.append(entry(2))
    await late.until_durable(2)


async def test_j8_a_disk_isnt_trusted_before_it_takes_as_much_as_a_message(path: Path) -> None:
    """A disk that is really full, as SQLite sees it: its file may not grow."""
    pages = 120
    journal = SqliteJournal(path, retry_s=0.005)
    sa.event.listen(
        journal.engine,
        "begin",
        lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}"),
    )
    async with journal:
        heard, watch = DiskWatch(journal), Watch()
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        num = 0
        while watch.failure is None:
            num += 1
            opened.log.append(entry(num))
            await asyncio.sleep(0)
        await heard.until("full")
        pages = 160
        small = Watch()
        again = await journal.open(ROOM, small.on_durable, small.on_failed)
        again.log.append(entry(watch.durable + 1))
        await small.until_durable(watch.durable + 1)
        assert heard.states == ["full"]
        pages = 2_000
        await heard.until("full", "ok")


@pytest.mark.parametrize("trouble", ["full", "failing"])
async def test_j8_a_snapshot_waits_for_the_disk(journal: SqliteJournal, trouble: DiskState) -> None:
    disk, heard, watch = FaultyDisk(journal), DiskWatch(journal), Watch()
    other = await journal.open(RoomId("o" * 22), watch.on_durable, watch.on_failed)
    room = Room(ROOM, Epoch("-"))
    calm = Watch()
    opened = await journal.open(ROOM, calm.on_durable, calm.on_failed)
    for taken in grown(room, 3):
        opened.log.append(taken)
    await calm.until_durable(3)
    disk.state = trouble
    other.log.append(entry(1))
    await heard.until(trouble)
    opened.log.snapshot(room.state())
    disk.state = "ok"
    await until_snapshot(journal)


async def test_j8_what_isnt_the_disks_fault_says_nothing_of_the_disk(
    journal: SqliteJournal,
) -> None:
    heard, watch = DiskWatch(journal), Watch()
    opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    opened.log.append(entry(1))
    opened.log.append(entry(1, op="op-other"))
    await watch.until_failed()
    assert heard.states == []
    assert journal.disk == "ok"
    assert state_after(ValueError("what is this")) is None
    assert state_after(OSError("gone")) == "failing"


def garble(entry: bytes) -> bytes:
    return entry[: len(entry) // 2]


def of_another(entry: bytes) -> bytes:
    return entry.replace(b"op-00008", b"op-00009")


def damage_entry(path: Path, seq: int, change: Callable[[bytes], bytes] | None) -> None:
    """Change an entry behind the journal's back, or delete it."""
    connection = sqlite3.connect(path)
    with connection:
        (data,) = connection.execute("SELECT entry FROM entries WHERE seq=?", (seq,)).fetchone()
        if change is None:
            connection.execute("DELETE FROM entries WHERE seq=?", (seq,))
        else:
            assert change(data) != data
            connection.execute("UPDATE entries SET entry=? WHERE seq=?", (change(data), seq))
    connection.close()


async def filled(path: Path, num: int) -> str:
    """Make a room with so many entries; its epoch."""
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in range(1, num + 1):
            opened.log.append(entry(seq))
    return opened.epoch


@pytest.mark.parametrize("change", [garble, of_another, None])
async def test_j9_a_damaged_tail_is_cut_at_the_last_whole_entry_and_said_so(
    path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[bytes], bytes] | None
) -> None:
    epoch = await filled(path, 12)
    damage_entry(path, 8, change)
    num_cut = 4 if change is None else 5

    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        assert opened.entries == [entry(seq) for seq in range(1, 8)]
        # Its people may hold what is gone: they start from a snapshot.
        assert opened.epoch != epoch
        assert f"cut after entry 7; {num_cut} entries" in caplog.text
        opened.log.append(entry(8, op="op-new"))
        await watch.until_durable(8)

        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        assert again.epoch == opened.epoch
        assert [e.id for e in again.entries[-2:]] == ["op-00007", "op-new"]
        with journal.engine.connect() as connection:
            aside = connection.exec_driver_sql("SELECT epoch, seq FROM entries_set_aside")
            assert {tuple(row) for row in aside} == {(epoch, 13 - n) for n in range(1, num_cut + 1)}


async def test_j9_damage_before_a_snapshot_costs_no_more_than_a_resume(path: Path) -> None:
    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for taken in grown(room, 10):
            opened.log.append(taken)
        opened.log.snapshot(room.state())
        await until_snapshot(journal)
        for taken in grown(room, 2):
            opened.log.append(taken)
    for seq, change in ((4, garble), (9, None)):
        damage_entry(path, seq, change)

    async with SqliteJournal(path) as journal:
        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    assert again.epoch == opened.epoch
    # Nothing is left that could vouch for the tenth; the snapshot has it.
    assert [e.seq for e in again.entries] == [11, 12]


async def test_j9_damage_before_a_snapshot_is_no_history(path: Path) -> None:
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=5) as journal:
        opened = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
        for taken in grown(room, 20):
            opened.log.append(taken)
        opened.log.snapshot(room.state())
        await until_entries(journal, 5)
    damage_entry(path, 18, None)

    async with SqliteJournal(path) as journal:
        assert [e.seq for e in await journal.entries_after(ROOM, 12, 50)] == list(range(13, 18))
        with pytest.raises(StoreError, match="damaged"):
            await journal.entries_after(ROOM, 17, 50)


async def test_j9_a_torn_write_ahead_log_leaves_whole_entries_without_a_gap(
    path: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed := random.randrange(2**32))
    print(f"seed {seed}")
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in range(1, 41):
            opened.log.append(entry(seq))
            await watch.until_durable(seq)
        # As a power cut leaves it: the log has not been taken into the file yet.
        wal = path.with_name(path.name + "-wal").read_bytes()
        shutil.copy(path, tmp_path / "main")

    lengths = set()
    for number in range(20):
        copy = tmp_path / f"copy-{number}" / path.name
        copy.parent.mkdir()
        shutil.copy(tmp_path / "main", copy)
        at = rng.randrange(len(wal) // 4, len(wal))
        torn = wal[:at] if number % 2 else wal[:at] + bytes([wal[at] ^ 0xFF]) + wal[at + 1 :]
        copy.with_name(path.name + "-wal").write_bytes(torn)
        async with SqliteJournal(copy) as journal:
            again = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
        assert again.entries == [entry(seq) for seq in range(1, len(again.entries) + 1)]
        lengths.add(len(again.entries))
    assert len(lengths) > 5
