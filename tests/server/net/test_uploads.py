"""What is begun to be uploaded and never ended takes little from anybody. Rule L6."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from server.client import RoomClient
from server.net.uploads import Uploads
from tests.server.net.serving import serving, settings_for
from tests.server.net.test_http import path, picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Watched(Uploads):
    """Tells when an upload has begun."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self._changed = asyncio.Event()

    @contextmanager
    def one(self, person: str, address: str) -> Iterator[bool]:
        with super().one(person, address) as may_send:
            self._changed.set()
            yield may_send

    async def until_num(self, person: str, num: int) -> None:
        while self.num_of(person) < num:
            self._changed.clear()
            await self._changed.wait()


class Slow:
    """An upload that has begun, and goes on when it is told."""

    def __init__(self, http: httpx.AsyncClient, person: RoomClient, uploads: Watched) -> None:
        self._http, self._person, self._uploads = http, person, uploads
        self._may_end = asyncio.Event()
        self._answer: asyncio.Task[httpx.Response] | None = None

    async def begin(self, method: str, url: str, data: bytes) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield data[:10]
            await self._may_end.wait()
            yield data[10:]

        num = self._uploads.num_of(self._person.person)
        headers = {"authorization": f"Bearer {self._person.badge}"}
        sending = self._http.request(method, url, content=body(), headers=headers)
        self._answer = asyncio.create_task(sending)
        await self._uploads.until_num(self._person.person, num + 1)

    async def end(self) -> int:
        assert self._answer is not None
        self._may_end.set()
        return (await self._answer).status_code


async def put(http: httpx.AsyncClient, person: RoomClient, data: bytes) -> int:
    headers = {"authorization": f"Bearer {person.badge}"}
    answer = await http.put(path(person.room, data), content=data, headers=headers)
    return answer.status_code


async def test_l6_few_uploads_of_one_person_and_address_are_under_way_at_a_time(
    tmp_path: Path,
) -> None:
    data = picture()
    async with (
        serving(settings_for(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as http,
        RoomClient(served.url, served.new_room_id()) as ann,
        RoomClient(served.url, ann.room) as bo,
    ):
        uploads = Watched(most_person=2, most_address=3, stall_s=60.0)
        served.app.state.uploads = uploads
        first, second, third = (Slow(http, person, uploads) for person in (ann, ann, bo))
        await first.begin("PUT", path(ann.room, data), data)
        await second.begin("POST", f"/rooms/{ann.room}/imports", data)
        assert await put(http, ann, data) == 429
        assert await put(http, bo, data) == 201
        await third.begin("PUT", path(bo.room, data), data)
        assert await put(http, bo, data) == 429
        assert await first.end() == 201
        assert await second.end() == 400
        assert await put(http, ann, data) == 201
        assert await third.end() == 201
        assert uploads.num_of(ann.person) == uploads.num_of(bo.person) == 0


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_l6_an_upload_of_which_nothing_comes_any_more_is_given_up(
    tmp_path: Path, method: str
) -> None:
    data = picture()
    async with (
        serving(settings_for(tmp_path, upload_stall_s=0.05)) as served,
        RoomClient(served.url, served.new_room_id()) as ann,
    ):
        url = path(ann.room, data) if method == "PUT" else f"/rooms/{ann.room}/imports"
        reader, writer = await asyncio.open_connection(*served.address)
        head = (
            f"{method} {url} HTTP/1.1", "host: localhost", f"authorization: Bearer {ann.badge}",
            f"content-length: {len(data)}", "", "",
        )  # fmt: skip
        writer.write("\r\n".join(head).encode() + data[:10])
        assert b" 400 " in await reader.readline()
        writer.close()
        assert served.app.state.uploads.num_of(ann.person) == 0
