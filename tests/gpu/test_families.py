"""What holds for every family of models, U-Nets and transformers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.gpu.kinds import FLOWS, UNETS
from tests.gpu.parity import in_half, relative_error, run, task

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gpu.kinds import Model

ASKED = (("txt2img", 3.0, "a red house"), ("img2img", 1.0, "a tree"), ("inpaint", 5.0, "the sea"))


@pytest.mark.parametrize("kind", [*UNETS, *FLOWS])
def test_m11_rows_of_different_jobs_share_a_forward_and_do_not_feel_each_other(
    models: Callable[[str], Model], kind: str
) -> None:
    runner = models(kind).runner
    jobs = [
        task(work, guidance=guidance, seed=seed, prompt=prompt, sampler="euler")
        for seed, (work, guidance, prompt) in enumerate(ASKED)
    ]

    together = run(runner, jobs)

    for request, latents in zip(jobs, together, strict=True):
        (alone,) = run(runner, [request])
        assert relative_error(latents, alone) < 1e-5


@pytest.mark.parametrize("kind", [*UNETS, *FLOWS])
def test_m10_half_the_precision_makes_nearly_the_same(
    models: Callable[[str], Model], kind: str
) -> None:
    whole = models(kind)
    request = task("inpaint", sampler="euler", steps=3)

    (rough,) = run(in_half(whole.folder, whole.tables), [request])

    (exact,) = run(whole.runner, [request])
    assert relative_error(rough, exact) < 0.05
    assert torch.get_default_dtype() == torch.float32
