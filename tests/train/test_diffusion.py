"""The noise process and the curriculum: exact identities and what is asked for when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from scripts.train.curriculum import Curriculum, CurriculumPlan
from scripts.train.diffusion import (
    NUM_TIMESTEPS,
    NoiseProcess,
    sample_timesteps,
    velocity_loss,
)
from scripts.train.drawings import SQUARE, Order, emphasis
from scripts.train.latents import LatentSet
from scripts.train.scenes import layout, single
from scripts.train.unet import learning_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = CurriculumPlan(
    placed_from=100, composed_from=200, shaped_from=300, drawn_by=400,
    centred_scenes=1000, placed_scenes=500, composed_scenes=250, shaped_scenes=10,
)  # fmt: skip
MARKS = {"centred": 1.0, "placed": 2.0, "composed": 3.0}


def test_velocity_and_noised_latents_give_the_clean_ones_back() -> None:
    torch.manual_seed(0)
    noise = NoiseProcess("cpu")
    latents, epsilon = torch.randn(4, 16, 4, 4), torch.randn(4, 16, 4, 4)
    timesteps = torch.tensor([0, 300, 700, 999])

    noised = noise.add_noise(latents, epsilon, timesteps)
    velocity = noise.velocity(latents, epsilon, timesteps)

    assert torch.allclose(noise.clean(noised, velocity, timesteps), latents, atol=1e-5)


def test_terminal_noise_holds_no_signal() -> None:
    noise = NoiseProcess("cpu")
    latents, epsilon = torch.ones(1, 16, 2, 2), torch.zeros(1, 16, 2, 2)

    assert noise.add_noise(latents, epsilon, torch.tensor([999])).abs().max() < 1e-3
    assert noise.timestep_at(0.0) == NUM_TIMESTEPS - 1


@pytest.mark.parametrize("high_noise", [False, True])
def test_timesteps_are_valid_and_lean_to_high_noise(high_noise: bool) -> None:
    torch.manual_seed(0)
    timesteps = torch.cat([sample_timesteps(32, high_noise) for _ in range(20)])

    assert timesteps.min() >= 0
    assert timesteps.max() < NUM_TIMESTEPS
    assert timesteps.float().mean() > 0.52 * NUM_TIMESTEPS


def test_learning_rate_warms_up_holds_and_decays() -> None:
    rates = [learning_rate(done, int(done * 1000)) for done in (0.001, 0.3, 0.6, 0.9, 0.999)]

    assert rates[0] < rates[1] == rates[2] > rates[3] > rates[4]


def blank(order: Order) -> LatentSet:
    """Latents that say their stage."""
    height, width = (side // 16 for side in order.shape)
    latents = torch.full((order.count, 16, height, width), MARKS[order.stage]).half()
    ids = torch.zeros(order.count, 8, 64, dtype=torch.int16)
    weights = torch.ones(order.count, 1, height, width).half()
    lines = torch.zeros(order.count, 0, dtype=torch.uint8)
    return LatentSet([single("cat", "red", "snow")] * order.count, latents, ids, weights, lines)


def make_curriculum(seed: int = 0) -> tuple[Curriculum, list[Order]]:
    """A curriculum, and what was drawn for it so far."""
    drawn: list[Order] = []

    def open_latents(orders: list[Order]) -> Iterator[LatentSet]:
        for order in orders:
            drawn.append(order)
            yield blank(order)

    torch.manual_seed(seed)
    return Curriculum(PLAN, open_latents, seed), drawn


def stages(latents: torch.Tensor) -> list[int]:
    """How many rows are of each stage."""
    return [int((latents[:, 0, 0, 0] == mark).sum()) for mark in MARKS.values()]


def test_curriculum_begins_with_centred_things_only() -> None:
    curriculum, drawn = make_curriculum()
    (batch,) = curriculum.batches(samples=0, size=8)

    assert batch.latents.shape == (8, 16, 16, 16)
    assert batch.ids.shape == (8, 64)
    assert stages(batch.latents) == [8, 0, 0]
    assert drawn == [Order("centred", 0, 250)]


def test_curriculum_keeps_centred_things_when_places_come() -> None:
    curriculum, _ = make_curriculum()
    (batch,) = curriculum.batches(samples=100, size=40)

    assert stages(batch.latents) == [15, 25, 0]


def test_curriculum_never_drops_what_came_before() -> None:
    curriculum, _ = make_curriculum()

    assert curriculum.mixture(0, 32) == {"centred": 32}
    assert curriculum.mixture(100, 32) == {"centred": 12, "placed": 20}
    assert curriculum.mixture(200, 32) == {"centred": 5, "placed": 13, "composed": 14}
    (batch,) = curriculum.batches(samples=200, size=32)
    assert stages(batch.latents) == [5, 13, 14]


def test_scenes_are_drawn_when_they_are_due_the_last_at_the_plan_s_end() -> None:
    curriculum, drawn = make_curriculum()
    counts = []
    for samples in (0, 99, 100, 200, 250, 300, 400):
        curriculum.batches(samples, 32)
        counts.append(len([order for order in drawn if order.shape == SQUARE]))

    # Four shards of centred scenes every 100 samples, two of placed ones from 100 on every 150.
    assert counts == [1, 1, 3, 5, 6, 7, 7]
    assert len({(order.stage, order.seed, order.shape) for order in drawn}) == len(drawn)
    assert {order.stage: order.count for order in drawn if order.shape != SQUARE} == {
        "placed": 10, "composed": 10,
    }  # fmt: skip


def test_every_late_step_sees_the_usual_shape_and_one_other() -> None:
    curriculum, drawn = make_curriculum()
    steps = [curriculum.batches(samples=300, size=16) for _ in range(150)]

    assert all([len(batch.ids) for batch in step] == [15, 1] for step in steps)
    assert {tuple(step[0].latents.shape[2:]) for step in steps} == {(16, 16)}
    # Small, large, 2:3 and 3:2, small and large.
    others = {(12, 12), (20, 20), (24, 24), (12, 18), (18, 12), (16, 24), (24, 16)}
    assert {tuple(step[1].latents.shape[2:]) for step in steps} == others
    assert len([order for order in drawn if order.shape != SQUARE]) == 2 * 7


def test_errors_count_more_where_a_thing_is() -> None:
    weights = emphasis(layout(single("cat", "red", "snow", "left")), 16, 16)

    assert weights.shape == (1, 16, 16)
    assert weights[0, 8, 4] == 3 * weights[0, 8, 12] == 3
    assert emphasis([], 16, 16).max() == 1


def test_emphasis_leaves_the_loss_of_an_even_error_alone() -> None:
    noise, latents = NoiseProcess("cpu"), torch.zeros(2, 16, 8, 12)
    weights = emphasis(layout(single("sun", "red", "snow", "top right")), 8, 12)
    torch.manual_seed(0)
    epsilon, timesteps = torch.randn_like(latents), sample_timesteps(2, high_noise=True)

    def predict(_noised: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        # What is left is an error of 1 everywhere.
        return noise.velocity(latents, epsilon, timesteps) + 1.0

    plain = velocity_loss(noise, latents, epsilon, timesteps, predict)
    weights = (weights / weights.mean()).expand(2, 1, 8, 12)
    weighted = velocity_loss(noise, latents, epsilon, timesteps, predict, weights)

    assert plain.item() == pytest.approx(1.0, abs=1e-3)
    assert weighted.item() == pytest.approx(1.0, abs=1e-3)
