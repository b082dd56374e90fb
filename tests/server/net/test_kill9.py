"""A real server is killed at random moments, and nothing acknowledged is lost. Rules J1, R3.

`ATELIER_KILLS=500 pytest tests/server/net/test_kill9.py` kills it more often.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import TYPE_CHECKING

import pytest

from server.client import new_room
from tests.server.net.serving import settings_for
from tests.support.hands import Hand, check_all

if TYPE_CHECKING:
    from pathlib import Path

NUM_KILLS = int(os.environ.get("ATELIER_KILLS", "20"))
KILL_S = 6.0
NUM_HANDS = 4
READY = "Atelier is ready at "
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60 + KILL_S * NUM_KILLS)]


async def start(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    settings = settings_for(folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "--port", "0", "--model", "none", "--snapshot-every", "50",
        "--keep-entries", "100", "--data", str(settings.data_dir),
        "--web-dir", str(settings.web_dir),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith(READY)
    return process, line.removeprefix(READY).strip().rstrip("/")


async def test_j1_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    process, url = await start(tmp_path)
    room = await new_room(url)
    process.kill()
    await process.wait()
    hands = [Hand(f"hand-{number}", room) for number in range(NUM_HANDS)]
    drawing = [asyncio.create_task(hand.draw()) for hand in hands]
    for _ in range(NUM_KILLS):
        process, url = await start(tmp_path)
        try:
            await asyncio.gather(*(hand.go_on(url) for hand in hands))
            await asyncio.sleep(rng.uniform(0.0, 0.3))
        finally:
            process.kill()
            await process.wait()

    process, url = await start(tmp_path)
    for hand in hands:
        await hand.go_on(url)
        hand.is_done = True
    await asyncio.gather(*drawing)
    print(f"{await check_all(hands, url)} acknowledged, none lost")
    for hand in hands:
        await hand.client.close()
    process.terminate()
    await process.wait()
