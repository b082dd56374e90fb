"""A file beside the journal that says how many entries were committed to it.

A journal whose last commits are gone (its write-ahead log was lost, an older copy was put back)
is as whole as one in which they never were; this tells the two apart. It is written after each
commit without waiting for the disk, so it may be behind the journal and never before it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from server.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

NUMBER_BYTES = 8
SUM_BYTES = 8


class Mark:
    """An open file. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, making it if there is none; raises StoreError."""
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(f"can't open {path} ({error.strerror}): make it writable") from error

    def read(self) -> int:
        """At least so many entries were committed; 0 where the file doesn't say."""
        data = os.pread(self._file, NUMBER_BYTES + SUM_BYTES, 0)
        number = data[:NUMBER_BYTES]
        return int.from_bytes(number) if data == number + _sum(number) else 0

    def write(self, num_entries: int) -> None:
        """Raises OSError; the journal is none the worse for it."""
        number = num_entries.to_bytes(NUMBER_BYTES)
        os.pwrite(self._file, number + _sum(number), 0)

    def close(self) -> None:
        os.close(self._file)


def _sum(number: bytes) -> bytes:
    return hashlib.blake2b(number, digest_size=SUM_BYTES).digest()
