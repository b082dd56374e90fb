"""A room as one file, and files that somebody made up. Rules T7, T9."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.copies import portable
from server.core.errors import Refusal
from server.core.limits import RoomLimits
from server.core.records import (
    Access,
    Candidate,
    Chat,
    Comment,
    Job,
    Lock,
    Member,
    Note,
    Record,
)
from server.storage.archive import ABOUT, BLOBS, RECORDS, Archive, ArchiveLimits, pack
from server.storage.blobs import PIECE_BYTES, Stored
from tests.support.canvas import frame, image, layer, mask, png, stroke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RED = png((4, 4), "#ff0000")
RED_NAME = hashlib.sha256(RED).hexdigest()
LIMITS = ArchiveLimits(
    room=RoomLimits(max_records=20, max_bytes=20_000), blob_bytes=4_000, blob_px=10_000
)


def candidate(id: str = "cand", **fields: Any) -> Candidate:
    look: dict[str, Any] = {"blob": RED_NAME, "seed": 1, "index": 0} | fields
    return Candidate(id=id, frame="frame", job="job", x=0.0, y=0.0, w=8.0, h=8.0, **look)


ROOM: list[Record] = [
    mask("mask", "frame", (0, 0), (9, 9)),
    Comment(id="answer", text="yes", thread="thread", name="Bo", at_ms=2),
    stroke("stroke", (0, 0), (50, 20), layer="layer"),
    image("image", 0, 0, 8, 8, blob=RED_NAME),
    Note(id="note", z="a0", x=1.0, y=2.0, text="日本 \u2028 😀"),
    Chat(id="line", text="hello\nyou", name="Ann", at_ms=1),
    Comment(id="thread", text="right?", x=3.0, y=4.0, name="Ann", at_ms=1),
    frame(),
    layer("layer"),
    candidate(),
]
STAYS: list[Record] = [
    Access(id=":access:room"),
    Member(id=":member:ann", person="ann", role="host"),
    Lock(id=":lock:frame", of="frame"),
    Job(id="job", frame="frame", state="running", count=1),
    candidate("live", live=True),
    candidate("turned-down", state="discarded"),
]


async def saved(records: list[Record], blobs: dict[str, bytes] | None = None) -> bytes:
    found = {RED_NAME: RED} if blobs is None else blobs

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), PIECE_BYTES):
            yield data[at : at + PIECE_BYTES]

    async def stream(name: str) -> Stored | None:
        data = found.get(name)
        return None if data is None else Stored(len(data), pieces(data))

    written = [piece async for piece in pack(records, stream, now_ms=5)]
    assert max(map(len, written)) < 2 * PIECE_BYTES
    return b"".join(written)


def opened(data: bytes, limits: ArchiveLimits = LIMITS) -> Archive:
    return Archive(io.BytesIO(data), limits)


def packed(files: dict[str, bytes | str], method: int = zipfile.ZIP_STORED) -> bytes:
    """A file with this in it, over what has to be there."""
    needed: dict[str, bytes | str] = {ABOUT: '{"format": 1, "saved_ms": 0}', RECORDS: b""}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in {**needed, **files}.items():
            archive.writestr(name, content)
    return out.getvalue()


def lines(*records: Record) -> bytes:
    return msgspec.json.Encoder().encode_lines(list(records))


@pytest.mark.anyio
async def test_t7_a_room_comes_out_of_its_file_as_it_was() -> None:
    archive = opened(await saved([*ROOM, *STAYS]))
    assert archive.records == portable(ROOM)
    assert {record.id for record in archive.records} == {record.id for record in ROOM}
    assert archive.blobs == [RED_NAME]
    assert archive.blob(RED_NAME) == RED


@pytest.mark.anyio
async def test_t18_how_a_picture_came_into_being_stays_with_its_room() -> None:
    kept = candidate("kept", strip=RED_NAME, num_previews=4)
    archive = opened(await saved([frame(), kept]))
    assert archive.records[1] == candidate("kept")


@pytest.mark.parametrize("strip", [RED_NAME, ""])
def test_t18_a_file_that_somebody_wrote_themselves_brings_no_strip_nor_previews(strip: str) -> None:
    made_up = candidate("kept", strip=strip, num_previews=4)
    archive = opened(packed({RECORDS: lines(frame(), made_up)}))
    assert archive.records[1] == candidate("kept")
    with pytest.raises(Refusal, match="no record shows"):
        opened(packed({RECORDS: lines(frame(), candidate(blob="0f" * 32, strip=RED_NAME)),
                       f"blobs/{RED_NAME}": RED}))  # fmt: skip


@pytest.mark.anyio
async def test_t7_of_a_picture_only_a_piece_is_in_memory_while_it_is_written() -> None:
    data = random.Random(1).randbytes(3 * PIECE_BYTES)
    name = hashlib.sha256(data).hexdigest()
    file = await saved([image("large", 0, 0, 8, 8, blob=name)], {name: data})
    assert zipfile.ZipFile(io.BytesIO(file)).read(f"{BLOBS}{name}") == data


@pytest.mark.anyio
async def test_t7_what_others_refer_to_comes_first() -> None:
    archive = opened(await saved(ROOM))
    at = {record.id: index for index, record in enumerate(archive.records)}
    assert at["layer"] < at["stroke"]
    assert at["frame"] < at["mask"]
    assert at["thread"] < at["answer"]


@pytest.mark.anyio
async def test_t7_a_picture_that_is_missing_is_left_out() -> None:
    archive = opened(await saved(ROOM, blobs={}))
    assert archive.blobs == []
    assert archive.records == portable(ROOM)


def test_t9_the_smallest_file_is_an_empty_room() -> None:
    assert opened(packed({})).records == []


NESTED = b"[" * 30_000
STROKE = msgspec.json.encode(ROOM[2])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad_archive"),
        (b"PK\x05\x06" + bytes(17), "bad_archive"),
        (packed({}) + b"!", "bad_archive"),
        (packed({ABOUT: b"{}"}), "bad_archive"),
        (packed({ABOUT: b'{"format": 2, "saved_ms": 0}'}), "bad_archive"),
        (packed({ABOUT: b" " * 5_000}), "bad_archive"),
        (packed({"../../etc/passwd": b"x"}), "bad_archive"),
        (packed({"blobs/" + "0" * 64: RED}), "bad_archive"),
        (packed({RECORDS: b"{}"}), "bad_archive"),
        (packed({RECORDS: b"\n"}), "bad_archive"),
        (packed({RECORDS: NESTED}), "bad_archive"),
        (packed({RECORDS: b"\xff\xfe"}), "bad_archive"),
        (packed({RECORDS: STROKE.replace(b'"stroke"', b'"strike"', 1)}), "bad_archive"),
        (packed({RECORDS: STROKE.replace(b'"size":20.0', b'"size":1e999')}), "bad_archive"),
        (packed({RECORDS: STROKE.replace(b'"size":20.0', b'"size":-1')}), "bad_archive"),
        (packed({RECORDS: STROKE.replace(b'"color":"#', b'"color":"\\ud800')}), "bad_archive"),
        (packed({RECORDS: lines(candidate(seed=2**53))}), "bad_archive"),
        (packed({RECORDS: lines(candidate(above="../"))}), "bad_archive"),
        *((packed({RECORDS: lines(record)}), "bad_archive") for record in STAYS),
        (packed({RECORDS: lines(*(layer(f"l{n}") for n in range(21)))}), "room_full"),
        (
            packed({RECORDS: lines(*(Note(id=f"n{n}", z="a0", x=0.0, y=0.0, text="x" * 1_000)
                                     for n in range(10)))}),
            "room_full",
        ),
        (packed({RECORDS: b" " * 300_000}), "room_full"),
        (packed({RECORDS: b" " * 300_000}, zipfile.ZIP_DEFLATED), "room_full"),
        (packed({RECORDS: lines(ROOM[3]), f"blobs/{RED_NAME}": png((4, 4))}), "bad_archive"),
        (packed({RECORDS: lines(ROOM[3]), f"blobs/{RED_NAME}": bytes(4_001)}), "bad_archive"),
        (packed({f"blobs/{n:064}": b"" for n in range(21)}), "bad_archive"),
        (packed({}, zipfile.ZIP_LZMA), "bad_archive"),
    ],
)  # fmt: skip
def test_t9_a_file_that_is_none_is_refused_with_a_reason(data: bytes, code: str) -> None:
    with pytest.raises(Refusal, match=f"^{code}: expected") as refused:
        opened(data)
    assert len(refused.value.reason) < 600


@pytest.mark.parametrize("data", [b"no picture", png((101, 100))])
def test_t9_what_is_no_picture_or_a_huge_one_is_refused(data: bytes) -> None:
    name = hashlib.sha256(data).hexdigest()
    shown = image("image", 0, 0, 8, 8, blob=name)
    with pytest.raises(Refusal, match=r"^bad_archive: "):
        opened(packed({RECORDS: lines(shown), f"blobs/{name}": data}))


def test_t9_a_file_that_is_there_twice_is_refused() -> None:
    out = io.BytesIO(packed({}))
    with zipfile.ZipFile(out, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(RECORDS, b"")
    with pytest.raises(Refusal, match=r"^bad_archive: "):
        opened(out.getvalue())


def test_t9_a_directory_that_is_too_large_is_refused_before_it_is_read() -> None:
    many = packed({f"blobs/{n}": b"" for n in range(70)})
    with pytest.raises(Refusal, match="too many files"):
        opened(many)
    wide = packed({})[:-2]
    with pytest.raises(Refusal, match=r"^bad_archive: "):
        opened(wide + b"\x10\x00")
    far = packed({})
    locator = b"PK\x06\x07" + bytes(16)
    with pytest.raises(Refusal, match="too many files"):
        opened(far[:-22] + locator + far[-22:])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_t9_damaged_files_are_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(packed({RECORDS: lines(*ROOM), f"blobs/{RED_NAME}": RED}))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refusal):
        archive = opened(bytes(whole))
        assert all(hashlib.sha256(archive.blob(n)).hexdigest() == n for n in archive.blobs)
