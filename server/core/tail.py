"""The last entries of a room, for those who resume: bounded in number and in bytes. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from server.core.schema import change_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.core.entries import Entry

MAX_TAIL_BYTES = 16 * 1024 * 1024


class Tail:
    """Entries without a gap, up to the newest."""

    def __init__(
        self, entries: Iterable[Entry], max_entries: int, max_bytes: int = MAX_TAIL_BYTES
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._num_bytes = 0
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._num_bytes += entry_bytes(entry)
        while len(self._entries) > self._max_entries or self._num_bytes > self._max_bytes:
            self._num_bytes -= entry_bytes(self._entries.popleft())

    def since(self, seq: int, newest: int) -> list[Entry] | None:
        """The entries after number `seq` up to `newest`; None if they aren't all here."""
        missed = [entry for entry in self._entries if entry.seq > seq]
        return missed if 0 <= newest - seq == len(missed) else None


def entry_bytes(entry: Entry) -> int:
    """About what the entry takes in memory and in the journal."""
    return sum(map(change_bytes, entry.changes))
