"""Stable Diffusion 3, FLUX.1 and Z-Image against diffusers' own pipelines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from gpu.samplers.table import SamplerError
from tests.gpu.flow_models import KINDS, Model
from tests.gpu.parity import TASKS, in_half, relative_error, run, task

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 1e-4
GUIDED = (("txt2img", 3.0), ("img2img", 1.0), ("inpaint", 5.0))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    root = tmp_path_factory.mktemp("flows")
    return cache(lambda kind: Model(kind, root / kind))


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("model", KINDS)
def test_m14_a_flow_matching_family_makes_what_diffusers_makes(
    models: Callable[[str], Model], model: str, kind: str
) -> None:
    request = task(kind, sampler="euler", steps=5, negative="fog")

    (ours,) = run(models(model).runner, [request])

    error = relative_error(ours, models(model).stock(request, kind))
    print(f"{model} {kind}: {error:.1e}")
    assert error < TOLERANCE


@pytest.mark.parametrize("model", KINDS)
def test_m11_rows_of_different_jobs_share_a_forward_and_do_not_feel_each_other(
    models: Callable[[str], Model], model: str
) -> None:
    runner = models(model).runner
    prompts = ("a red house", "a tree", "the sea, at night")
    jobs = [
        task(kind, guidance=guidance, seed=number, prompt=prompts[number], sampler="euler")
        for number, (kind, guidance) in enumerate(GUIDED)
    ]

    together = run(runner, jobs)

    for request, latents in zip(jobs, together, strict=True):
        (alone,) = run(runner, [request])
        assert relative_error(latents, alone) < 1e-5


def test_m14_guidance_is_an_input_of_flux_dev_and_schnell_takes_none(
    models: Callable[[str], Model],
) -> None:
    mild, strong = (task("txt2img", guidance=g, sampler="euler", steps=3) for g in (2.0, 8.0))

    assert models("flux-dev").runner.prepare(strong).demand.rows == 1
    for model, differs in (("flux-dev", True), ("flux-schnell", False)):
        one, other = run(models(model).runner, [mild, strong])
        assert (relative_error(one, other) > TOLERANCE) == differs


@pytest.mark.parametrize("model", KINDS)
def test_m14_samplers_that_do_not_know_flow_matching_say_which_does(
    models: Callable[[str], Model], model: str
) -> None:
    with pytest.raises(SamplerError, match="dpmpp_2m can't be used with a flow-matching model; ch"):
        models(model).runner.prepare(task("txt2img", sampler="dpmpp_2m"))


@pytest.mark.parametrize("model", KINDS)
def test_m14_half_the_precision_makes_nearly_the_same(
    models: Callable[[str], Model], model: str
) -> None:
    whole = models(model)
    request = task("inpaint", sampler="euler", steps=3)

    (rough,) = run(in_half(whole.folder, whole.tables), [request])

    (exact,) = run(whole.runner, [request])
    assert relative_error(rough, exact) < 0.05
    assert torch.get_default_dtype() == torch.float32
