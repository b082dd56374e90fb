"""What one person waits for: the server, the model, the first preview, the finished picture.

The real server process with the embedded model, and a client of the wire protocol beside it;
one request at a time, one 256x256 picture as the model advises, and one with 20 steps.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.client import RoomClient, new_room
from server.core.ids import new_id
from server.core.records import Candidate, Frame, Put
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from server.core.messages import Preview

SIDE = 256.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=7, help="requests to take the median of [7]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    figures = asyncio.run(measure(arguments.runs))
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")
    return 0


async def measure(num_runs: int) -> dict[str, float]:
    """Seconds to the ready line and to the loaded model; milliseconds of requests (medians)."""
    with tempfile.TemporaryDirectory() as data:
        started = time.monotonic()
        with ServerProcess(Path(data)) as server:
            ready_s = time.monotonic() - started
            async with RoomClient(server.url, await new_room(server.url)) as client:
                await client.until(lambda c: c.engine is not None and c.engine.state == "ready")
                model_s = time.monotonic() - started
                advised = await _pictures(client, num_runs, _advised(client))
                twenty = await _pictures(client, num_runs, {"steps": 20, "guidance": 4.0})
    return {
        "ready_s": round(ready_s, 2),
        "model_ready_s": round(model_s, 2),
        **{f"advised_{name}": value for name, value in advised.items()},
        **{f"steps20_{name}": value for name, value in twenty.items()},
    }


def _advised(client: RoomClient) -> dict[str, Any]:
    assert client.engine is not None
    assert client.engine.model is not None
    return {"steps": client.engine.model.steps, "guidance": client.engine.model.guidance}


async def _pictures(client: RoomClient, num: int, settings: dict[str, Any]) -> dict[str, float]:
    runs = [await _one_picture(client, settings) for _ in range(num)]
    return {
        "first_preview_ms": round(statistics.median(first for first, _ in runs)),
        "picture_ms": round(statistics.median(final for _, final in runs)),
        "picture_max_ms": round(max(final for _, final in runs)),
    }


async def _one_picture(client: RoomClient, settings: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds from Generate to the first preview and to the candidate."""
    frame = new_id()
    prompt = "a red heart on a white background"
    wanted = Frame(id=frame, z="a0", x=0.0, y=0.0, w=SIDE, h=SIDE, prompt=prompt, **settings)
    await client.submit(Put(wanted))
    started = time.monotonic()
    job = await client.generate(frame)
    await client.until(lambda c: _has_preview(c.previews.values(), job) or _is_done(c, job))
    first = time.monotonic()
    await client.until(lambda c: _is_done(c, job))
    return (first - started) * 1000, (time.monotonic() - started) * 1000


def _has_preview(previews: Iterable[Preview], job: str) -> bool:
    return any(preview.job == job for preview in previews)


def _is_done(client: RoomClient, job: str) -> bool:
    return any(isinstance(r, Candidate) and r.job == job for r in client.records.values())
