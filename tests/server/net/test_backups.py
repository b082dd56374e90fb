"""A backup is put back while people still have what came after it on their screens. Rules J11, S5.

Somebody stands at op N+5 when the server is back at N. Others go on, past N+5: were the late-comer
given what has come since then, they would have another room than all others, for good.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from server.client import RoomClient, new_room
from server.core.errors import Refusal
from server.core.records import Layer, Note, Put
from tests.server.net.serving import serving, settings_for
from tests.support import backups

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


def layer(id: str) -> Put:
    return Put(Layer(id=id, z="a1"))


@pytest.mark.parametrize("num_meanwhile", [0, 2, 5, 8])
@pytest.mark.parametrize("put_back", backups.WAYS)
async def test_j11_whoever_stood_past_a_backup_gets_the_room_as_it_is(
    tmp_path: Path, put_back: Callable[[Path, Path], None], num_meanwhile: int
) -> None:
    settings = settings_for(tmp_path)
    async with serving(settings) as served:
        room = await new_room(served.url)
        ann = RoomClient(served.url, room)
        await ann.connect()
        await ann.submit(layer("before"))
        await ann.close()
    shutil.copytree(settings.data_dir, tmp_path / "backup")
    async with serving(settings) as served:
        ann.server = served.url
        await ann.connect()
        for number in range(5):
            await ann.submit(layer(f"lost-{number}"))
        await ann.close()
    put_back(tmp_path / "backup", settings.data_dir)

    async with serving(settings) as served, RoomClient(served.url, room) as bo:
        for number in range(num_meanwhile):
            await bo.submit(layer(f"new-{number}"))
        ann.server = served.url
        await ann.connect()
        assert ann.records == bo.records
        assert ann.seq == bo.seq
        await ann.submit(layer("after"))
        await bo.until(lambda client: client.seq == ann.seq)
        assert ann.records == bo.records
        await ann.close()


async def test_j11_an_edit_of_a_text_that_a_backup_doesnt_know_is_refused_and_not_put_elsewhere(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path)
    async with serving(settings) as served:
        room = await new_room(served.url)
        ann = RoomClient(served.url, room)
        await ann.connect()
        await ann.submit(Put(Note(id="note", z="a1", x=0, y=0, text="cat")))
        await ann.close()
    shutil.copytree(settings.data_dir, tmp_path / "backup")
    async with serving(settings) as served:
        ann.server = served.url
        await ann.connect()
        await ann.edit("note", "text", [-3, "dog"])
        await ann.close()
    typed = asyncio.create_task(ann.edit("note", "text", [3, "ma"]))
    drawn = asyncio.create_task(ann.submit(layer("drawn")))
    backups.anew(tmp_path / "backup", settings.data_dir)

    async with serving(settings) as served, RoomClient(served.url, room) as bo:
        for number in range(3):
            await bo.submit(layer(f"new-{number}"))
        ann.server = served.url
        await ann.connect()
        with pytest.raises(Refusal, match="type again"):
            await typed
        await drawn
        assert ann.records == bo.records
        assert ann.records["note"] == msgspec.structs.replace(bo.records["note"], text="cat")
        await ann.close()
