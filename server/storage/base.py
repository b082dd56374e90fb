"""What the server asks of its journal. (What it asks of blobs is `server.ports.BlobStore`.)

An entry is *durable* once it would survive the power going out. Nobody may hear of an entry
before that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from server.core.entries import Entry
from server.core.ids import Epoch, RoomId
from server.core.messages import DiskState
from server.core.room import RoomState

if TYPE_CHECKING:
    from server.core.records import Record

OnDurable = Callable[[int], None]
"""Called on the event loop: all entries up to this number are durable."""
OnFailed = Callable[[str], None]
"""Called on the event loop, once: no entry after the last durable one is, or will be."""
OnDisk = Callable[[DiskState], None]
"""Called on the event loop when the disk fails, and when it works again."""


class Log(Protocol):
    """The journal of one loaded room. Once it has failed it takes nothing any more."""

    def append(self, entry: Entry) -> None:
        """Write the entry soon, after those appended before it. Doesn't block."""
        ...

    def snapshot(self, state: RoomState) -> None:
        """Write `state` beside the traffic, and then forget most entries that it includes.

        A snapshot that can't be written is no failure of the log: the entries stay.
        """
        ...

    def close(self) -> None:
        """No more appends; what was appended is still written."""
        ...


class Opened(msgspec.Struct, frozen=True):
    """A room as the journal has it."""

    log: Log
    epoch: Epoch
    state: RoomState | None
    """The last snapshot; None: none was written yet."""
    entries: list[Entry]
    """In order, without gaps, to the newest; the first of them may be part of `state`."""


class Journal(Protocol):
    @property
    def disk(self) -> DiskState:
        """Whether what is written reaches the disk, as of the last try."""
        ...

    def watch_disk(self, on_disk: OnDisk) -> None:
        """Call `on_disk` whenever `disk` changes."""
        ...

    async def open(self, room: RoomId, on_durable: OnDurable, on_failed: OnFailed) -> Opened:
        """Read a room, creating it if it is new; raises StoreError.

        A room may be open once at a time, except that a log that failed doesn't count. Entries
        that can't be read, and those after them, are set aside; the room then has a new epoch.
        """
        ...

    async def exists(self, room: RoomId) -> bool:
        """Whether the room was ever opened; raises StoreError."""
        ...

    async def history_base(self, room: RoomId) -> tuple[int, list[Record]]:
        """Where the history begins that is kept: the number of an op and the records after it.

        Raises StoreError.
        """
        ...

    async def entries_after(self, room: RoomId, seq: int, most: int) -> list[Entry]:
        """The durable entries after number `seq`, oldest first, at most so many.

        Raises StoreError, also where the history that far back was forgotten meanwhile.
        """
        ...

    async def has_space(self) -> None:
        """Wait until not too much is waiting to be written."""
        ...

    async def close(self) -> None:
        """Write everything that was appended, then close."""
        ...
