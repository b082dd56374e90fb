"""`python -m server` as people and service managers meet it. Rules H5, H6, S9."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from server.__main__ import lock
from server.client import RoomClient, new_room
from server.core.records import Layer, Patch, Put
from server.settings import Settings, SettingsError, docstrings, from_command_line
from tests.server.net.serving import FakeGeneration, Served, settings_for
from tests.server.net.test_hostile import stalled

if TYPE_CHECKING:
    from starlette.applications import Starlette

pytestmark = pytest.mark.anyio
READY = "Atelier is ready at "


async def launch(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "--model", "none", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")},
    )  # fmt: skip


def folders(tmp_path: Path) -> list[str]:
    settings = settings_for(tmp_path)
    return ["--data", str(settings.data_dir), "--web-dir", str(settings.web_dir)]


async def test_h5_one_line_says_where_a_page_can_be_opened_and_sigterm_ends_it(
    tmp_path: Path,
) -> None:
    process = await launch("--port", "0", *folders(tmp_path))
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith(READY)
    url = line.removeprefix(READY).strip().rstrip("/")
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True) as http:
        assert (await http.get(url)).status_code == 200

    room = await new_room(url)
    nothing: Starlette = None  # type: ignore[assignment]
    served = Served(url, nothing, FakeGeneration(Settings(), None))  # type: ignore[arg-type]
    ann = await kept_busy(served, room)
    async with stalled(served, room):
        await ann.until(lambda client: len(client.people) == 2)
        for _ in range(60):
            await ann.submit(*[Patch("one", {"name": "x" * 80})] * 1_000)
        process.terminate()
        async with asyncio.timeout(8):
            rest, _ = await process.communicate()
    assert rest == b""
    await ann.close()


async def kept_busy(served: Served, room: str) -> RoomClient:
    ann = RoomClient(served.url, room)
    await ann.connect()
    await ann.submit(Put(Layer(id="one", z="a0")))
    return ann


async def fails(*arguments: str) -> str:
    process = await launch(*arguments)
    out, err = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    (line,) = err.decode().splitlines()
    return line


async def test_h6_what_keeps_it_from_starting_is_one_line_with_advice(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--port" in await fails("--port", port, *folders(tmp_path))
    (tmp_path / "file").write_text("")
    data = ["--data", str(tmp_path / "file"), "--web-dir", str(tmp_path / "web")]
    assert "--data" in await fails("--port", "0", *data)
    web = ["--data", str(tmp_path / "data"), "--web-dir", str(tmp_path / "nothing")]
    assert "scripts/run" in await fails("--port", "0", *web)
    assert "ATELIER_PORT" in await fails("--port", "many")
    (tmp_path / "data" / "journal.sqlite").write_bytes(b"rubbish" * 1_000)
    assert "journal" in await fails("--port", "0", *folders(tmp_path))


async def test_h6_a_data_folder_belongs_to_one_server_at_a_time(tmp_path: Path) -> None:
    with lock(settings_for(tmp_path).data_dir):
        assert "another server" in await fails("--port", "0", *folders(tmp_path))


def test_h6_flags_win_over_variables_and_both_over_defaults() -> None:
    environment = {"ATELIER_PORT": "81", "ATELIER_HOST": "::1", "ATELIER_IDLE_S": "1.5"}
    settings = from_command_line(["--port", "82", "--data", "/tmp/x"], environment)
    assert (settings.port, settings.host, settings.idle_s) == (82, "::1", 1.5)
    assert str(settings.data_dir) == "/tmp/x"
    assert from_command_line([], {}) == Settings()
    with pytest.raises(SettingsError, match="ATELIER_PORT"):
        from_command_line([], {"ATELIER_PORT": "x"})
    with pytest.raises(SettingsError, match="expected auto or cpu or cuda, got 'tpu'"):
        from_command_line(["--device", "tpu"], {})


def test_h6_the_worker_gets_and_knows_its_options() -> None:
    flags = ["--device", "cpu", "--low-vram", "--models", "~/models.toml", "--weights", "int8"]
    flags += ["--compile"]
    settings = from_command_line(flags, {"ATELIER_MAX_BATCH": "4"})
    models = f"--models={Path('~/models.toml').expanduser()}"
    expected = {
        "--device=cpu",
        "--max-batch=4",
        "--weights=int8",
        "--low-vram",
        "--compile",
        models,
    }
    assert set(settings.worker_flags) >= expected
    assert not {"--low-vram", "--compile"} & set(Settings().worker_flags)
    worker = [sys.executable, "-m", "gpu.worker", *settings.worker_flags, "--help"]
    assert subprocess.run(worker, capture_output=True, check=False).returncode == 0


def test_h6_every_setting_is_documented() -> None:
    assert docstrings().keys() == {field.name for field in msgspec.structs.fields(Settings)}
