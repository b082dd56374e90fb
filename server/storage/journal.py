"""The journal on SQLite: write-ahead log, synchronous=FULL, one writer with group commit.

A commit waits for the disk about as long for fifty rows as for one, so the writer thread
takes all that came while the last commit was under way. Reads have connections of their own.
Knows nothing of what entries mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, TypeVar

import msgspec
import sqlalchemy as sa

from server.core.errors import StoreError
from server.core.ids import Epoch, RoomId, new_id
from server.storage import compaction, loading, tables
from server.storage.base import OnDisk, OnDurable, OnFailed, Opened
from server.storage.mark import Mark
from server.storage.writer import Append, Create, Cut, Result, Snapshot, Work, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine.interfaces import DBAPIConnection

    from server.core.entries import Entry
    from server.core.messages import DiskState
    from server.core.records import Record
    from server.core.room import RoomState

MAX_WAITING = 2_000
KEEP_ENTRIES = 2_000
"""Entries kept although a snapshot includes them, for those who reconnect."""
KEEP_HISTORY = 50_000
RETRY_S = 1.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class SqliteLog:
    """One loaded room's end of the journal. Used on the event loop only."""

    def __init__(
        self, journal: SqliteJournal, room: RoomId, on_durable: OnDurable, on_failed: OnFailed
    ) -> None:
        self.room = room
        self._journal = journal
        self._awaited: asyncio.Future[None] | None = None
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._is_closed = False

    def append(self, entry: Entry) -> None:
        if not self._is_closed:
            self._journal.write(Append(self, self.room, entry))

    def snapshot(self, state: RoomState) -> None:
        if not self._is_closed:
            self._journal.write_snapshot(Snapshot(self, self.room, state))

    def close(self) -> None:
        self._is_closed = True

    async def written(self, work: Create | Cut) -> None:
        """Write what has to be there before the first entry; raises StoreError."""
        self._awaited = asyncio.get_running_loop().create_future()
        self._journal.write(work)
        await self._awaited

    def settle(self, result: Result) -> None:
        """Hear from the writer; a failure is told once."""
        if self._awaited is not None:
            awaited, self._awaited = self._awaited, None
            if awaited.cancelled():
                return
            if result.error is None:
                awaited.set_result(None)
            else:
                awaited.set_exception(StoreError(result.error))
        elif self._is_closed:
            return
        elif result.error is not None:
            self._is_closed = True
            self._on_failed(result.error)
        else:
            self._on_durable(result.seq)


class SqliteJournal:
    """`async with SqliteJournal(path)`, or `start` and `close`.

    A disk that failed is tried every `retry_s` seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        keep_entries: int = KEEP_ENTRIES,
        keep_history: int = KEEP_HISTORY,
        retry_s: float = RETRY_S,
    ) -> None:
        self._engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.QueuePool)
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        self._path = path
        self._kept = compaction.Kept(entries=keep_entries, history=keep_history)
        self._retry_s = retry_s
        self._disk: DiskState = "ok"
        self._on_disk: OnDisk | None = None
        self._writer: Writer | None = None
        self._mark: Mark | None = None
        self._num_waiting = 0
        self._space = asyncio.Event()
        self._space.set()

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    @property
    def disk(self) -> DiskState:
        return self._disk

    def watch_disk(self, on_disk: OnDisk) -> None:
        self._on_disk = on_disk

    async def start(self) -> None:
        """Open the file, making it if there is none; raises StoreError."""
        try:
            await self._read(tables.create_all)
            mark = Mark(self._path)
            num_committed = await self._check_mark(mark)
        except StoreError:
            await asyncio.to_thread(self._engine.dispose)
            raise
        loop = asyncio.get_running_loop()

        def settled(results: list[Result], disk: DiskState) -> None:
            loop.call_soon_threadsafe(self._settle, results, disk)

        self._mark = mark
        self._writer = Writer(
            self._engine, settled, self._kept, mark, num_committed, retry_s=self._retry_s
        )

    async def _check_mark(self, mark: Mark) -> int:
        """How many entries there are; if there may have been more, all rooms get new epochs."""
        num_committed = await self._read(tables.num_committed)
        num_marked, is_here = mark.read()
        if num_marked > num_committed:
            logger.error(
                "the journal %s lacks the last %d of the %d entries that were committed to it: its "
                "-wal file was lost, or an older copy was put back. The rooms go on from what is "
                "there, under new epochs",
                self._path, num_marked - num_committed, num_marked,
            )  # fmt: skip
        elif num_committed and not is_here:
            logger.warning(
                "the folder of the journal %s is a copy, was put back or moved to another disk (or "
                "its owner or rights were changed): what was done after the copy was made isn't in "
                "it. The rooms go on from what is there, under new epochs",
                self._path,
            )
        if num_committed and (num_marked > num_committed or not is_here):
            await self._read(tables.renew_epochs)
        with contextlib.suppress(OSError):
            # It says less than there is, then, which is never wrong.
            mark.renew(num_committed)
        return num_committed

    async def __aenter__(self) -> SqliteJournal:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, room: RoomId, on_durable: OnDurable, on_failed: OnFailed) -> Opened:
        log = SqliteLog(self, room, on_durable, on_failed)
        # This comes after all that an earlier log of the room has still to write.
        await log.written(Create(log, room, Epoch(new_id())))
        loaded = await self._read(lambda c: loading.load_room(c, room))
        epoch = loaded.epoch
        if not loaded.is_whole:
            epoch = Epoch(new_id())
            await log.written(Cut(log, room, loaded.last, epoch))
            logger.error(
                "the journal of room %s was damaged: it is cut after entry %d; %d entries behind "
                "that are set aside in the table entries_set_aside of %s, and %d are missing",
                room, loaded.last.seq, loaded.num_behind, self._path, loaded.num_missing,
            )  # fmt: skip
        return Opened(log, epoch, loaded.state, loaded.entries)

    async def exists(self, room: RoomId) -> bool:
        return await self._read(lambda connection: tables.has_room(connection, room))

    async def history_base(self, room: RoomId) -> tuple[int, list[Record]]:
        return await self._read(lambda connection: loading.load_base(connection, room))

    async def entries_after(self, room: RoomId, seq: int, most: int) -> list[Entry]:
        return await self._read(lambda c: loading.load_entries(c, room, seq, most))

    async def has_space(self) -> None:
        await self._space.wait()

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.close)
            # What the writer settled last is still on its way through the event loop.
            await asyncio.sleep(0)
        if self._mark is not None:
            self._mark.close()
            self._mark = None
        await asyncio.to_thread(self._engine.dispose)

    def write(self, work: Work) -> None:
        """Hand work to the writer; it doesn't block, `has_space` tells when to wait."""
        self._num_waiting += 1
        if self._num_waiting >= MAX_WAITING:
            self._space.clear()
        self._running().put(work)

    def write_snapshot(self, snapshot: Snapshot) -> None:
        self._running().put(snapshot)

    def _running(self) -> Writer:
        if self._writer is None:
            raise StoreError("the journal is closed: start the server again")
        return self._writer

    def _settle(self, results: list[Result], disk: DiskState) -> None:
        if disk != self._disk:
            # Before the rooms whose work has failed are closed: so their people know why.
            self._disk = disk
            logger.warning("the disk of the journal %s is %s", self._path, disk)
            if self._on_disk is not None:
                self._on_disk(disk)
        for result in results:
            self._num_waiting -= result.num_done
            log = result.log
            assert isinstance(log, SqliteLog)
            log.settle(result)
        if self._num_waiting < MAX_WAITING:
            self._space.set()

    async def _read(self, read: Callable[[sa.Connection], T]) -> T:
        try:
            return await asyncio.to_thread(self._read_now, read)
        # The driver decodes the names in the file, too, and they may be damaged.
        except (sa.exc.SQLAlchemyError, msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            what = getattr(error, "orig", None) or error
            raise StoreError(
                f"can't read the journal {self._path} ({what}): if it is damaged, put back a copy"
            ) from error

    def _read_now(self, read: Callable[[sa.Connection], T]) -> T:
        with self._engine.begin() as connection:
            return read(connection)


def _configure(connection: DBAPIConnection, _: object) -> None:
    # The driver would begin transactions before writes only: `_begin` does it for reads too.
    connection.isolation_level = None
    # A text that was damaged differs from what it was; it mustn't keep the rest from being read.
    connection.text_factory = _text
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
