"""A file beside the journal that says how many entries were committed to it, and where it lies.

A journal whose last commits are gone (its write-ahead log was lost, an older copy was put back)
is as whole as one in which they never were; the number tells the two apart. It is written after
each commit without waiting for the disk, so it may be behind the journal and never before it.

An older copy of the whole folder brings its mark along. So the mark says its own inode, and when
a second file, the *place*, was changed last, which is empty and touched at each start. Whoever
copies files can give them the old names, contents and other times, but not these two.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from server.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

NUMBER_BYTES = 8
PLACE_BYTES = 16
SUM_BYTES = 8


class Mark:
    """An open file. For one thread at a time."""

    def __init__(self, journal: Path) -> None:
        """Open the files beside this one, making what isn't there; raises StoreError."""
        path = journal.with_name(f"{journal.name}-mark")
        self._place_file = journal.with_name(f"{journal.name}-place")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._place = self._find_place()
        except OSError as error:
            raise StoreError(f"can't open {path} ({error.strerror}): make it writable") from error

    def read(self) -> tuple[int, bool]:
        """At least so many entries were committed, and whether that was written at this place.

        0 and False where the file doesn't say.
        """
        data = os.pread(self._file, NUMBER_BYTES + PLACE_BYTES + SUM_BYTES, 0)
        said = data[: NUMBER_BYTES + PLACE_BYTES]
        if data != said + _sum(said):
            return 0, False
        return int.from_bytes(said[:NUMBER_BYTES]), said[NUMBER_BYTES:] == self._place

    def renew(self, num_entries: int) -> None:
        """Touch the place, so that from here on older copies of it differ; raises OSError."""
        place = os.open(self._place_file, os.O_WRONLY)
        try:
            os.utime(place)
            # If the power went out, one without the other would look like a copy's.
            os.fsync(place)
        finally:
            os.close(place)
        self._place = self._find_place()
        self.write(num_entries)
        os.fsync(self._file)

    def write(self, num_entries: int) -> None:
        """Raises OSError; the journal is none the worse for it."""
        said = num_entries.to_bytes(NUMBER_BYTES) + self._place
        os.pwrite(self._file, said + _sum(said), 0)

    def close(self) -> None:
        os.close(self._file)

    def _find_place(self) -> bytes:
        # Not `touch`, which would change it.
        os.close(os.open(self._place_file, os.O_WRONLY | os.O_CREAT, 0o600))
        inode, changed_ns = os.fstat(self._file).st_ino, self._place_file.stat().st_ctime_ns
        return inode.to_bytes(8) + changed_ns.to_bytes(8)


def _sum(said: bytes) -> bytes:
    return hashlib.blake2b(said, digest_size=SUM_BYTES).digest()
