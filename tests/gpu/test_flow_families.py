"""Stable Diffusion 3, FLUX.1 and Z-Image against diffusers' own pipelines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import SamplerError, Tables
from tests.gpu.parity import SIDE, TASKS, in_half, relative_error, run, stock, task
from tests.gpu.tiny_flows import save_flux, save_sd3, save_z_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.api import Job

TOLERANCE = 1e-4
GUIDED = (("txt2img", 3.0), ("img2img", 1.0), ("inpaint", 5.0))
KINDS: dict[str, tuple[Callable[..., None], dict[str, Any], str]] = {
    "sd3": (save_sd3, {"has_t5": True}, "StableDiffusion3"),
    "sd3-without-t5": (save_sd3, {"has_t5": False}, "StableDiffusion3"),
    "flux-dev": (save_flux, {"guided": True}, "Flux"),
    "flux-schnell": (save_flux, {"guided": False}, "Flux"),
    "z-image": (save_z_image, {}, "ZImage"),
}


_OPTIONAL = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")


class Model:
    """One kind of model: its folder, and a runner of ours."""

    def __init__(self, kind: str, folder: Path) -> None:
        save, settings, self.pipeline = KINDS[kind]
        save(folder, **settings)
        self.folder = folder
        self.family = load(LoadOptions(folder, torch.device("cpu"), torch.float32), lambda _: None)
        self.tables = Tables(self.family.scheduler_config, self.family.pace)
        self.runner = Runner(self.family, self.tables, fit(self.family, 4)[0])

    def stock(self, request: Job, kind: str) -> torch.Tensor:
        import diffusers

        task_name = {"txt2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}[kind]
        name = f"{self.pipeline}{task_name}Pipeline"
        parts = _OPTIONAL if self.pipeline == "StableDiffusion3" else ()
        absent = {part: None for part in parts if not (self.folder / part).is_dir()}
        pipeline = getattr(diffusers, name).from_pretrained(self.folder, **absent)
        more: dict[str, Any] = {}
        match self.pipeline:
            case "StableDiffusion3":
                more = {"negative_prompt": request.negative}
            case "ZImage":
                # Its own pipeline counts guidance from 0.
                guidance = max(0.0, request.guidance - 1)
                more = {"negative_prompt": request.negative, "guidance_scale": guidance}
        latents = stock(pipeline, request, **more)
        if self.pipeline != "Flux":
            return latents
        unpacked: torch.Tensor = pipeline._unpack_latents(latents[None], SIDE, SIDE, 8)
        return unpacked[0]


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


def test_m14_controls_are_refused_by_name(models: Callable[[str], Model]) -> None:
    family = models("sd3").family

    with pytest.raises(ValueError, match="takes no controls"):
        family.take_control("edges")


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
