"""Pages and pictures over HTTP. Rules H1 to H4, B3 to B6."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from server.client import RoomClient
from server.core.ids import RoomId
from server.storage.blobs import PIECE_BYTES
from tests.server.net.serving import Served, serving, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx
    from starlette.types import Message

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    settings = settings_for(tmp_path, max_blob_bytes=100_000, max_blob_px=1_000_000)
    async with serving(settings) as served:
        yield served


@pytest.fixture
async def room(served: Served, http: httpx.AsyncClient) -> AsyncIterator[str]:
    """A room that somebody is in, and whose badge `http` shows."""
    room = served.new_room_id()
    async with RoomClient(served.url, room) as ann:
        http.headers["authorization"] = f"Bearer {ann.badge}"
        yield room


def picture(kind: str = "PNG", size: tuple[int, int] = (4, 3)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#3366cc").save(out, kind)
    return out.getvalue()


def path(room: str, data: bytes) -> str:
    return f"/rooms/{room}/blobs/{hashlib.sha256(data).hexdigest()}"


async def test_h1_the_first_page_leads_to_a_new_room(http: httpx.AsyncClient) -> None:
    first, second = await http.get("/"), await http.get("/")
    assert first.status_code == 303
    assert first.headers["location"] != second.headers["location"]
    page = await http.get(first.headers["location"])
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-cache"


async def test_h2_assets_are_cached_for_ever_and_nothing_else_is_served(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("no")
    asset = await http.get("/assets/app-1a2b.js")
    assert asset.status_code == 200
    assert "immutable" in asset.headers["cache-control"]
    long = "/" + "a" * 300
    for missing in ("/r/short", "/nothing", "/assets/../../secret", "/..%2fsecret", "/.env", long):
        assert (await http.get(missing)).status_code == 404, missing


async def test_h3_without_a_built_client_the_page_says_how_to_build_it(
    served: Served, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "web" / "index.html").unlink()
    page = await http.get(f"/r/{served.new_room_id()}")
    assert page.status_code == 503
    assert "scripts/run" in page.text


async def test_h4_health_is_told(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).text == "ok\n"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_b3_a_picture_comes_back_as_it_was(
    served: Served, http: httpx.AsyncClient, room: str, kind: str
) -> None:
    data = picture(kind)
    stored = await http.put(path(room, data), content=data)
    assert stored.status_code == 201
    name = hashlib.sha256(data).hexdigest()
    assert stored.json() == {"blob": name, "width": 4, "height": 3}

    got = await http.get(path(room, data))
    assert got.content == data
    assert got.headers["content-type"] == f"image/{kind.lower()}"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in got.headers["cache-control"]
    assert (await http.get(path(served.new_room_id(), data))).status_code == 404


async def test_b3_a_picture_goes_out_piece_by_piece(served: Served) -> None:
    data = picture() + random.Random(1).randbytes(3 * PIECE_BYTES)
    room = RoomId(served.new_room_id())
    await served.app.state.blobs.put(room, data)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing more comes")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path(room, data), "query_string": b"",
        "headers": [], "app": served.app,
    }  # fmt: skip
    await served.app(scope, receive, send)
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert b"".join(bodies) == data
    assert max(map(len, bodies)) < 2 * PIECE_BYTES
    assert (b"content-length", str(len(data)).encode()) in sent[0]["headers"]


async def test_b4_what_is_no_picture_is_refused(http: httpx.AsyncClient, room: str) -> None:
    gif = picture("GIF")
    for data in (b"<svg/>", b"", gif, b"\x89PNG\r\n\x1a\nrubbish", b"RIFF\x00\x00\x00\x00WEBP"):
        answer = await http.put(path(room, data), content=data)
        assert (answer.status_code, answer.json()["error"]) == (415, "unsupported"), data
        assert answer.json()["reason"]


async def test_b5_a_bad_name_hash_or_room_is_refused(
    served: Served, http: httpx.AsyncClient, room: str
) -> None:
    data = picture()
    wrong = await http.put(f"/rooms/{room}/blobs/{'0' * 64}", content=data)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "bad_hash")
    bad = await http.put(f"/rooms/{room}/blobs/nonsense", content=data)
    assert (bad.status_code, bad.json()["error"]) == (400, "bad_name")
    for other in (served.new_room_id(), "short"):
        nowhere = await http.put(path(other, data), content=data)
        assert (nowhere.status_code, nowhere.json()["error"]) == (404, "no_room")
    assert (await http.get(f"/rooms/{room}/blobs/nonsense")).status_code == 404


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def huge_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize("size", [(1_001, 1_000), (20_000, 10), (60_000, 60_000)])
async def test_b6_pixels_are_counted_before_anything_is_decoded(
    http: httpx.AsyncClient, room: str, size: tuple[int, int]
) -> None:
    data = huge_png(*size)
    answer = await http.put(path(room, data), content=data)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_many_pixels")


async def test_b6_a_file_that_is_too_large_isnt_read_to_its_end(
    http: httpx.AsyncClient, room: str
) -> None:
    data = bytes(100_001)

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)

    for content in (data, streamed()):
        answer = await http.put(path(room, data), content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
