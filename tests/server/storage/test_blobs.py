"""Blobs keep their bytes. Rules B1 and B2."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from server.core.ids import RoomId
from server.storage.blobs import PIECE_BYTES, FolderBlobs

if TYPE_CHECKING:
    from pathlib import Path

ROOM = RoomId("r" * 22)
OTHER = RoomId("s" * 22)
pytestmark = pytest.mark.anyio


async def test_b1_a_blob_is_named_by_its_content_and_belongs_to_its_room(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    name = await blobs.put(ROOM, b"pixels")

    assert name == hashlib.sha256(b"pixels").hexdigest()
    assert await blobs.put(ROOM, b"pixels") == name
    assert await blobs.get(ROOM, name) == b"pixels"
    assert await blobs.get(OTHER, name) is None
    assert (tmp_path / ROOM / name[:2] / name).read_bytes() == b"pixels"


async def test_b1_a_blob_is_given_piece_by_piece_too(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    data = random.Random(1).randbytes(3 * PIECE_BYTES + 7)
    stored = await blobs.stream(ROOM, await blobs.put(ROOM, data))
    assert stored is not None
    pieces = [piece async for piece in stored.pieces]
    assert stored.num_bytes == len(data)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) < 2 * PIECE_BYTES
    assert await blobs.stream(OTHER, hashlib.sha256(data).hexdigest()) is None


async def test_b2_a_damaged_blob_counts_as_missing(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    name = await blobs.put(ROOM, b"pixels")
    (tmp_path / ROOM / name[:2] / name).write_bytes(b"pix")

    assert await blobs.get(ROOM, name) is None
    assert await blobs.stream(ROOM, name) is None
    await blobs.put(ROOM, b"pixels")
    assert await blobs.get(ROOM, name) == b"pixels"
