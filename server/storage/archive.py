"""A room as one file: a ZIP of `room.json`, `records.jsonl` and `blobs/{sha256}`.

A record is a line of JSON with the wire's names, and bytes in it are base64.

`pack` writes it bit by bit. `Archive` reads one that anybody may have made up: it is looked
through as a whole, within the given limits, before anything of it is used.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import msgspec

from server.core.copies import blobs_of, check_fit, is_portable, portable
from server.core.errors import Refusal
from server.core.limits import RoomLimits
from server.core.records import Record
from server.core.snapshots import in_portions
from server.net.pictures import TooManyPixels, UnsupportedPicture, read_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from server.storage.blobs import Stored

FORMAT = 1
ABOUT, RECORDS, BLOBS = "room.json", "records.jsonl", "blobs/"
MAX_LINE_BYTES = 256 * 1024
"""The longest record is a stroke of 20,000 points: 135 KiB in base64."""
MAX_ABOUT_BYTES = 4 * 1024
ENTRY_BYTES = 128
"""Of the directory at the end of the file, for each file in it; ours take 116."""
_END = struct.Struct("<4s4H2LH")
"""The last record of a ZIP without a comment (APPNOTE 4.3.16)."""
_LOCATOR_BYTES = 20

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class About(msgspec.Struct, frozen=True):
    format: int
    saved_ms: int
    """Milliseconds since 1970."""


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    room: RoomLimits
    blob_bytes: int
    blob_px: int

    @property
    def max_files(self) -> int:
        return self.room.max_records + 2

    @property
    def records_bytes(self) -> int:
        """Of `records.jsonl`: base64 takes a third more, names and numbers some hundred bytes."""
        return 2 * self.room.max_bytes + 1_024 * self.room.max_records


# --- writing ----------------------------------------------------------------------------------


async def pack(
    records: Iterable[Record], stream_blob: Callable[[str], Awaitable[Stored | None]], now_ms: int
) -> AsyncIterator[bytes]:
    """The file in pieces, holding one of a picture's. A picture that is missing is left out."""
    sink = _Sink()
    kept = portable(records)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ABOUT, _encoder.encode(About(FORMAT, now_ms)))
        with archive.open(RECORDS, "w") as lines:
            for portion in in_portions(kept):
                await asyncio.to_thread(lines.write, _encoder.encode_lines(portion))
                yield sink.take()
        for name in blobs_of(kept):
            if (stored := await stream_blob(name)) is None:
                continue
            # Pictures are compressed already: they are stored as they are.
            with archive.open(zipfile.ZipInfo(BLOBS + name), "w") as picture:
                async for piece in stored.pieces:
                    picture.write(piece)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """What was written since it was last taken; can't be sought, as a socket can't."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


# --- reading ----------------------------------------------------------------------------------


class Archive:
    """A file that has been looked through: all that is in it is what it should be."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits) -> None:
        """Raises Refusal (`bad_archive`, `room_full`). Blocks; call it in a thread."""
        self._limits = limits
        with _as_refusal():
            _check_end(file, limits.max_files)
            self._zip = zipfile.ZipFile(file)
            self._files = self._listed()
            self._check_about()
            self.records = self._read_records()
            self.blobs = self._check_blobs()

    def blob(self, name: str) -> bytes:
        """The picture of this name, one of `blobs`."""
        return self._zip.read(BLOBS + name)

    def _listed(self) -> dict[str, zipfile.ZipInfo]:
        listed = self._zip.infolist()
        files = {info.filename: info for info in listed}
        if len(files) != len(listed) or len(listed) > self._limits.max_files:
            raise _bad("its files aren't each there once, or are too many")
        for info in listed:
            # An encrypted file can't be read, and bzip2 and LZMA unpack to far more than we do.
            is_plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if info.flag_bits & 1 or not is_plain:
                raise _bad(f"{info.filename[:80]} is packed in a way that we don't read")
        if missing := {ABOUT, RECORDS} - files.keys():
            raise _bad(f"there is no {', '.join(sorted(missing))} in it")
        return files

    def _check_about(self) -> None:
        with self._zip.open(ABOUT) as file:
            about = msgspec.json.decode(file.read(MAX_ABOUT_BYTES), type=About)
        if about.format != FORMAT:
            raise _bad(f"expected format {FORMAT}, got {about.format}: open it with a newer server")

    def _read_records(self) -> list[Record]:
        if self._files[RECORDS].file_size > self._limits.records_bytes:
            raise Refusal("room_full", f"expected at most {self._limits.room.max_bytes} bytes")
        records: list[Record] = []
        left = self._limits.room.max_records
        with self._zip.open(RECORDS) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if len(line) > MAX_LINE_BYTES or len(records) >= left:
                    raise Refusal("room_full", f"expected at most {left} records, none too long")
                records.append(_decoder.decode(line))
        for record in records:
            if not is_portable(record):
                raise _bad(f"the record {record.id} is one that only a server makes")
        check_fit(records, self._limits.room)
        return portable(records)

    def _check_blobs(self) -> list[str]:
        wanted = {BLOBS + name for name in blobs_of(self.records)}
        names = self._files.keys() - {ABOUT, RECORDS}
        if strange := names - wanted:
            raise _bad(f"no record shows {min(strange)[:80]}")
        for name in names:
            self._check_blob(name)
        return [name.removeprefix(BLOBS) for name in names]

    def _check_blob(self, path: str) -> None:
        name = path.removeprefix(BLOBS)
        if self._files[path].file_size > self._limits.blob_bytes:
            raise _bad(f"expected a picture of at most {self._limits.blob_bytes} bytes in {path}")
        data = self.blob(name)
        if hashlib.sha256(data).hexdigest() != name:
            raise _bad(f"{path} isn't the picture that its name says")
        try:
            read_header(data, self._limits.blob_px)
        except (UnsupportedPicture, TooManyPixels) as error:
            raise _bad(f"{path}: {error}") from None


def _check_end(file: IO[bytes], max_files: int) -> None:
    """Refuse a directory that is larger than ours can be, before it is read into memory."""
    size = file.seek(0, io.SEEK_END)
    if size < _END.size:
        raise _bad("it is no ZIP file")
    file.seek(max(0, size - _END.size - _LOCATOR_BYTES))
    tail = file.read()
    signature, *_, directory_bytes, _, comment_bytes = _END.unpack(tail[-_END.size :])
    if signature != b"PK\x05\x06" or comment_bytes != 0:
        raise _bad("it is no ZIP file, or one with a comment at its end")
    # Numbers of more than 32 bits would stand elsewhere.
    if tail.startswith(b"PK\x06\x07") or directory_bytes > ENTRY_BYTES * max_files:
        raise _bad("there are too many files in it")


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except msgspec.DecodeError as error:
        raise _bad(f"a record can't be read: {error}") from None
    except RecursionError:
        raise _bad("a record can't be read: it is nested too deeply") from None
    except (
        zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError,
        ValueError, OSError,
    ) as error:  # fmt: skip
        raise _bad(f"it is damaged: {error}") from None


def _bad(what: str) -> Refusal:
    return Refusal("bad_archive", f"expected a file that a room was saved in; {what}")
