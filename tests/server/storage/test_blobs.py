"""Blobs keep their bytes. Rules B1 and B2."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from server.core.ids import RoomId
from server.storage.blobs import FolderBlobs

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


async def test_b2_a_damaged_blob_counts_as_missing(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    name = await blobs.put(ROOM, b"pixels")
    (tmp_path / ROOM / name[:2] / name).write_bytes(b"pix")

    assert await blobs.get(ROOM, name) is None
    await blobs.put(ROOM, b"pixels")
    assert await blobs.get(ROOM, name) == b"pixels"
