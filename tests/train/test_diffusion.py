"""The noise process and the curriculum: exact identities and what is asked for when."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch

from scripts.train.curriculum import Curriculum, CurriculumPlan, emphasis
from scripts.train.diffusion import (
    NUM_TIMESTEPS,
    NoiseProcess,
    sample_timesteps,
    velocity_loss,
)
from scripts.train.latents import SQUARE, LatentSet, Shape
from scripts.train.sampling import sample_scene
from scripts.train.scenes import Scene, single
from scripts.train.unet import learning_rate

if TYPE_CHECKING:
    from scripts.train.sampling import Stage

PLAN = CurriculumPlan(
    placed_from=100, composed_from=200, shaped_from=300,
    centred_scenes=20, placed_scenes=50, composed_scenes=30,
)  # fmt: skip


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


def make_curriculum(seed: int = 0) -> tuple[Curriculum, list[tuple[Stage, Shape, int]]]:
    opened: list[tuple[Stage, Shape, int]] = []

    def open_latents(stage: Stage, shape: Shape, count: int) -> LatentSet:
        opened.append((stage, shape, count))
        rng = random.Random(0)
        scenes = [sample_scene(rng, stage) for _ in range(count)]
        return LatentSet(torch.zeros(count, 16, shape[0] // 16, shape[1] // 16), scenes)

    return Curriculum(PLAN, open_latents, seed), opened


def test_curriculum_begins_with_centred_things_only() -> None:
    curriculum, opened = make_curriculum()
    ((latents, scenes),) = curriculum.batches(samples=0, size=8)

    assert latents.shape == (8, 16, 16, 16)
    assert {item.position for scene in scenes for item in scene.items} == {"centre"}
    assert opened == [("centred", SQUARE, 20)]


def test_curriculum_keeps_centred_things_when_places_come() -> None:
    curriculum, opened = make_curriculum()
    ((_, scenes),) = curriculum.batches(samples=100, size=40)

    assert len(scenes) == 40
    assert ("placed", SQUARE, 50) in opened
    assert {item.position for scene in scenes[:10] for item in scene.items} == {"centre"}


def test_curriculum_never_drops_what_came_before() -> None:
    curriculum, _ = make_curriculum()

    assert curriculum.mixture(0, 32) == {"centred": 32}
    assert curriculum.mixture(100, 32) == {"centred": 12, "placed": 20}
    assert curriculum.mixture(200, 32) == {"centred": 5, "placed": 13, "composed": 14}
    ((latents, scenes),) = curriculum.batches(samples=200, size=32)
    assert len(latents) == len(scenes) == 32
    assert any(len(scene.items) > 1 for scene in scenes)


def test_every_late_step_sees_the_usual_shape_and_one_other() -> None:
    curriculum, opened = make_curriculum()
    steps = [curriculum.batches(samples=300, size=16) for _ in range(150)]

    assert all([len(scenes) for _, scenes in step] == [15, 1] for step in steps)
    assert {tuple(step[0][0].shape[2:]) for step in steps} == {(16, 16)}
    # Small, large, 2:3 and 3:2, small and large.
    others = {(12, 12), (20, 20), (12, 18), (18, 12), (16, 24), (24, 16)}
    assert {tuple(step[1][0].shape[2:]) for step in steps} == others
    assert len(opened) == len(set(opened)) == 3 + 2 * 6


def test_errors_count_more_where_a_thing_is() -> None:
    left, empty = single("cat", "red", "snow", "left"), Scene((), "snow")

    weights = emphasis([left, empty], 16, 16)

    assert weights.shape == (2, 1, 16, 16)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[0, 0, 8, 4] == 3 * weights[0, 0, 8, 12] == 3 * weights[1, 0, 8, 4]


def test_emphasis_leaves_the_loss_of_an_even_error_alone() -> None:
    noise, latents = NoiseProcess("cpu"), torch.zeros(2, 16, 8, 12)
    weights = emphasis([single("sun", "red", "snow", "top right")] * 2, 8, 12)

    def predict(noised: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        # The velocity of blank latents is noise; what is left is an error of 1 everywhere.
        return noise.velocity(latents, noised / noised_scale(timesteps), timesteps) + 1.0

    def noised_scale(timesteps: torch.Tensor) -> torch.Tensor:
        return (1.0 - noise.alphas[timesteps]).sqrt().view(-1, 1, 1, 1)

    torch.manual_seed(0)
    plain = velocity_loss(noise, latents, True, predict)
    torch.manual_seed(0)
    weighted = velocity_loss(noise, latents, True, predict, weights)

    assert plain.item() == pytest.approx(1.0, abs=1e-3)
    assert weighted.item() == pytest.approx(1.0, abs=1e-3)
