"""What a forward costs, and so how many rows share one (F6), without a model."""

from __future__ import annotations

import random

import pytest

from gpu.sched.cost import CostModel
from gpu.sched.work import Shape
from tests.gpu.tickets import LARGE, SMALL, costs


def test_f5_models_do_not_share_a_batch_and_know_their_own_costs() -> None:
    other = Shape(16, 16, "other")
    model = CostModel(4, tick_budget_s=10)
    for rows in (1, 2):
        model.calibrate(SMALL, rows, 0.1 * rows)
        model.calibrate(Shape(64, 64, "other"), rows, 16.0 * rows)

    assert model.predict(other, 1) == pytest.approx(1.0)


def test_f6_batches_stop_growing_where_rows_gain_nothing() -> None:
    flat = CostModel(16, tick_budget_s=10)
    steep = CostModel(16, tick_budget_s=10)
    for rows in (1, 2, 4, 8, 16):
        flat.calibrate(SMALL, rows, 0.1)
        steep.calibrate(SMALL, rows, 0.1 * rows)

    assert flat.best_rows(SMALL) == 16
    assert steep.best_rows(SMALL) == 1


def test_f6_a_tick_never_takes_longer_than_its_budget_for_the_sake_of_others() -> None:
    model = CostModel(16, tick_budget_s=0.1)
    for rows in (1, 2, 4, 8, 16):
        model.calibrate(SMALL, rows, 0.02 + 0.01 * rows)

    assert model.best_rows(SMALL) in (7, 8)


def test_f6_a_slow_machine_batches_all_the_same() -> None:
    model = CostModel(16, tick_budget_s=0.1)
    for rows in (1, 2, 4, 8, 16):
        model.calibrate(SMALL, rows, 10 * (0.02 + 0.01 * rows))

    assert model.best_rows(SMALL) == 7


def test_f6_what_did_not_fit_into_memory_is_not_tried_again() -> None:
    model = costs(max_rows=8)
    model.forbid(SMALL, 4)

    assert model.best_rows(SMALL) == 3


def test_f6_a_slow_moment_does_not_make_small_batches_look_better() -> None:
    model = costs(max_rows=8)
    for _ in range(50):
        model.observe(SMALL, 8, 3 * (0.05 + 0.005 * 8))

    assert model.best_rows(SMALL) >= 7
    assert model.predict(SMALL, 8) == pytest.approx(0.27, rel=0.05)
    assert model.predict(SMALL, 1) > 2 * 0.055


def test_f6_one_measured_size_of_a_new_shape_does_not_end_batching() -> None:
    model = CostModel(8)
    for rows in (1, 2, 4, 8):
        model.calibrate(LARGE, rows, 0.02 + 0.02 * rows)
    model.observe(SMALL, 8, 0.08)

    assert model.predict(SMALL, 8) == pytest.approx(0.08)
    assert model.predict(SMALL, 1) == pytest.approx(0.08 * 0.025 / 0.06)
    assert model.best_rows(SMALL) == 8


def test_f6_the_curve_follows_the_machine() -> None:
    model = CostModel(8, tick_budget_s=10)
    for rows in (1, 2, 4, 8):
        model.calibrate(SMALL, rows, 0.1)
    for _ in range(200):
        for rows in (1, 3, 8):
            model.observe(SMALL, rows, 0.1 * rows)

    assert model.best_rows(SMALL) <= 3
    assert model.predict(SMALL, 8) == pytest.approx(0.8, rel=0.1)


def test_f6_batches_stay_right_on_a_machine_that_is_busy_with_other_work() -> None:
    """Found in use: one bad moment, and an engine made batches of one for good."""
    chance = random.Random(1)
    for _ in range(10):
        model, slow = CostModel(16, tick_budget_s=10), 1.0
        for rows in (1, 2, 4, 8):
            model.calibrate(LARGE, rows, 0.008 + 0.030 * rows)
        for moment in range(600):
            if moment % 50 == 0:
                slow = chance.uniform(1, 3)
            rows = min(model.best_rows(SMALL), chance.choice((1, 2, 4, 24)))
            noise = chance.lognormvariate(0, 0.2)
            model.observe(SMALL, rows, slow * noise * (0.010 + 0.005 * rows))
        assert model.best_rows(SMALL) >= 7


@pytest.mark.parametrize("rows", [1, 3, 6, 12])
def test_cost_of_a_shape_never_measured_is_scaled_by_its_pixels(rows: int) -> None:
    model = CostModel(16)
    for measured in (1, 2, 4, 8):
        model.calibrate(SMALL, measured, 0.02 + 0.01 * measured)

    assert model.predict(SMALL, rows) == pytest.approx(0.02 + 0.01 * rows)
    assert model.predict(LARGE, rows) == pytest.approx(0.02 + 0.04 * rows)


def test_f6_memory_that_was_short_is_tried_again_a_row_at_a_time() -> None:
    model = costs(max_rows=8)
    model.forbid(SMALL, 4)
    for _ in range(500):
        model.observe(SMALL, 3, 0.065)
    assert model.best_rows(SMALL) == 4

    for _ in range(4 * 500):
        model.observe(SMALL, 4, 0.07)
    assert model.best_rows(SMALL) == 8
