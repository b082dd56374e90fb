"""Going back over a room, and branching off from it, over HTTP. Rules T10 to T12, T18."""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
from PIL import Image as Pixels

from server.client import RoomClient
from server.core.deeds import Clear, SetAccess
from server.core.messages import Applied, Moment, Snapshot
from server.core.records import Chat, Delete, Edit, Image, Put, Version
from server.core.replica import Replica
from server.net.histories import LENGTH_BYTES
from server.storage.journal import SqliteJournal
from tests.server.net.serving import Served, serving, settings_for
from tests.server.net.test_archives import without_author
from tests.server.net.test_http import path, picture
from tests.server.storage.test_journal import until_snapshot
from tests.support.canvas import frame, stroke

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio
PICTURE = picture()
IMAGE = Image(
    id="image", z="a1", blob=hashlib.sha256(PICTURE).hexdigest(), x=0.0, y=0.0, w=4.0, h=3.0
)
decoder = msgspec.msgpack.Decoder(Snapshot | Moment)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(settings_for(tmp_path)) as served:
        yield served


@pytest.fixture
async def ann(served: Served, http: httpx.AsyncClient) -> AsyncIterator[RoomClient]:
    """The host of a room, whose badge `http` shows."""
    async with RoomClient(served.url, served.new_room_id(), name="Ann") as ann:
        http.headers["authorization"] = f"Bearer {ann.badge}"
        yield ann


async def history_of(http: httpx.AsyncClient, room: str) -> list[Snapshot | Moment]:
    answer = await http.get(f"/rooms/{room}/history")
    assert answer.status_code == 200
    data, messages = answer.content, []
    while data:
        length = int.from_bytes(data[:LENGTH_BYTES], "big")
        messages.append(decoder.decode(data[LENGTH_BYTES : LENGTH_BYTES + length]))
        data = data[LENGTH_BYTES + length :]
    return messages


def branch(room: str) -> str:
    return f"/rooms/{room}/branches"


async def test_t10_every_moment_since_the_beginning_can_be_gone_back_to(
    http: httpx.AsyncClient, ann: RoomClient
) -> None:
    seen = [dict(ann.records)]
    for changes in (
        [Put(stroke("one", (0, 0), (9, 9))), Put(frame(prompt="a cat"))],
        [Edit("frame", "prompt", 2, [2, "red "])],
        [Delete("one")],
    ):
        await ann.submit(*changes)
        seen.append(dict(ann.records))
    await ann.undo()
    seen.append(dict(ann.records))
    await ann.decide(Clear())
    seen.append(dict(ann.records))

    first, *moments = await history_of(http, ann.room)
    assert first == Moment(seq=0, by="", at_ms=0, changes=[])
    replica = Replica()
    gone_over = []
    for moment in moments:
        assert isinstance(moment, Moment)
        assert moment.by == ann.person
        assert moment.at_ms > 0
        replica.apply(Applied(seq=moment.seq, id="", by=moment.by, changes=moment.changes))
        gone_over.append(dict(replica.records))
    assert gone_over == seen
    assert replica.seq == ann.seq


async def test_t10_what_is_too_far_back_is_forgotten_and_the_rest_begins_from_records(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path, keep_history=20, keep_entries=5, snapshot_every=10)
    async with (
        serving(settings) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        RoomClient(served.url, served.new_room_id()) as ann,
    ):
        http.headers["authorization"] = f"Bearer {ann.badge}"
        for number in range(60):
            await ann.submit(Put(stroke(f"s{number}", (0, 0), (9, 9))))
        journal = served.hub._journal
        assert isinstance(journal, SqliteJournal)
        await until_snapshot(journal, 60)
        messages = await history_of(http, ann.room)
        replica = Replica()
        for message in messages:
            if isinstance(message, Snapshot):
                replica.fill(message)
            elif not message.changes:
                replica.seq = message.seq
            else:
                replica.apply(Applied(seq=message.seq, id="", by="", changes=message.changes))
        assert replica.records == ann.records
        num_moments = sum(isinstance(message, Moment) for message in messages)
        assert 10 <= num_moments <= 45
        answer = await http.post(branch(ann.room), json={"seq": 1})
        assert (answer.status_code, answer.json()["error"]) == (404, "no_moment")


async def test_t11_a_version_is_stamped_with_its_moment_and_stays_when_the_room_is_cleared(
    ann: RoomClient,
) -> None:
    await ann.submit(Put(stroke("one", (0, 0), (9, 9))))
    seq = await ann.submit(Put(Version(id="first", name="First draft", seq=1, at_ms=1)))
    version = ann.records["first"]
    assert isinstance(version, Version)
    assert version.seq == seq
    assert version.at_ms > 1
    assert ann.history.undo == 1
    await ann.decide(Clear())
    assert set(ann.canvas) == {"first"}


async def test_t12_a_branch_begins_as_the_room_was_and_has_its_own_host(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    await http.put(path(ann.room, PICTURE), content=PICTURE)
    await ann.submit(Put(stroke("one", (0, 0), (9, 9))), Put(IMAGE), Put(Chat(id="c", text="hi")))
    seq = await ann.submit(Put(Version(id="first", name="First draft")))
    then = {id: r for id, r in ann.canvas.items() if not isinstance(r, Version)}
    await ann.submit(Delete("one"), Delete("image"), Put(stroke("two", (0, 0), (9, 9))))

    answer = await http.post(branch(ann.room), json={"seq": seq})
    assert answer.status_code == 201
    room = answer.json()["room"]
    async with RoomClient(served.url, room) as bo:
        assert bo.people[bo.welcome.session].role == "host"  # type: ignore[union-attr]
        assert without_author(bo.canvas) == without_author(then)
        assert (await http.get(path(room, PICTURE))).content == PICTURE
    assert "two" in ann.records


async def test_t12_only_who_may_change_the_room_goes_back_or_branches_off(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    await ann.decide(SetAccess(open=True, role="viewer", talk=True))
    async with RoomClient(served.url, ann.room) as viewer:
        badge = {"authorization": f"Bearer {viewer.badge}"}
        for answer in (
            await http.get(f"/rooms/{ann.room}/history", headers=badge),
            await http.post(branch(ann.room), json={"seq": 1}, headers=badge),
        ):
            assert (answer.status_code, answer.json()["error"]) == (403, "viewer")
    for answer in (
        await http.get(f"/rooms/{ann.room}/history", headers=badge),
        await http.post(branch(ann.room), json={"seq": 1}, headers=badge),
    ):
        assert (answer.status_code, answer.json()["error"]) == (404, "no_room")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{}", 400, "bad_request"),
        (b'{"seq": -1}', 400, "bad_request"),
        (b'{"seq": 1, "more": 2}', 400, "bad_request"),
        (b'{"seq": ' + b" " * 2_000 + b"1}", 400, "bad_request"),
        (b'{"seq": 9000}', 404, "no_moment"),
    ],
)
async def test_t12_a_moment_that_is_none_is_refused(
    http: httpx.AsyncClient, ann: RoomClient, body: bytes, status: int, code: str
) -> None:
    answer = await http.post(branch(ann.room), content=body)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


async def test_t12_not_too_many_rooms_are_made_at_once(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    founding = served.app.state.founding
    async with founding, founding:
        answer = await http.post(branch(ann.room), json={"seq": 1})
    assert (answer.status_code, answer.json()["error"]) == (429, "rate")
    assert (await http.post(branch(ann.room), json={"seq": 1})).status_code == 201


def film(room: str, kind: str = "webp") -> str:
    return f"/rooms/{room}/timelapse?as={kind}"


async def test_t18_who_may_change_a_room_gets_a_film_of_it(
    served: Served, http: httpx.AsyncClient, ann: RoomClient
) -> None:
    answer = await http.get(film(ann.room))
    assert (answer.status_code, answer.json()["error"]) == (404, "no_moment")
    await http.put(path(ann.room, PICTURE), content=PICTURE)
    await ann.submit(Put(stroke("one", (0, 0), (9, 9))))
    await ann.submit(Put(IMAGE))
    answer = await http.get(film(ann.room))
    assert answer.headers["content-type"] == "image/webp"
    with Pixels.open(BytesIO(answer.content)) as webp:
        assert getattr(webp, "n_frames", 1) == 2
    answer = await http.get(film(ann.room, "frames"))
    with zipfile.ZipFile(BytesIO(answer.content)) as folder:
        assert len(folder.namelist()) == 2
        with Pixels.open(BytesIO(folder.read("frame-0002.png"))) as last:
            assert (0x33, 0x66, 0xCC) in {c for _, c in last.getcolors(1 << 20) or []}

    answer = await http.get(film(ann.room, "gif"))
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    founding = served.app.state.founding
    async with founding, founding:
        answer = await http.get(film(ann.room))
    assert (answer.status_code, answer.json()["error"]) == (429, "rate")
    await ann.decide(SetAccess(open=True, role="viewer"))
    async with RoomClient(served.url, ann.room) as viewer:
        badge = {"authorization": f"Bearer {viewer.badge}"}
        answer = await http.get(film(ann.room), headers=badge)
    assert (answer.status_code, answer.json()["error"]) == (403, "viewer")
