"""A loaded room and its journal: what was written read back, every op written, and who waits.

What depends on an op is held back until that op is durable (J1). A snapshot is written whenever
what came since the last one is much. Runs on the event loop; no method here waits. Knows nothing
of people.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from server.core.closings import NOT_SAVED_REASON
from server.core.errors import StoreError
from server.core.room import Room
from server.core.tail import Tail, entry_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.core.entries import Entry
    from server.core.ids import RoomId
    from server.core.limits import RoomLimits
    from server.storage.base import Opened

SNAPSHOT_BYTES = 64 * 1024 * 1024
"""Of entries since the last snapshot, after which the room is written anew: what is read when it
is loaded stays bounded, however large the ops are."""


class Ledger:
    """The journal of one room, up to its newest op."""

    def __init__(self, room: Room, opened: Opened, *, keep_entries: int, every: int) -> None:
        """Keep the last `keep_entries` for those who resume; a snapshot after `every` of them."""
        self._room = room
        self._log = opened.log
        self._tail = Tail(opened.entries, keep_entries)
        self._every = every
        self._snapshot_seq = opened.state.seq if opened.state else 0
        self._new_bytes = sum(
            entry_bytes(entry) for entry in opened.entries if entry.seq > self._snapshot_seq
        )
        self._durable = int(room.seq)
        self._held: deque[tuple[int, Callable[[], None]]] = deque()
        self._savings: set[asyncio.Future[None]] = set()
        self.has_failed = False

    @property
    def is_settled(self) -> bool:
        """All that happened is on the disk, and nothing is held back."""
        return not self._held and self._durable >= self._room.seq

    def write(self, entry: Entry) -> None:
        """Write an op that the room has just taken."""
        self._log.append(entry)
        self._tail.append(entry)
        self._new_bytes += entry_bytes(entry)
        num_new = entry.seq - self._snapshot_seq
        if num_new >= self._every or self._new_bytes >= SNAPSHOT_BYTES:
            self._snapshot()

    def since(self, seq: int) -> list[Entry] | None:
        """The ops after number `seq`; None if they aren't all kept."""
        return self._tail.since(seq, self._room.seq)

    def when_durable(self, act: Callable[[], None]) -> None:
        """Run `act` once all that has happened so far is durable, in order."""
        if self.is_settled:
            act()
        else:
            self._held.append((int(self._room.seq), act))

    def saved(self) -> asyncio.Future[None]:
        """Done once all that has happened so far is durable; may raise StoreError."""
        saving: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.has_failed:
            saving.set_exception(StoreError(NOT_SAVED_REASON))
            return saving
        self._savings.add(saving)

        def done() -> None:
            self._savings.discard(saving)
            if not saving.done():
                saving.set_result(None)

        self.when_durable(done)
        return saving

    def on_durable(self, seq: int) -> None:
        self._durable = max(self._durable, seq)
        while self._held and self._held[0][0] <= self._durable:
            _, act = self._held.popleft()
            act()

    def fail(self) -> None:
        """Nothing that is held back may ever be said."""
        self.has_failed = True
        self._held.clear()
        for saving in self._savings:
            if not saving.done():
                saving.set_exception(StoreError(NOT_SAVED_REASON))
        self._savings.clear()
        self._log.close()

    def close(self, *, with_snapshot: bool) -> None:
        """The room is being unloaded: leave a snapshot for the next time, if that can be."""
        if with_snapshot and not self.has_failed and self._room.seq > self._snapshot_seq:
            self._snapshot()
        self._log.close()

    def _snapshot(self) -> None:
        self._snapshot_seq = int(self._room.seq)
        self._new_bytes = 0
        self._log.snapshot(self._room.state())


def rebuild(id: RoomId, opened: Opened, limits: RoomLimits) -> Room:
    """The room as the journal has it; raises StoreError if its entries have a gap."""
    if opened.state is None:
        room = Room(id, opened.epoch, limits)
    else:
        room = Room.restore(id, opened.state, limits)
        # Newer than the snapshot's, if the journal was damaged behind it or put back.
        room.epoch = opened.epoch
    for entry in _after(opened.entries, int(room.seq)):
        if entry.seq != room.seq + 1:
            raise StoreError(f"expected entry {room.seq + 1} in the journal, got {entry.seq}")
        room.replay(entry)
    return room


def _after(entries: Sequence[Entry], seq: int) -> list[Entry]:
    return [entry for entry in entries if entry.seq > seq]
