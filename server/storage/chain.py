"""Checksums that show what a disk has changed, lost or brought back. Pure.

The entries of a room are a chain: each has a *link*, a digest of its bytes and of the link before
it. So an entry stands for all before it, and one that was changed, left out or put back from an
earlier time doesn't fit. This is against faulty disks, not against people: who may write to the
data folder can compute links, too. BLAKE2b (RFC 7693) of 64 bits.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.core.ids import RoomId

LINK_BYTES = 8


def origin(room: RoomId) -> bytes:
    """What the first entry of a room is linked to."""
    return _digest(room.encode())


def link(before: bytes, entry: bytes) -> bytes:
    """The link of an entry, given that of the entry before it."""
    return _digest(before + entry)


def of_numbers(room: RoomId, *numbers: int) -> bytes:
    """The checksum of a row of numbers of a room."""
    return _digest(f"{room} {numbers}".encode())


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=LINK_BYTES).digest()


class SnapshotSum:
    """The checksum of a snapshot's parts, one after another."""

    def __init__(self, room: RoomId, seq: int) -> None:
        self._hash = hashlib.blake2b(f"{room} {seq}".encode(), digest_size=LINK_BYTES)
        self.num_parts = 0

    def add(self, part: bytes) -> None:
        self._hash.update(len(part).to_bytes(8) + part)
        self.num_parts += 1

    def finished(self, link: bytes) -> bytes:
        """With the link of the last entry that the snapshot includes."""
        whole = self._hash.copy()
        whole.update(link)
        return whole.digest()
