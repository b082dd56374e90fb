"""Rooms as files over HTTP, and new rooms from them. Rules T7 to T9."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from server.client import RoomClient
from server.core.deeds import SetAccess, SetLock
from server.core.errors import StoreError
from server.core.ids import PersonId, RoomId
from server.core.limits import FlowLimits, Rate, Rates, RoomLimits
from server.core.records import Chat, Comment, Image, Member, Note, Put, Record
from server.storage.archive import RECORDS
from server.storage.blobs import UNSETTLED
from server.storage.journal import SqliteLog
from tests.server.net.serving import Served, serving, settings_for
from tests.server.net.test_http import path, picture
from tests.server.storage.test_archive import lines
from tests.server.storage.test_archive import packed as zipped
from tests.support.canvas import frame, layer, mask, stroke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from server.storage.blobs import FolderBlobs

pytestmark = pytest.mark.anyio
PICTURE = picture()
IMAGE = Image(
    id="image", z="a1", blob=hashlib.sha256(PICTURE).hexdigest(), x=0.0, y=0.0, w=4.0, h=3.0
)
MANY = Rate(1_000, 1_000)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    settings = settings_for(tmp_path, max_import_bytes=100_000)
    async with serving(settings, room_limits=RoomLimits(max_records=50)) as served:
        yield served


@pytest.fixture
async def ann(served: Served, http: httpx.AsyncClient) -> AsyncIterator[RoomClient]:
    """The host of a room with all sorts of things in it, whose badge `http` shows."""
    async with RoomClient(served.url, served.new_room_id(), name="Ann") as ann:
        http.headers["authorization"] = f"Bearer {ann.badge}"
        await http.put(path(ann.room, PICTURE), content=PICTURE)
        await ann.submit(Put(layer("layer")), Put(frame()), Put(IMAGE))
        await ann.submit(Put(stroke("stroke", (0, 0), (9, 9), layer="layer")))
        await ann.submit(Put(mask("mask", "frame", (0, 0), (9, 9))))
        await ann.submit(Put(Note(id="note", z="a0", x=1.0, y=2.0, text="warm")))
        await ann.submit(Put(Comment(id="thread", text="here", x=3.0, y=4.0)))
        await ann.submit(
            Put(Comment(id="answer", text="yes", thread="thread")), Put(Chat(id="line", text="hi"))
        )
        await ann.decide(SetLock(record="frame", locked=True))
        await ann.decide(SetAccess(open=True, role="viewer"))
        yield ann


def archive(room: str) -> str:
    return f"/rooms/{room}/archive"


def imports(room: str) -> str:
    return f"/rooms/{room}/imports"


def without_author(records: Mapping[str, Record]) -> dict[str, object]:
    """Who made something is told by ids that mean something in one room only."""
    return {id: msgspec.structs.replace(record, by="") for id, record in records.items()}


def left_behind(served: Served) -> set[str]:
    folder = served.app.state.settings.data_dir / "blobs"
    rooms = {file.name for file in folder.iterdir()} - {UNSETTLED}
    return rooms | set(served.app.state.blobs.unsettled())


async def test_t7_a_viewer_too_saves_what_they_see_but_nobody_from_outside(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    async with RoomClient(served.url, ann.room) as viewer:
        badge = {"authorization": f"Bearer {viewer.badge}"}
        answer = await http.get(archive(ann.room), headers=badge)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert set(file.namelist()) == {"room.json", "records.jsonl", f"blobs/{IMAGE.blob}"}
        assert file.read(f"blobs/{IMAGE.blob}") == PICTURE
        text = file.read("room.json") + file.read("records.jsonl")
    assert ann.room.encode() not in text
    assert b'"member"' not in text
    for headers in (badge, {"authorization": "Bearer x"}, {"authorization": "Basic x"}):
        answer = await http.get(archive(ann.room), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (404, "no_room")


async def test_t7_nothing_is_saved_before_it_is_durable(
    served: Served, ann: RoomClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hosted,) = served.hub.rooms
    await hosted.saved()
    monkeypatch.setattr(SqliteLog, "append", lambda log, entry: None)
    hosted.append([Put(layer("unsaved"))], PersonId(ann.person))
    saving = hosted.saved()
    assert not saving.done()
    hosted.on_failed()
    with pytest.raises(StoreError):
        await saving
    with pytest.raises(StoreError):
        await hosted.saved()


async def test_t8_a_file_makes_a_new_room_and_who_comes_first_is_its_host(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    data = (await http.get(archive(ann.room))).content
    answer = await http.post(imports(ann.room), content=data)
    assert answer.status_code == 201
    room = answer.json()["room"]
    assert room != ann.room
    async with RoomClient(served.url, room, name="Cat") as cat:
        assert cat.people[cat.welcome.session].role == "host"  # type: ignore[union-attr]
        assert without_author(cat.canvas) == without_author(ann.canvas)
        assert [r.person for r in cat.records.values() if isinstance(r, Member)] == [cat.person]
        assert (await http.get(path(room, PICTURE))).content == PICTURE
        await cat.submit(Put(stroke("new", (0, 0), (9, 9))))
        again = await http.get(archive(room), headers={"authorization": f"Bearer {cat.badge}"})
    assert again.status_code == 200


async def test_t8_a_room_from_a_file_outlives_a_restart(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with (
        serving(settings) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        RoomClient(served.url, served.new_room_id()) as ann,
    ):
        http.headers["authorization"] = f"Bearer {ann.badge}"
        await ann.submit(Put(stroke("stroke", (0, 0), (9, 9))))
        data = (await http.get(archive(ann.room))).content
        room = (await http.post(imports(ann.room), content=data)).json()["room"]
    async with serving(settings) as served, RoomClient(served.url, room) as ann:
        assert set(ann.canvas) == {"stroke"}


async def test_t9_of_a_bad_file_nothing_is_left(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    good = (await http.get(archive(ann.room))).content
    here = left_behind(served)
    for body, status, code in (
        (b"", 400, "bad_archive"),
        (good[:-30], 400, "bad_archive"),
        (good.replace(PICTURE, bytes(len(PICTURE))), 400, "bad_archive"),
        (bytes(100_001), 413, "too_large"),
        (crowded(), 413, "room_full"),
        (lost_mask(), 400, "missing_frame"),
    ):
        answer = await http.post(imports(ann.room), content=body)
        assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert left_behind(served) == here
    assert [hosted.id for hosted in served.hub.rooms] == [ann.room]


async def test_t9_where_the_disk_fails_nothing_is_left(
    served: Served, http: httpx.AsyncClient, ann: RoomClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (await http.get(archive(ann.room))).content
    here = left_behind(served)

    async def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(served.hub._journal, "open", fails)
    answer = await http.post(imports(ann.room), content=data)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_stored")
    assert left_behind(served) == here


async def test_t9_of_a_room_that_a_crash_kept_from_being_made_nothing_is_left(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path)
    async with serving(settings) as served:
        blobs: FolderBlobs = served.app.state.blobs
        made, lost, elsewhere = (RoomId(served.new_room_id()) for _ in range(3))
        async with RoomClient(served.url, made) as ann:
            await ann.submit(Put(layer("layer")))
        for room in (made, lost):
            await blobs.begin(room)
        for room in (made, lost, elsewhere):
            await blobs.put(room, PICTURE)
        assert {*blobs.unsettled()} == {made, lost}

    async with serving(settings) as served:
        blobs = served.app.state.blobs
        left = [await blobs.get(room, IMAGE.blob) for room in (made, lost, elsewhere)]
        # What belongs to no room may belong to a copy of the journal that is put back later.
        assert left == [PICTURE, None, PICTURE]
        assert blobs.unsettled() == []
        assert not (settings.data_dir / "blobs" / lost).exists()


async def test_t9_files_are_opened_by_who_is_in_a_room_and_not_too_many_at_once(
    tmp_path: Path,
) -> None:
    few = Rates(Rate(0.001, 2), MANY, MANY, MANY)
    async with (
        serving(settings_for(tmp_path), flow_limits=FlowLimits(blobs=few)) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        RoomClient(served.url, served.new_room_id()) as ann,
    ):
        answer = await http.post(imports(ann.room), content=b"")
        assert answer.status_code == 404
        http.headers["authorization"] = f"Bearer {ann.badge}"
        data = (await http.get(archive(ann.room))).content
        async with served.app.state.founding, served.app.state.founding:
            answer = await http.post(imports(ann.room), content=data)
        assert (answer.status_code, answer.json()["error"]) == (429, "rate")
        for answer in (
            await http.get(archive(ann.room)), await http.post(imports(ann.room), content=data)
        ):  # fmt: skip
            assert (answer.status_code, answer.json()["error"]) == (429, "rate")


def crowded() -> bytes:
    return packed(*(layer(f"layer-{n}") for n in range(51)))


def lost_mask() -> bytes:
    return packed(mask("mask", "gone", (0, 0), (9, 9)))


def packed(*records: Record) -> bytes:
    return zipped({RECORDS: lines(*records)})
