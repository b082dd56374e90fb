"""The client of the GPU worker against real processes that misbehave."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from gpu import api
from server.core.messages import Engine as EngineStatus
from server.engine import Engine, ModelUnavailable, Patience, QueueFull
from tests.support.scripted_worker import MODEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

QUICK = Patience(backoff_s=0.01, max_backoff_s=0.02, shutdown_s=0.5)
PATIENT_S = 20


def job(id: str, prompt: str = "a tree", px: int = 64) -> api.Job:
    picture = api.Picture(px, px, "RGBA", bytes(px * px * 4))
    return api.Job(
        id=api.JobId(id), room="r", person="p", slot=id, prompt=prompt, width=px, height=px,
        image=picture,
    )  # fmt: skip


@dataclass
class Heard:
    """What an engine said, and a way to wait for it."""

    events: list[api.Event] = field(default_factory=list)
    statuses: list[EngineStatus] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: api.Event) -> None:
        self.events.append(event)
        self.news.set()

    def on_status(self, status: EngineStatus) -> None:
        self.statuses.append(status)
        self.news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENT_S):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def until_state(self, state: str) -> None:
        await self.until(lambda: any(status.state == state for status in self.statuses))

    async def until_ended(self, count: int) -> None:
        await self.until(lambda: len(self.endings()) >= count)

    def endings(self) -> list[tuple[str, str]]:
        ends = (api.Done, api.Cancelled, api.Failed)
        return [(type(e).__name__, e.job) for e in self.events if isinstance(e, ends)]

    def states(self) -> list[str]:
        return [status.state for status in self.statuses]


@dataclass
class Rig:
    engine: Engine
    heard: Heard
    lives: Path

    def num_lives(self) -> int:
        return len(list(self.lives.iterdir()))


@asynccontextmanager
async def rig(
    path: Path, *script: str, patience: Patience = QUICK, max_open: int = 512
) -> AsyncIterator[Rig]:
    lives = path / "lives"
    lives.mkdir()
    command = [sys.executable, "-m", "tests.support.scripted_worker", str(lives), *script]
    heard = Heard()
    engine = Engine(command, heard.on_event, heard.on_status, patience=patience, max_open=max_open)
    await engine.start()
    try:
        yield Rig(engine, heard, lives)
    finally:
        await engine.stop()


async def test_e1_jobs_wait_for_the_worker_and_end_once(tmp_path: Path) -> None:
    async with rig(tmp_path, "loading,ready,serve") as it:
        it.engine.submit(job("early"))
        await it.heard.until_state("ready")
        assert it.engine.status == EngineStatus(state="ready", model=MODEL, infos=(MODEL,))
        it.engine.submit(job("late"))
        await it.heard.until_ended(2)
        kinds = [type(event).__name__ for event in it.heard.events]
        assert kinds == ["Started", "Preview", "Done"] * 2
        assert it.heard.statuses[0].detail == "reading the weights"


async def test_e2_a_job_whose_worker_dies_runs_again_once(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,die", "ready,serve") as it:
        it.engine.submit(job("a"))
        await it.heard.until_ended(1)
        assert it.heard.endings() == [("Done", "a")]
        assert it.heard.states() == ["ready", "restarting", "ready"]
        assert "killed by SIGKILL" in it.heard.statuses[1].detail


async def test_e2_a_job_that_two_workers_died_of_fails_with_a_reason(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,die", "ready,die", "ready,serve") as it:
        it.engine.submit(job("poison"))
        await it.heard.until_ended(1)
        it.engine.submit(job("next"))
        await it.heard.until_ended(2)
        assert it.heard.endings() == [("Failed", "poison"), ("Done", "next")]
        failed = [event for event in it.heard.events if isinstance(event, api.Failed)]
        assert "stopped twice" in failed[0].reason


async def test_e2_kill_9_of_the_real_process_is_survived(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,hold", "ready,serve") as it:
        it.engine.submit(job("a", "hold"))
        await it.heard.until(lambda: bool(it.heard.events))
        process = it.engine._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await it.heard.until_ended(1)
        assert it.heard.endings() == [("Done", "a")]


async def test_e3_cancelling_ends_a_job_once_whatever_its_state(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,hold") as it:
        it.engine.submit(job("waiting"))
        it.engine.cancel(api.JobId("waiting"))
        it.engine.cancel(api.JobId("waiting"))
        it.engine.cancel(api.JobId("unheard of"))
        await it.heard.until_ended(1)
        await it.heard.until_state("ready")
        it.engine.submit(job("running", "hold"))
        await it.heard.until(lambda: api.Started(api.JobId("running")) in it.heard.events)
        it.engine.cancel(api.JobId("running"))
        it.engine.submit(job("last"))
        await it.heard.until_ended(3)
        assert it.heard.endings() == [
            ("Cancelled", "waiting"), ("Cancelled", "running"), ("Done", "last"),
        ]  # fmt: skip


async def test_e3_a_cancelled_job_is_not_run_again_after_a_death(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,die", "ready,serve") as it:
        it.engine.submit(job("a"))
        await it.heard.until(lambda: bool(it.heard.events))
        it.engine.cancel(api.JobId("a"))
        await it.heard.until_ended(1)
        assert it.heard.endings() == [("Cancelled", "a")]


@pytest.mark.parametrize(
    ("script", "reason"),
    [("exit", "exit status 3"), ("garbage", "no message"), ("mute", "said nothing for")],
)
async def test_e4_a_worker_that_never_gets_ready_is_given_up(
    tmp_path: Path, script: str, reason: str
) -> None:
    # Long enough for Python to start, or the silence would be Python's.
    patience = replace(QUICK, silence_while_loading_s=1.5 if script == "mute" else 20)
    patience = replace(patience, max_starts_in_vain=2)
    async with rig(tmp_path, script, patience=patience) as it:
        it.engine.submit(job("a"))
        await it.heard.until_state("failed")
        it.engine.submit(job("b"))
        await it.heard.until_ended(2)
        assert reason in it.engine.status.detail
        assert it.heard.endings() == [("Failed", "a"), ("Failed", "b")]
        assert it.num_lives() == 2


async def test_e4_a_worker_that_says_why_it_can_t_go_on_is_given_up_at_once(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, "fatal") as it:
        await it.heard.until_state("failed")
        assert it.engine.status.detail == "expected a model, got a teapot: pass --model"
        assert it.num_lives() == 1


async def test_e4_a_ready_worker_that_says_it_crashed_is_replaced(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,fatal", "ready,serve") as it:
        it.engine.submit(job("a"))
        await it.heard.until_ended(1)
        assert it.heard.endings() == [("Done", "a")]
        assert "teapot" in it.heard.statuses[1].detail


async def test_e4_a_program_that_can_t_be_started_is_given_up(tmp_path: Path) -> None:
    heard = Heard()
    command = [str(tmp_path / "no such program")]
    engine = Engine(command, heard.on_event, heard.on_status, patience=QUICK)
    await engine.start()
    await heard.until_state("failed")
    assert "can't be started" in engine.status.detail
    await engine.stop()


async def test_e5_a_worker_that_talks_nonsense_is_replaced(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,garbage", "ready,serve") as it:
        it.engine.submit(job("a"))
        await it.heard.until_ended(1)
        assert it.heard.endings() == [("Done", "a")]
        assert "no message" in it.heard.statuses[1].detail


async def test_e6_a_worker_that_doesn_t_read_blocks_nobody_and_is_replaced(
    tmp_path: Path,
) -> None:
    patience = replace(QUICK, unread_input_s=0.2)
    async with rig(tmp_path, "ready,deaf", "ready,serve", patience=patience) as it:
        for i in range(20):
            it.engine.submit(job(f"{i}", px=256))
        await it.heard.until_ended(20)
        assert {kind for kind, _ in it.heard.endings()} == {"Done"}
        assert "took no input" in it.heard.statuses[1].detail


async def test_e7_more_jobs_than_it_holds_are_refused(tmp_path: Path) -> None:
    async with rig(tmp_path, "mute", max_open=2) as it:
        it.engine.submit(job("a"))
        it.engine.submit(job("b"))
        with pytest.raises(QueueFull):
            it.engine.submit(job("c"))


@pytest.mark.parametrize("script", ["ready,hold", "ready,stubborn", "mute"])
async def test_e8_stopping_ends_the_process_and_every_job(tmp_path: Path, script: str) -> None:
    async with rig(tmp_path, script) as it:
        it.engine.submit(job("a", "hold"))
        if script != "mute":
            await it.heard.until_state("ready")
        await it.heard.until(lambda: it.num_lives() == 1) if script != "mute" else None
        await it.engine.stop()
        assert it.heard.endings() == [("Cancelled", "a")]
        process = it.engine._process
        assert process is None or process.returncode is not None


async def test_e9_the_worker_s_standard_error_goes_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "atelier.worker"):
        async with rig(tmp_path, "ready,die", "ready,serve") as it:
            it.engine.submit(job("a"))
            await it.heard.until_ended(1)
    assert "out of memory, or so" in caplog.text


async def test_e10_a_model_is_described_once_loaded_and_then_known_to_all(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,serve") as it:
        asked = [asyncio.create_task(it.engine.describe("dreams")) for _ in range(2)]

        first, second = await asyncio.gather(*asked)

        assert first == second == msgspec.structs.replace(MODEL, id="dreams", name="dreams")
        assert first in it.engine.status.infos
        assert it.engine.status.model == MODEL
        assert await it.engine.describe("dreams") is first


async def test_e10_a_model_that_can_t_be_loaded_is_described_by_the_reason(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,serve") as it:
        with pytest.raises(ModelUnavailable, match="no weights"):
            await it.engine.describe("broken")


async def test_e10_who_asks_hears_after_a_restart_or_that_there_is_none(tmp_path: Path) -> None:
    async with rig(tmp_path, "ready,die", "ready,serve") as it:
        await it.heard.until_state("ready")
        assert (await it.engine.describe("dreams")).id == "dreams"
    (tmp_path / "other").mkdir()
    async with rig(tmp_path / "other", "fatal") as it:
        with pytest.raises(ModelUnavailable, match="teapot"):
            await it.engine.describe("dreams")
        with pytest.raises(ModelUnavailable, match="teapot"):
            await it.engine.describe("dreams")
