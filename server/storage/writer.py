"""The journal's writer thread: group commit, and snapshots a part at a time in between.

Takes `Work`, gives `Result`s. What was put first is written first. Work whose transaction
fails is reported with the error; of several rooms in it each is tried again alone, so that
one room's trouble isn't another's. A disk that failed is tried now and then until it works.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from server.core.entries import Entry
from server.core.ids import Epoch, RoomId
from server.core.messages import DiskState
from server.core.room import RoomState
from server.core.snapshots import encode_parts
from server.storage import chain, compaction, tables
from server.storage.disk import state_after

if TYPE_CHECKING:
    import sqlalchemy as sa

    from server.storage.mark import Mark

MAX_BATCH = 500

logger = logging.getLogger(__name__)


class Append(msgspec.Struct, frozen=True):
    log: object
    """Whose entry it is; after a failure nothing more of this log is written."""
    room: RoomId
    entry: Entry


class Create(msgspec.Struct, frozen=True):
    log: object
    room: RoomId
    epoch: Epoch


class Cut(msgspec.Struct, frozen=True):
    """Set the entries after `last` aside; the room goes on under a new epoch."""

    log: object
    room: RoomId
    last: tables.Head
    epoch: Epoch


Work = Append | Create | Cut


class Snapshot(msgspec.Struct, frozen=True):
    log: object
    room: RoomId
    state: RoomState


class Result(msgspec.Struct, frozen=True):
    """What became of a log's work in one commit."""

    log: object
    num_done: int
    seq: int
    """The last entry that is durable now; 0: none of these was an entry."""
    error: str | None


Settle = Callable[[list[Result], DiskState], None]
"""Hears what became of work, and how the disk is after it."""


class _Unfinished(msgspec.Struct):
    snapshot: Snapshot
    parts: Iterator[bytes]
    written: chain.SnapshotSum
    begun: int | None = None
    """Once it counts: where history began before; what it makes superfluous is being swept."""


class Writer:
    """A running thread. `settled` is called on it."""

    def __init__(
        self,
        engine: sa.Engine,
        settled: Settle,
        kept: compaction.Kept,
        mark: Mark,
        num_committed: int,
        *,
        retry_s: float,
    ) -> None:
        self._engine = engine
        self._settled = settled
        self._kept = kept
        self._mark = mark
        self._num_committed = num_committed
        self._heads: weakref.WeakKeyDictionary[object, tables.Head] = weakref.WeakKeyDictionary()
        """What the next entry of a log follows, once it has written one."""
        self._retry_s = retry_s
        self._disk: DiskState = "ok"
        self._retry_at = 0.0
        self._changed = threading.Condition()
        self._work: deque[Work | Snapshot] = deque()
        self._snapshots: dict[RoomId, Snapshot] = {}
        """The newest of each room, all of whose entries are written."""
        self._unfinished: _Unfinished | None = None
        self._failed: weakref.WeakSet[object] = weakref.WeakSet()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, work: Work | Snapshot) -> None:
        with self._changed:
            self._work.append(work)
            self._changed.notify()

    def close(self) -> None:
        """Write what was put, finish no more snapshots, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            if works := [work for work in batch if not isinstance(work, Snapshot)]:
                self._settled(self._commit(works), self._disk)
            # A snapshot that were there before its entries would leave a gap if these failed.
            self._snapshots.update((s.room, s) for s in batch if isinstance(s, Snapshot))
            if self._disk == "ok":
                self._write_part()
            elif time.monotonic() >= self._retry_at:
                self._try_disk()

    def _take(self) -> list[Work | Snapshot] | None:
        """All that waits, up to a limit; empty if there is something else to do."""
        with self._changed:
            while not self._work:
                if self._closing:
                    return None
                if self._disk != "ok":
                    self._changed.wait(max(0.0, self._retry_at - time.monotonic()))
                    break
                if self._snapshots or self._unfinished:
                    break
                self._changed.wait()
            return [self._work.popleft() for _ in range(min(MAX_BATCH, len(self._work)))]

    def _commit(self, batch: list[Work]) -> list[Result]:
        logs: dict[int, list[Work]] = {}
        for work in batch:
            logs.setdefault(id(work.log), []).append(work)
        alive = [work for work in batch if work.log not in self._failed]
        error = self._write(alive)
        if error is None or len(logs) == 1:
            return [self._result(works, error) for works in logs.values()]
        return [self._result(works, self._write(works)) for works in logs.values()]

    def _result(self, works: list[Work], error: str | None) -> Result:
        log = works[0].log
        if error is not None:
            self._failed.add(log)
        elif log in self._failed:
            error = "an earlier write failed"
        seqs = [work.entry.seq for work in works if isinstance(work, Append)]
        return Result(log, len(works), 0 if error else max(seqs, default=0), error)

    def _write(self, works: list[Work]) -> str | None:
        works = [work for work in works if work.log not in self._failed]
        num_committed = self._num_committed
        if has_cut := any(isinstance(work, Cut) for work in works):
            # There will be fewer: until it says how many, the mark says nothing.
            self._set_mark(0)
        error = None
        try:
            with self._engine.begin() as connection:
                heads = self._write_all(works, connection)
                if has_cut:
                    num_committed = tables.num_committed(connection)
                else:
                    num_committed += sum(isinstance(work, Append) for work in works)
        except Exception as raised:  # whatever it is: the rooms must hear that it isn't written
            logger.exception("can't write to the journal")
            self._suspect_disk(raised)
            error = str(raised.__cause__ or raised)
        else:
            self._heads.update(heads)
            self._num_committed = num_committed
        self._set_mark(self._num_committed)
        return error

    def _write_all(self, works: list[Work], connection: sa.Connection) -> dict[object, tables.Head]:
        """The last entries of the logs that have new ones."""
        for work in works:
            if isinstance(work, Create):
                tables.create_room(connection, work.room, work.epoch)
            elif isinstance(work, Cut):
                self._forget_snapshots(work.room)
                tables.cut(connection, work.room, work.last, work.epoch)
        logs: dict[RoomId, object] = {}
        added: dict[RoomId, list[Entry]] = {}
        for work in works:
            if isinstance(work, Append):
                logs[work.room] = work.log
                added.setdefault(work.room, []).append(work.entry)
        before = {
            room: self._heads.get(log) or tables.head(connection, room)
            for room, log in logs.items()
        }
        after = tables.add_entries(connection, added, before)
        return {log: after[room] for room, log in logs.items()}

    def _set_mark(self, num: int) -> None:
        try:
            self._mark.write(num)
        except OSError as error:
            logger.warning("can't write how much the journal holds beside it: %s", error)

    def _forget_snapshots(self, room: RoomId) -> None:
        """Those on their way may include what is cut."""
        self._snapshots.pop(room, None)
        if self._unfinished is not None and self._unfinished.snapshot.room == room:
            self._unfinished = None

    def _suspect_disk(self, error: Exception) -> None:
        state = state_after(error)
        if state is not None:
            self._disk = state

    def _try_disk(self) -> None:
        """See whether as much as anybody may send at once can be written."""
        self._retry_at = time.monotonic() + self._retry_s
        try:
            with self._engine.begin() as connection:
                tables.add_trial(connection)
            with self._engine.begin() as connection:
                tables.delete_trial(connection)
        except Exception as error:  # whatever it is: it doesn't work yet
            logger.info("still can't write to the journal: %s", error.__cause__ or error)
            self._suspect_disk(error)
        else:
            self._disk = "ok"
        self._settled([], self._disk)

    def _write_part(self) -> None:
        """Go on with the snapshot at hand, or begin with the next one."""
        if self._unfinished is None and self._snapshots:
            snapshot = self._snapshots.pop(next(iter(self._snapshots)))
            written = chain.SnapshotSum(snapshot.room, snapshot.state.seq)
            self._unfinished = _Unfinished(snapshot, encode_parts(snapshot.state), written)
        at_hand = self._unfinished
        if at_hand is None:
            return
        if at_hand.snapshot.log in self._failed:
            self._unfinished = None
            return
        try:
            with self._engine.begin() as connection:
                self._write_part_of(at_hand, connection)
        except Exception:  # a broken snapshot must not end the thread
            logger.exception("can't write a snapshot; the entries are kept instead")
            self._unfinished = None

    def _write_part_of(self, at_hand: _Unfinished, connection: sa.Connection) -> None:
        room, seq = at_hand.snapshot.room, at_hand.snapshot.state.seq
        data = next(at_hand.parts, None)
        if data is not None:
            tables.add_part(connection, room, seq, at_hand.written.num_parts, data)
            at_hand.written.add(data)
        elif at_hand.begun is None:
            at_hand.begun = compaction.finish_snapshot(
                connection, room, seq, at_hand.written, self._kept
            )
        elif not compaction.sweep(connection, room, seq, self._kept.entries, at_hand.begun):
            self._unfinished = None
