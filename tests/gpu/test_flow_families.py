"""Stable Diffusion 3, FLUX.1 and Z-Image against diffusers' own pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gpu.samplers.table import SamplerError
from tests.gpu.kinds import FLOWS, TOLERANCE
from tests.gpu.parity import TASKS, relative_error, run, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gpu.kinds import Model


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("model", FLOWS)
def test_m14_a_flow_matching_family_makes_what_diffusers_makes(
    models: Callable[[str], Model], model: str, kind: str
) -> None:
    request = task(kind, sampler="euler", steps=5, negative="fog")

    assert models(model).error(request) < TOLERANCE


def test_m14_guidance_is_an_input_of_flux_dev_and_schnell_takes_none(
    models: Callable[[str], Model],
) -> None:
    mild, strong = (task("txt2img", guidance=g, sampler="euler", steps=3) for g in (2.0, 8.0))

    assert models("flux-dev").runner.prepare(strong).demand.rows == 1
    for model, differs in (("flux-dev", True), ("flux-schnell", False)):
        one, other = run(models(model).runner, [mild, strong])
        assert (relative_error(one, other) > TOLERANCE) == differs


@pytest.mark.parametrize("model", FLOWS)
def test_m14_samplers_that_do_not_know_flow_matching_say_which_does(
    models: Callable[[str], Model], model: str
) -> None:
    with pytest.raises(SamplerError, match="dpmpp_2m can't be used with a flow-matching model; ch"):
        models(model).runner.prepare(task("txt2img", sampler="dpmpp_2m"))
