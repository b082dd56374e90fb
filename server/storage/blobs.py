"""Blobs in a folder: DATA/blobs/{room}/{aa}/{sha256}. Knows nothing of what the bytes are.

Rooms that are being made are noted in DATA/blobs/.unsettled: what is in no journal may also belong
to a journal that was put back from an older copy, and must not be deleted for that alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore

from server.core.errors import StoreError
from server.core.ids import RoomId

if TYPE_CHECKING:
    from pathlib import Path

    from obstore import GetResult


PIECE_BYTES = 256 * 1024
UNSETTLED = ".unsettled"
"""No room's id begins with a dot."""


class Stored(msgspec.Struct, frozen=True):
    """A blob that is there, and whole."""

    num_bytes: int
    pieces: AsyncIterator[bytes]


class FolderBlobs:
    """Immutable bytes by their SHA-256; implements `server.ports.BlobStore`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = LocalStore(folder, mkdir=True)

    async def put(self, room: RoomId, data: bytes) -> str:
        """Store durably and return the name; raises StoreError."""
        name = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        path = _path(room, name)
        try:
            await self._store.put_async(path, data)
            # The store renames into place without waiting for the disk.
            await asyncio.to_thread(_sync, self._folder, self._folder / path)
        except (BaseError, OSError) as error:
            raise StoreError(f"can't store a picture: {error}") from error
        return name

    async def get(self, room: RoomId, name: str) -> bytes | None:
        """The bytes; None if there are none, or they are damaged (so that they are put anew)."""
        try:
            result = await self._store.get_async(_path(room, name))
            data = bytes(await result.bytes_async())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise StoreError(f"can't read a picture: {error}") from error
        digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        return data if digest == name else None

    async def stream(self, room: RoomId, name: str) -> Stored | None:
        """As `get`, but held in memory a piece at a time, however slow whoever takes it is."""
        try:
            digest = hashlib.sha256()
            async for piece in _pieces(await self._store.get_async(_path(room, name))):
                await asyncio.to_thread(digest.update, piece)
            if digest.hexdigest() != name:
                return None
            result = await self._store.get_async(_path(room, name))
            return Stored(result.meta["size"], _pieces(result))
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise StoreError(f"can't read a picture: {error}") from error

    async def discard(self, room: RoomId) -> None:
        """Delete all of a room's; what can't be deleted stays, and nothing refers to it."""
        await asyncio.to_thread(shutil.rmtree, self._folder / room, ignore_errors=True)
        await self.settle(room)

    async def begin(self, room: RoomId) -> None:
        """Note that a room is being made whose pictures come before it is there.

        Raises StoreError. Until `settle` it is among `unsettled`, also after a crash.
        """
        try:
            await asyncio.to_thread(_touch, self._folder / UNSETTLED / room)
        except OSError as error:
            raise StoreError(f"can't store pictures: {error}") from error

    async def settle(self, room: RoomId) -> None:
        """The room is there, or its pictures aren't any more."""
        await asyncio.to_thread((self._folder / UNSETTLED / room).unlink, missing_ok=True)

    def unsettled(self) -> list[RoomId]:
        """Rooms that were being made when the server stopped."""
        folder = self._folder / UNSETTLED
        return [RoomId(file.name) for file in folder.iterdir()] if folder.is_dir() else []


async def _pieces(result: GetResult) -> AsyncIterator[bytes]:
    async for piece in result.stream(min_chunk_size=PIECE_BYTES):
        yield bytes(piece)


def _path(room: RoomId, name: str) -> str:
    return f"{room}/{name[:2]}/{name}"


def _touch(file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.touch()
    _sync(file.parent, file)


def _sync(top: Path, file: Path) -> None:
    """Wait until the file, and each folder on the way to it, is on the disk."""
    for path in (file, *file.parents):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if path == top:
            return
