"""`scripts/bench engine` at a toy size, so that it can't rot; and that its rivals are honest."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gpu.api import Cancelled, Done, Preview
from scripts.benchmarks import contests, engine, loads, waits
from scripts.benchmarks.field import Field, open_field
from scripts.benchmarks.play import Record, play
from tests.gpu.pictures import open_png

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gpu.api import Event, Job, JobId
    from scripts.benchmarks.arms.parts import Emit

SIDE = 64
PROMISED = {
    "eta", "tick_efficiency", "single_vs_diffusers", "saturation_vs_fifo",
    "poisson06_preview_p50_vs_request_batching", "poisson06_preview_p95_vs_request_batching",
    "rooms12_preview_p50_vs_superseding", "rooms12_preview_p95_vs_superseding",
    "rooms12_final_p95_vs_superseding", "hog_light_p95_ratio", "cancel_ticks",
    "scheduler_ms_per_tick_b8", "preview_overhead", "jain",
}  # fmt: skip
RIVALS = ("fifo", "requests", "requests_10ms", "superseding", "objects")


@pytest.fixture(scope="module")
def field(tiny_folder: Path) -> Field:
    return open_field(tiny_folder, threads=1, side_px=SIDE, seconds=0.2, repeats=1)


def pngs(records: list[Record]) -> list[np.ndarray]:
    assert all(isinstance(record.end, Done) for record in records)
    return [open_png(record.end.png) for record in records if isinstance(record.end, Done)]


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "euler_a"])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_all_arms_paint_the_same_pictures(field: Field, sampler: str, guidance: float) -> None:
    def asked() -> list[loads.Request]:
        maker = loads.Maker(SIDE, 1)
        jobs = [maker.job("room", sampler=sampler, guidance=guidance, steps=5) for _ in range(3)]
        return [loads.Request(0.0, job) for job in jobs]

    arms = contests.arms(field, "ours", *RIVALS)
    ours = pngs(play(arms["ours"], asked()))

    for name in RIVALS:
        for one, other in zip(ours, pngs(play(arms[name], asked())), strict=True):
            apart = np.abs(one.astype(int) - other.astype(int))
            assert apart.max() <= 3, name


def test_rivals_show_previews_of_what_they_paint(field: Field) -> None:
    for name in RIVALS:
        jobs = [loads.Maker(SIDE, 2).job("room", steps=8)]
        (record,) = play(contests.arms(field, name)[name], [loads.Request(0.0, jobs[0])])

        assert record.previews_s, name
        assert record.submitted_s < record.previews_s[0] <= record.ended_s


def test_a_stale_request_that_waits_is_replaced(field: Field) -> None:
    maker = loads.Maker(SIDE, 3)
    requests = [loads.Request(0.0, maker.job("room", slot="frame")) for _ in range(6)]

    records = play(contests.arms(field, "superseding")["superseding"], requests)

    ends = [type(record.end) for record in records]
    assert ends[-1] is Done
    assert ends.count(Cancelled) >= 3


@pytest.mark.timeout(300)
def test_the_whole_benchmark_runs_at_a_toy_size(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(engine, "_claim_cores", lambda _threads: None)
    parser = argparse.ArgumentParser()
    engine.add_arguments(parser)
    kept, plot = tmp_path / "engine.json", tmp_path / "engine.png"
    where = ["--model", str(tiny_folder), "--side", str(SIDE)]
    some = ["efficiency", "alone", "overhead", "saturation", "poisson06", "rooms12", "hog", "mixed"]
    where += ["--only", *some, "cancels", "virtual"]
    arguments = [*where, "--quick", "--json", "--keep", str(kept), "--plot", str(plot)]

    assert engine.run(parser.parse_args(arguments)) == 0

    figures = json.loads(capsys.readouterr().out)
    assert set(figures) >= PROMISED
    assert all(math.isfinite(figures[name]) for name in PROMISED)
    assert 0 < figures["jain"] <= 1
    assert figures["cancel_ticks"] <= 1
    assert json.loads(kept.read_text())["threads1"] == figures
    assert plot.stat().st_size > 1000


class Scripted:
    """An arm that answers at once: a preview, then the picture, unless it is cancelled first."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.held: list[Job] = []

    def start(self) -> None: ...

    def submit(self, job: Job) -> None:
        if job.room == "held":
            self.held.append(job)
            return
        self.emit(Preview(job=job.id, step=1, steps=2, box=(0, 0, 1, 1), jpeg=b""))
        self.emit(Done(job=job.id, png=b"", seconds=0.0))

    def cancel(self, job: JobId) -> None:
        self.emit(Cancelled(job, "asked"))

    def close(self) -> None: ...


def test_a_load_is_played_to_its_end_and_written_down() -> None:
    maker = loads.Maker(SIDE, 4)
    asked = [maker.job("room"), maker.job("held")]
    more = iter([maker.job("room")])

    def follow(record: Record, now_s: float) -> loads.Request | None:
        job = next(more, None)
        return None if job is None else loads.Request(now_s, job)

    requests = [loads.Request(0.0, asked[0]), loads.Request(0.0, asked[1], 0.01)]
    records = play(Scripted, requests, follow=follow)

    assert [record.is_done for record in records] == [True, False, True]
    assert records[1].cancelled_s is not None
    assert all(record.first_seen_s <= record.ended_s for record in records if record.is_done)


def record(at_s: float, seen_s: float | None, ended_s: float, end: Event, slot: str) -> Record:
    job = loads.Maker(SIDE, round(at_s * 10)).job("room", slot=slot)
    return Record(job, at_s, [] if seen_s is None else [seen_s], ended_s, end)


def edits() -> Iterator[Record]:
    done = Done(job="", png=b"", seconds=0)  # type: ignore[arg-type]
    over = Cancelled("", "superseded")  # type: ignore[arg-type]
    yield record(0.0, 0.5, 1.5, over, "frame")
    yield record(1.0, None, 2.0, over, "frame")
    yield record(2.0, 2.25, 3.0, done, "frame")


def test_an_edit_is_seen_when_something_at_least_as_new_is() -> None:
    seen, finished = waits.edits_seen(list(edits()))

    assert sorted(seen) == [0.25, 0.5, 1.25]
    assert sorted(finished) == [1.0, 2.0, 3.0]


def test_percentiles_and_fairness_of_known_numbers() -> None:
    assert waits.percentile([1, 2, 3, 4, 5], 50) == 3
    assert waits.percentile([1, 2], 95) == pytest.approx(1.95)
    assert waits.jain([5, 5, 5]) == 1
    assert waits.jain([1, 0, 0, 0]) == 0.25


def test_loads_follow_from_their_seed() -> None:
    def all_loads(seed: int) -> list[list[loads.Request]]:
        return [
            loads.poisson(loads.Maker(SIDE, seed), 20, 2),
            loads.rooms(loads.Maker(SIDE, seed), 4, 2, 2),
            loads.mixed(loads.Maker(SIDE, seed), 20, 2),
            loads.storm(loads.Maker(SIDE, seed), 2, 0.03),
        ]

    assert all_loads(1) == all_loads(1)
    assert all_loads(1) != all_loads(2)
    for load in all_loads(1):
        assert len({request.job.id for request in load}) == len(load) > 5
        assert [request.at_s for request in load] == sorted(request.at_s for request in load)
