"""Stable Diffusion 2.x and XL, and models that fill holes, against diffusers' own pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from gpu.api import Control
from tests.gpu.kinds import TOLERANCE, UNETS
from tests.gpu.parity import SIDE, TASKS, relative_error, run, task
from tests.gpu.pictures import gradient, picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpu.api import Sampler
    from tests.gpu.kinds import Model

SAMPLERS: tuple[Sampler, ...] = ("euler_a", "dpmpp_2m")
"""One that draws noise in each step, which tells whether all draws come in diffusers' order."""


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("model", UNETS)
def test_m10_a_family_makes_what_diffusers_makes(
    models: Callable[[str], Model], model: str, sampler: Sampler, kind: str
) -> None:
    request = task(kind, sampler=sampler, steps=5, negative="" if sampler == "euler_a" else "fog")

    assert models(model).error(request) < TOLERANCE


@pytest.mark.parametrize("model", ["sd-fill", "sdxl-fill"])
def test_g47_a_model_that_fills_holes_paints_empty_parts_and_what_a_mask_covers(
    models: Callable[[str], Model], model: str
) -> None:
    runner = models(model).runner
    pixels, mask = gradient(SIDE), np.zeros((SIDE, SIDE), np.uint8)
    pixels[:, 40:, 3] = 0
    mask[:, 24:40] = 255
    request = task("txt2img", image=picture(pixels), mask=picture(mask), strength=0.5, steps=4)
    painting = runner.prepare(request)

    assert painting.surroundings is not None
    assert painting.surroundings[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert painting.blend is not None
    # What a mask covers waits for its strength; all else is painted from the start.
    assert painting.blend.free_from[0, 0].tolist() == [0, 0, 0, 2, 2, 0, 0, 0]
    (final,) = run(runner, [request])
    assert bool(torch.isfinite(final).all())


def test_m10_guidance_is_an_input_of_a_consistency_model(models: Callable[[str], Model]) -> None:
    runner = models("sdxl-lcm").runner
    mild, strong = (task("txt2img", guidance=g, sampler="lcm") for g in (2.0, 8.0))

    assert runner.prepare(strong).demand.rows == 1
    one, other = run(runner, [mild, strong])
    assert relative_error(one, other) > TOLERANCE


def test_g40_an_xl_prompt_of_two_windows_reads_both_and_keeps_the_firsts_summary(
    models: Callable[[str], Model],
) -> None:
    family = models("sdxl").family
    long, first, second = (family.encode_prompt(t) for t in ("ab BREAK cd", "ab", "cd"))

    assert torch.equal(long.tokens, torch.cat([first.tokens, second.tokens]))
    assert long.pooled is not None
    assert first.pooled is not None
    assert torch.equal(long.pooled, first.pooled)
    wanted, unwanted = family.encode_pair("ab", "cd BREAK ef")
    assert wanted.length == unwanted.length == 2 * first.length


@pytest.mark.parametrize("lora", ["kohya", "peft"])
def test_g42_an_adapter_of_xl_adds_to_its_unet_and_both_text_encoders(
    models: Callable[[str], Model], lora: str
) -> None:
    model = models("sdxl")
    request = task("txt2img", loras={lora: 1.0}, steps=3)

    (ours, plain) = run(model.runner, [request, task("txt2img", steps=3)])

    assert relative_error(ours, model.stock(request)) < TOLERANCE
    assert relative_error(ours, plain) > 1e-2


def test_g43_a_control_of_xl_is_told_of_text_and_size_too(models: Callable[[str], Model]) -> None:
    model = models("sdxl")
    pixels = picture(np.ascontiguousarray(gradient(SIDE)[..., :3]))
    steered = Control(name="controlnet", image=pixels, strength=0.8)
    request = task("txt2img", control=steered, steps=3)

    (ours, plain) = run(model.runner, [request, task("txt2img", steps=3)])

    assert relative_error(ours, model.stock(request)) < TOLERANCE
    assert relative_error(ours, plain) > 1e-2


@pytest.mark.parametrize("model", ["sd2", "sd-fill"])
def test_g47_a_mask_at_full_strength_begins_from_noise_alone(
    models: Callable[[str], Model], model: str
) -> None:
    request = task("inpaint", strength=1.0, sampler="euler_a", steps=3)

    assert models(model).error(request) < TOLERANCE
