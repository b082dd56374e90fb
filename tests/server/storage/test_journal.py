"""The journal: what it says is durable is there when it is opened again. Rules J1 to J7, J10."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa

from server.core.entries import Entry
from server.core.errors import StoreError
from server.core.ids import Epoch, PersonId, RoomId
from server.core.messages import Applied, Op
from server.core.records import Layer, Put
from server.core.replica import Replica
from server.core.room import Room, Taken
from server.core.snapshots import PART_BYTES
from server.storage import compaction, loading
from server.storage.journal import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

ROOM = RoomId("r" * 22)
ANN = PersonId("ann")
pytestmark = pytest.mark.anyio


class Watch:
    """Remembers what a log tells, and lets a test wait for it."""

    def __init__(self) -> None:
        self.durable = 0
        self.failure: str | None = None
        self._changed = asyncio.Event()

    def on_durable(self, seq: int) -> None:
        self.durable = seq
        self._changed.set()

    def on_failed(self, reason: str) -> None:
        self.failure = reason
        self._changed.set()

    async def until_durable(self, seq: int) -> None:
        while self.durable < seq:
            assert self.failure is None
            await self._next()

    async def until_failed(self) -> str:
        while self.failure is None:
            await self._next()
        return self.failure

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(path) as journal:
        yield journal


def entry(seq: int, op: str | None = None) -> Entry:
    layer = Layer(id=f"layer-{seq}", z="a0", by=ANN, name="x" * 80)
    return Entry(seq, op or f"op-{seq:05}", ANN, "op", 0, [Put(layer)])


def grown(room: Room, num_ops: int) -> list[Entry]:
    """Apply some ops to the room; their entries."""
    entries = []
    for _ in range(num_ops):
        seq = room.seq + 1
        op = Op(id=f"op-{seq:05}", changes=[Put(Layer(id=f"layer-{seq}", z="a0", name="x" * 80))])
        taken = room.request(op, ANN, at_ms=seq)
        assert isinstance(taken, Taken)
        entries.append(taken.entry)
    return entries


async def test_j1_what_is_durable_is_there_after_opening_again(path: Path) -> None:
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        assert (opened.state, opened.entries) == (None, [])
        for seq in range(1, 101):
            opened.log.append(entry(seq))
        await watch.until_durable(100)

    async with SqliteJournal(path) as journal:
        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        assert again.epoch == opened.epoch
        assert again.entries == [entry(seq) for seq in range(1, 101)]


async def test_j1_closing_writes_what_was_appended(path: Path) -> None:
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        opened.log.append(entry(1))
    assert watch.durable == 1


async def test_j2_the_journal_waits_for_the_disk_at_each_commit(journal: SqliteJournal) -> None:
    with journal.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


async def test_j3_a_failed_write_is_told_once_and_nothing_more_is_written(
    journal: SqliteJournal,
) -> None:
    watch, other = Watch(), Watch()
    opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    quiet = await journal.open(RoomId("q" * 22), other.on_durable, other.on_failed)
    opened.log.append(entry(1))
    await watch.until_durable(1)

    opened.log.append(entry(1, op="op-other"))
    opened.log.append(entry(2))
    quiet.log.append(entry(1))
    assert "UNIQUE" in await watch.until_failed()
    await other.until_durable(1)

    again = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
    assert again.entries == [entry(1)]


async def test_j3_a_full_disk_loses_nothing_that_was_durable(path: Path) -> None:
    watch = Watch()
    small = SqliteJournal(path)
    sa.event.listen(small.engine, "connect", limit_pages)
    async with small:
        opened = await small.open(ROOM, watch.on_durable, watch.on_failed)
        num = 0
        while watch.failure is None:
            num += 1
            opened.log.append(entry(num))
            await asyncio.sleep(0)
        assert "full" in watch.failure

    async with SqliteJournal(path) as journal:
        again = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
    assert watch.durable > 0
    assert [e.seq for e in again.entries] == list(range(1, watch.durable + 1))


def limit_pages(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA max_page_count=60")
    cursor.close()


async def test_j4_a_snapshot_and_the_entries_after_it_make_the_same_room(path: Path) -> None:
    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=10) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        room.epoch = opened.epoch
        for taken in grown(room, 2_000):
            opened.log.append(taken)
        opened.log.snapshot(room.state())
        for taken in grown(room, 5):
            opened.log.append(taken)
        await watch.until_durable(2_005)
        await until_entries(journal, 15)

        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        with journal.engine.connect() as connection:
            parts = connection.exec_driver_sql("SELECT length(data) FROM snapshot_parts").scalars()
            sizes = list(parts)

    assert again.state is not None
    assert [e.seq for e in again.entries] == list(range(1_991, 2_006))
    restored = Room.restore(ROOM, again.state)
    for kept in again.entries:
        if kept.seq > restored.seq:
            restored.replay(kept)
    assert restored.state() == room.state()
    assert len(sizes) > 2
    assert max(sizes) <= 2 * PART_BYTES


async def test_j4_what_a_snapshot_makes_superfluous_goes_a_little_at_a_time(path: Path) -> None:
    deleted: list[int] = []

    def count(_: object, cursor: DBAPICursor, statement: str, *__: object) -> None:
        if statement.startswith("DELETE FROM"):
            deleted.append(cursor.rowcount)

    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=10) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for _ in range(2):
            for taken in grown(room, 1_000):
                opened.log.append(taken)
            opened.log.snapshot(room.state())
        await watch.until_durable(2_000)
        sa.event.listen(journal.engine, "after_cursor_execute", count)
        await until_entries(journal, 10)
        with journal.engine.connect() as connection:
            seqs = connection.exec_driver_sql("SELECT DISTINCT seq FROM snapshot_parts").scalars()
            assert list(seqs) == [2_000]
    assert max(deleted) <= compaction.SWEPT_ROWS


async def test_j4_few_large_entries_are_moved_into_the_past_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SWEPT_BYTES", 1_000)
    moved: list[int] = []

    def count(_: object, cursor: DBAPICursor, statement: str, *__: object) -> None:
        if statement.startswith("INSERT INTO past"):
            moved.append(cursor.rowcount)

    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=10) as journal:
        sa.event.listen(journal.engine, "after_cursor_execute", count)
        async with snapshotted(journal, room, (100,)):
            await until_entries(journal, 10)
            await check_history(journal, room, first=1)
    assert sum(moved) == 90
    assert 1 < max(moved) < 10


async def test_j4_a_snapshot_never_comes_before_its_entries(path: Path) -> None:
    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        *before, last = grown(room, 5_000)
        for taken in before:
            opened.log.append(taken)
        opened.log.append(msgspec.structs.replace(last, seq=1))
        opened.log.snapshot(room.state())
        await watch.until_failed()
        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    assert again.state is None
    assert again.entries[-1].seq == watch.durable


async def test_j7_few_of_the_large_entries_before_a_snapshot_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "KEPT_BYTES", 1_000)
    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for taken in grown(room, 50):
            opened.log.append(taken)
        opened.log.snapshot(room.state())
        for taken in grown(room, 50):
            opened.log.append(taken)
        await watch.until_durable(100)
        await until_snapshot(journal)
        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    seqs = [entry.seq for entry in again.entries]
    assert seqs == list(range(seqs[0], 101))
    assert 40 < seqs[0] <= 50


async def test_j10_entries_that_a_snapshot_includes_can_be_gone_back_over(path: Path) -> None:
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=10, keep_history=100) as journal:
        async with snapshotted(journal, room, (50,)):
            assert await journal.history_base(ROOM) == (0, [])
            await check_history(journal, room, first=1)
        # More than half: a snapshot is kept to begin from when it is too long.
        async with snapshotted(journal, room, (10, 30)):
            await check_history(journal, room, first=1)
        async with snapshotted(journal, room, (20,)):
            base, records = await journal.history_base(ROOM)
            assert base == 60
            assert {record.id for record in records} == {f"layer-{n}" for n in range(1, 61)}
            await check_history(journal, room, first=61)
            # Whoever began before that may go on until the next snapshot.
            assert [e.seq for e in await journal.entries_after(ROOM, 0, 2)] == [1, 2]
        async with snapshotted(journal, room, (1,)):
            await check_history(journal, room, first=61)
            await until_entries(journal, 10)
        with pytest.raises(StoreError, match="forgotten"):
            await journal.entries_after(ROOM, 59, 5)


async def test_j10_few_large_entries_are_kept_for_history(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(ROOM, Epoch("-"))
    async with SqliteJournal(path, keep_entries=1, keep_history=10_000) as journal:
        monkeypatch.setattr(
            journal._writer,
            "_kept",
            compaction.Kept(entries=1, history=10_000, history_bytes=2_000),
        )
        async with snapshotted(journal, room, (60, 60)):
            base, records = await journal.history_base(ROOM)
            assert base == len(records) == 120
            assert await journal.entries_after(ROOM, base, 5) == []


@contextlib.asynccontextmanager
async def snapshotted(
    journal: SqliteJournal, room: Room, numbers: Sequence[int]
) -> AsyncIterator[None]:
    """The room in the journal, grown by so many entries before each of some snapshots."""
    watch = Watch()
    opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    for number in numbers:
        for taken in grown(room, number):
            opened.log.append(taken)
        opened.log.snapshot(room.state())
        await watch.until_durable(int(room.seq))
        await until_snapshot(journal, int(room.seq))
    yield
    opened.log.close()


async def check_history(journal: SqliteJournal, room: Room, first: int) -> None:
    """All entries are there, read in pages, and make the room of the records they begin from."""
    base, records = await journal.history_base(ROOM)
    assert base == first - 1
    replica = Replica()
    replica.reset(base)
    replica.records.update((record.id, record) for record in records)
    while page := await journal.entries_after(ROOM, replica.seq, 7):
        for e in page:
            replica.apply(Applied(seq=e.seq, id=e.id, by=e.by, changes=e.changes))
    assert replica.seq == room.seq
    assert replica.records == room.records


async def until_snapshot(journal: SqliteJournal, seq: int = 1) -> None:
    """Wait until there is a snapshot of this op or a later one."""

    def newest() -> int:
        with journal.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM snapshots")
            return int(rows.scalar_one())

    while await asyncio.to_thread(newest) < seq:
        pass


async def until_entries(journal: SqliteJournal, num: int) -> None:
    """Wait until so many entries are left."""
    while await num_rows(journal, "entries") != num:
        pass


async def num_rows(journal: SqliteJournal, table: str) -> int:
    def count() -> int:
        with journal.engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            return int(rows)

    return await asyncio.to_thread(count)


async def test_j5_a_flood_is_told_to_wait(journal: SqliteJournal) -> None:
    watch = Watch()
    opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    for seq in range(1, 2_001):
        opened.log.append(entry(seq))
    waiting = asyncio.ensure_future(journal.has_space())
    await asyncio.sleep(0)
    assert not waiting.done()
    await waiting
    assert watch.durable > 0


async def test_j6_a_room_exists_once_it_was_opened(journal: SqliteJournal) -> None:
    assert not await journal.exists(ROOM)
    await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
    assert await journal.exists(ROOM)
