"""Threads beside the loop: order, overlap, bounds, and what is left when something fails."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gpu.lanes import Lanes
from tests.gpu.pictures import job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.api import Job, JobId

TIMEOUT_S = 30


class Harness:
    def __init__(self, num_finishing: int) -> None:
        self.over: list[JobId] = []
        self._ended = threading.Semaphore(0)
        self.lanes = Lanes(self._end, num_finishing)

    def _end(self, job: JobId) -> None:
        self.over.append(job)
        self._ended.release()

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._ended.acquire(timeout=TIMEOUT_S)


@pytest.fixture
def wide() -> Iterator[Harness]:
    harness = Harness(3)
    yield harness
    harness.lanes.close()


def test_f16_several_pictures_are_finished_at_once_and_no_more_than_there_are_lanes(
    wide: Harness,
) -> None:
    together, let_go = threading.Barrier(4), threading.Event()
    busy: list[int] = []
    most: list[int] = []

    def finish(number: int) -> None:
        busy.append(number)
        most.append(len(busy))
        if number < 3:
            together.wait(TIMEOUT_S)
            assert let_go.wait(TIMEOUT_S)
        busy.remove(number)

    for number in range(9):
        wide.lanes.finish(job(slot=str(number)), partial(finish, number))
    together.wait(TIMEOUT_S)
    let_go.set()
    wide.wait(9)

    assert max(most) == 3


@pytest.mark.parametrize("live", [True, False])
def test_f16_pictures_of_one_slot_are_finished_in_their_order(wide: Harness, live: bool) -> None:
    made: list[int] = []
    let_go = threading.Event()

    def first() -> None:
        assert let_go.wait(TIMEOUT_S)
        made.append(0)

    wide.lanes.finish(job(slot="frame", live=live), first)
    for number in range(1, 6):
        wide.lanes.finish(job(slot="frame", live=live), partial(made.append, number))
    other = job(slot="other", live=live)
    wide.lanes.finish(other, lambda: None)
    wide.wait(1)
    assert wide.over == [other.id]
    let_go.set()
    wide.wait(6)

    assert made == [0, 1, 2, 3, 4, 5]


def test_f16_live_pictures_do_not_queue_behind_others(wide: Harness) -> None:
    let_go = threading.Event()

    def wait() -> None:
        assert let_go.wait(TIMEOUT_S)

    for number in range(20):
        wide.lanes.finish(job(slot=str(number)), wait)
    live = job(slot="live", live=True)

    wide.lanes.finish(live, lambda: None)
    wide.wait(1)

    assert wide.over == [live.id]
    let_go.set()
    wide.wait(20)


def fail(_job: Job) -> None:
    raise RuntimeError("no picture")


def test_f16_a_failure_leaves_its_lane_and_its_slot_to_the_next(wide: Harness) -> None:
    jobs = [job(slot=str(number % 2)) for number in range(8)]
    for request in jobs:
        wide.lanes.finish(request, partial(fail, request))

    wide.wait(8)

    assert sorted(wide.over) == sorted(request.id for request in jobs)
    assert not any(wide.lanes.holds(request.id) for request in jobs)
    assert not any(slots for bundle in wide.lanes._finishing.values() for slots in bundle._waiting)
