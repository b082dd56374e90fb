"""What a disk has changed, lost or brought back is noticed. Rule J9.

A flipped bit is put into every column of every table, and anywhere into the file. Whatever is
read after that is what was written, up to some op, or it is said that it can't be read.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId
from server.core.limits import RoomLimits
from server.core.messages import Applied
from server.core.replica import Replica
from server.core.room import Room
from server.ledger import rebuild
from server.storage import chain, tables
from server.storage.journal import SqliteJournal
from server.storage.mark import Mark
from tests.server.storage.test_journal import (
    ROOM,
    Watch,
    entry,
    grown,
    snapshotted,
    until_entries,
)

if TYPE_CHECKING:
    from pathlib import Path

    from server.core.entries import Entry
    from server.core.records import Record
    from server.storage.base import Opened

pytestmark = pytest.mark.anyio

BASE, MIDDLE, NEWEST, LAST = 60, 120, 140, 150
KEPT = 10


class Written:
    """A journal with all that there can be of a room, and what was written to it."""

    def __init__(self, path: Path, epoch: str, entries: list[Entry]) -> None:
        self.path = path
        self.epoch = epoch
        self.entries = entries
        self.moments: list[dict[str, Record]] = [{}]
        replica = Replica()
        for e in entries:
            replica.apply(Applied(seq=e.seq, id=e.id, by=e.by, changes=e.changes))
            self.moments.append(dict(replica.records))

    def copy(self, folder: Path) -> Path:
        """Another journal, as if it had been written where it lies."""
        shutil.copytree(self.path.parent, folder)
        mark = Mark(folder / self.path.name)
        mark.renew(mark.read()[0])
        mark.close()
        return folder / self.path.name


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    path = tmp_path_factory.mktemp("whole") / "journal.sqlite"
    return asyncio.run(write(path))


async def write(path: Path) -> Written:
    """Snapshots of three kinds, entries in the past, before and after the newest snapshot."""
    watch = Watch()
    room = Room(ROOM, Epoch("-"))
    entries: list[Entry] = []
    async with SqliteJournal(path, keep_entries=KEPT, keep_history=100) as journal:
        for upto in (BASE, MIDDLE, NEWEST):
            async with snapshotted(journal, room, (upto - room.seq,)):
                await until_entries(journal, KEPT)
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for taken in grown(room, LAST - NEWEST):
            opened.log.append(taken)
        await watch.until_durable(LAST)
        other = await journal.open(RoomId("o" * 22), Watch().on_durable, Watch().on_failed)
        other.log.append(entry(1))
    replayed = Room(ROOM, Epoch("-"))
    entries = grown(replayed, LAST)
    return Written(path, opened.epoch, entries)


async def check(written: Written, path: Path) -> tuple[str, int]:
    """Read all that can be read of a damaged journal: what became of the room, and how much of it.

    "whole", "cut" or "refused".
    """
    async with SqliteJournal(path, keep_entries=KEPT, keep_history=100) as journal:
        await check_history(written, journal)
        try:
            opened = await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
        except StoreError:
            return "refused", 0
        room = rebuild(ROOM, opened, RoomLimits())
        assert room.records == written.moments[room.seq]
        for kept in opened.entries:
            assert kept == written.entries[kept.seq - 1]
        if room.seq < LAST:
            assert opened.epoch != written.epoch
        return ("whole" if room.seq == LAST else "cut"), int(room.seq)


async def check_history(written: Written, journal: SqliteJournal) -> None:
    """What can be gone back over is what was; where it can't be read that is said."""
    try:
        seq, records = await journal.history_base(ROOM)
        assert {record.id: record for record in records} == written.moments[seq]
        while page := await journal.entries_after(ROOM, seq, 50):
            assert page == written.entries[seq : page[-1].seq]
            seq = page[-1].seq
    except StoreError:
        pass


def flip(value: int | str | bytes, rng: random.Random) -> int | bytes:
    """The value with one bit flipped."""
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(16))
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


COLUMNS = [
    (table.name, column.name)
    for table in (tables.rooms, tables.entries, tables.past, tables.snapshots, tables.parts)
    for column in table.columns
] + [("history", "base"), ("history", "middle"), ("history", "digest")]


def flip_in(path: Path, table: str, column: str, rng: random.Random) -> int:
    """Flip a bit in a field of some row; which entry that is, or 0."""
    connection = sqlite3.connect(path)
    with connection:
        of_room = "id" if table == "rooms" else "room"
        query = f"SELECT rowid, {column} FROM {table} WHERE {of_room}=?"
        row, value = rng.choice(connection.execute(query, (ROOM,)).fetchall())
        seq = 0
        if table not in ("rooms", "history"):
            (seq,) = connection.execute(f"SELECT seq FROM {table} WHERE rowid=?", (row,)).fetchone()
        as_type = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
        flipped = flip(value, rng)
        connection.execute(
            f"UPDATE OR REPLACE {table} SET {column}={as_type} WHERE rowid=?", (flipped, row)
        )
    connection.close()
    return int(seq)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
async def test_j9_no_flipped_bit_in_any_field_goes_unnoticed(
    written: Written, tmp_path: Path, table: str, column: str
) -> None:
    rng = random.Random(f"{table} {column}")
    for number in range(8):
        path = written.copy(tmp_path / str(number))
        seq = flip_in(path, table, column, rng)
        outcome, last = await check(written, path)
        if table == "entries" and seq > NEWEST:
            # A number may have become that of another entry, which it replaced.
            assert outcome == "cut", (column, seq, last)
            assert last < seq or column == "seq"
        else:
            assert outcome == "whole", (column, seq, last)


async def test_j9_no_flipped_bit_anywhere_in_the_file_goes_unnoticed(
    written: Written, tmp_path: Path
) -> None:
    rng = random.Random(seed := random.randrange(2**32))
    print(f"seed {seed}")
    whole = written.path.read_bytes()
    outcomes: set[str] = set()
    for number in range(60):
        path = written.copy(tmp_path / str(number))
        data = bytearray(whole)
        data[rng.randrange(100, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            outcomes.add((await check(written, path))[0])
        except StoreError:
            outcomes.add("refused")
    assert "whole" in outcomes


async def test_j9_what_was_written_last_and_is_missing_is_noticed(
    written: Written, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written.copy(tmp_path / "copy")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM entries WHERE room=? AND seq>?", (ROOM, LAST - 3))
    connection.close()
    assert await check(written, path) == ("cut", LAST - 3)
    assert "0 entries behind that are set aside" in caplog.text
    assert "3 are missing" in caplog.text
    caplog.clear()
    assert await check(written, path) == ("cut", LAST - 3)
    assert caplog.text == ""


async def test_j9_an_entry_from_before_a_cut_doesnt_come_back(
    written: Written, tmp_path: Path
) -> None:
    """As if a page of the file had not been written: the same number, another time."""
    path = written.copy(tmp_path / "copy")
    flip_in_link(path, LAST - 1)
    assert await check(written, path) == ("cut", LAST - 2)
    watch = Watch()
    async with SqliteJournal(path, keep_entries=KEPT) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in (LAST - 1, LAST):
            opened.log.append(entry(seq, op=f"new-{seq}"))
        await watch.until_durable(LAST)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM entries WHERE seq=?", (LAST,))
        connection.execute(
            "INSERT INTO entries SELECT room, seq, op, entry, link FROM entries_set_aside "
            "WHERE seq=?", (LAST,),
        )  # fmt: skip
    connection.close()
    async with SqliteJournal(path, keep_entries=KEPT) as journal:
        again = await journal.open(ROOM, watch.on_durable, watch.on_failed)
    assert again.entries[-1].id == f"new-{LAST - 1}"


def flip_in_link(path: Path, seq: int) -> None:
    connection = sqlite3.connect(path)
    with connection:
        here = "room=? AND seq=?"
        (link,) = connection.execute(
            f"SELECT link FROM entries WHERE {here}", (ROOM, seq)
        ).fetchone()
        changed = bytes([link[0] ^ 1]) + link[1:]
        connection.execute(f"UPDATE entries SET link=? WHERE {here}", (changed, ROOM, seq))
    connection.close()


async def test_j9_a_damaged_snapshot_and_damaged_entries_are_refused_and_nothing_is_cut(
    written: Written, tmp_path: Path
) -> None:
    path = written.copy(tmp_path / "copy")
    rng = random.Random(1)
    connection = sqlite3.connect(path)
    with connection:
        for table, column, seq in (("snapshot_parts", "data", NEWEST), ("past", "entry", 125)):
            (value,) = connection.execute(
                f"SELECT {column} FROM {table} WHERE seq=?", (seq,)
            ).fetchone()
            connection.execute(
                f"UPDATE {table} SET {column}=? WHERE seq=?", (flip(value, rng), seq)
            )
    connection.close()
    async with SqliteJournal(path) as journal:
        with pytest.raises(StoreError, match="put back a copy"):
            await journal.open(ROOM, Watch().on_durable, Watch().on_failed)
        with journal.engine.connect() as c:
            assert c.exec_driver_sql("SELECT count(*) FROM entries_set_aside").scalar() == 0


async def opened_once(path: Path) -> Opened:
    async with SqliteJournal(path) as journal:
        return await journal.open(ROOM, Watch().on_durable, Watch().on_failed)


async def test_j9_nothing_is_cut_that_a_snapshot_includes_which_was_finished_meanwhile(
    tmp_path: Path, written: Written
) -> None:
    """The writer goes on with an unloaded room's snapshot while somebody reads the room again."""
    async with SqliteJournal(written.copy(tmp_path / "copy")) as journal:
        with (
            journal.engine.begin() as connection,
            pytest.raises(StoreError, match="finished meanwhile"),
        ):
            tables.cut(connection, ROOM, tables.Head(NEWEST - 1, b"link"), Epoch("new"))
        opened = await journal.open(ROOM, lambda seq: None, lambda reason: None)
    assert opened.epoch == written.epoch
    assert opened.entries[-1] == written.entries[-1]


async def test_j9_a_lost_write_ahead_log_is_noticed_and_no_copy_is_merged_with_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        opened.log.append(entry(1))
    without_log = path.read_bytes()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in (2, 3):
            opened.log.append(entry(seq))
            await watch.until_durable(seq)
    path.write_bytes(without_log)

    again = await opened_once(path)
    assert [e.seq for e in again.entries] == [1]
    assert again.epoch != opened.epoch
    assert "lacks the last 2 of the 3 entries" in caplog.text
    caplog.clear()
    assert (await opened_once(path)).epoch == again.epoch
    assert caplog.text == ""


async def test_j9_a_crash_with_its_write_ahead_log_is_no_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.sqlite"
    watch = Watch()
    async with SqliteJournal(path) as journal:
        opened = await journal.open(ROOM, watch.on_durable, watch.on_failed)
        for seq in (1, 2):
            opened.log.append(entry(seq))
            await watch.until_durable(seq)
        files = [path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-mark")]
        crashed = [file.read_bytes() for file in files]
    for file, content in zip(files, crashed, strict=True):
        file.write_bytes(content)
    again = await opened_once(path)
    assert (again.epoch, again.entries) == (opened.epoch, [entry(1), entry(2)])
    assert caplog.text == ""


async def test_j9_a_cut_makes_no_room_look_as_if_more_was_lost(
    written: Written, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written.copy(tmp_path / "copy")
    flip_in_link(path, LAST - 4)
    await opened_once(path)
    caplog.clear()
    await opened_once(path)
    assert caplog.text == ""


async def test_j9_a_journal_of_another_format_is_left_alone_with_a_clear_word(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE rooms (id TEXT PRIMARY KEY, epoch TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="another version of Atelier"):
        await SqliteJournal(path).start()

    path = tmp_path / "newer.sqlite"
    await opened_once(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE formats SET format=3")
    connection.close()
    with pytest.raises(StoreError, match="format 3, expected 2"):
        await SqliteJournal(path).start()


def test_j9_a_chain_stands_for_what_is_in_it_and_for_its_order() -> None:
    first = chain.link(chain.origin(ROOM), b"one")
    second = chain.link(first, b"two")
    assert chain.link(chain.link(chain.origin(ROOM), b"two"), b"one") != second
    assert chain.link(chain.origin(RoomId("o" * 22)), b"one") != first
    assert chain.link(first, b"twp") != second
