"""Stable Diffusion 2.x and XL, and models that fill holes, against diffusers' own pipelines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch

from gpu.api import Control
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from tests.gpu.parity import SIDE, TASKS, in_half, opened, relative_error, run, stock, task
from tests.gpu.pictures import gradient, picture
from tests.gpu.tiny_unets import save_sd, save_sdxl, save_xl_extras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.api import Job, Sampler

SAMPLERS: tuple[Sampler, ...] = ("euler_a", "dpmpp_2m")
"""One that draws noise in each step, which tells whether all draws come in diffusers' order."""
KINDS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "sd2": (save_sd, {"v_prediction": False}),
    "sd2-v": (save_sd, {"v_prediction": True}),
    "sd-fill": (save_sd, {"v_prediction": False, "fills": True}),
    "sdxl": (save_sdxl, {}),
    "sdxl-fill": (save_sdxl, {"fills": True}),
    "sdxl-lcm": (save_sdxl, {"consistency": True}),
}
GUIDED = (("txt2img", 3.0), ("img2img", 1.0), ("inpaint", 5.0))
TOLERANCE = 1e-4
WHITE = picture(np.full((SIDE, SIDE), 255, np.uint8))


class Model:
    """One kind of model: its folder, and a runner of ours."""

    def __init__(self, kind: str, folder: Path) -> None:
        save, settings = KINDS[kind]
        save(folder, seed=sorted(KINDS).index(kind), **settings)
        if kind == "sdxl":
            save_xl_extras(folder)
        self.folder = folder
        self.fills = "fill" in kind
        self.is_xl = "sdxl" in kind
        self.family = load(LoadOptions(folder, torch.device("cpu"), torch.float32), lambda _: None)
        self.tables = Tables(self.family.scheduler_config)
        self.runner = Runner(self.family, self.tables, fit(self.family, 4)[0])

    def stock(self, request: Job, kind: str) -> torch.Tensor:
        import diffusers

        if self.fills:
            # Their own pipeline does all three: what no mask covers is a mask that covers all.
            blank = picture(gradient(SIDE))
            parts = {"image": request.image or blank, "mask": request.mask or WHITE}
            request = msgspec.structs.replace(request, **parts)
            kind = "inpaint"
        task_name = {"txt2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}[kind]
        name = f"StableDiffusion{'XL' if self.is_xl else ''}{task_name}Pipeline"
        options: dict[str, Any] = {} if self.is_xl else {"safety_checker": None}
        pipeline = getattr(diffusers, name).from_pretrained(
            self.folder,
            scheduler=self.tables.scheduler(request.sampler, request.steps),
            **options,
        )
        for lora in request.loras:
            pipeline.load_lora_weights(self.folder / "loras" / f"{lora}.safetensors", lora)
        # XL's own pipelines count an empty negative prompt as one; none is what frames have.
        return stock(pipeline, request, negative_prompt=request.negative or None)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    root = tmp_path_factory.mktemp("families")
    return cache(lambda kind: Model(kind, root / kind))


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("model", KINDS)
def test_m10_a_family_makes_what_diffusers_makes(
    models: Callable[[str], Model], model: str, sampler: Sampler, kind: str
) -> None:
    request = task(kind, sampler=sampler, steps=5, negative="" if sampler == "euler_a" else "fog")

    (ours,) = run(models(model).runner, [request])

    assert relative_error(ours, models(model).stock(request, kind)) < TOLERANCE


@pytest.mark.parametrize("model", KINDS)
def test_m11_rows_of_different_jobs_share_a_forward_and_do_not_feel_each_other(
    models: Callable[[str], Model], model: str
) -> None:
    runner = models(model).runner
    jobs = [task(kind, guidance=g, seed=n) for n, (kind, g) in enumerate(GUIDED)]

    together = run(runner, jobs)

    for request, latents in zip(jobs, together, strict=True):
        (alone,) = run(runner, [request])
        assert relative_error(latents, alone) < 1e-5


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

    assert relative_error(ours, model.stock(request, "txt2img")) < TOLERANCE
    assert relative_error(ours, plain) > 1e-2


def test_g43_a_control_of_xl_is_told_of_text_and_size_too(models: Callable[[str], Model]) -> None:
    import diffusers

    model = models("sdxl")
    pixels = picture(np.ascontiguousarray(gradient(SIDE)[..., :3]))
    steered = Control(name="controlnet", image=pixels, strength=0.8)
    request = task("txt2img", control=steered, steps=3)

    (ours, plain) = run(model.runner, [request, task("txt2img", steps=3)])

    pipeline = diffusers.StableDiffusionXLControlNetPipeline.from_pretrained(
        model.folder,
        controlnet=diffusers.ControlNetModel.from_pretrained(model.folder / "controlnet"),
        scheduler=model.tables.scheduler(request.sampler, request.steps),
    )
    more = {"image": opened(pixels), "controlnet_conditioning_scale": 0.8}
    assert relative_error(ours, stock(pipeline, request, **more)) < TOLERANCE
    assert relative_error(ours, plain) > 1e-2


@pytest.mark.parametrize("model", ["sd2", "sd-fill"])
def test_g47_a_mask_at_full_strength_begins_from_noise_alone(
    models: Callable[[str], Model], model: str
) -> None:
    request = task("inpaint", strength=1.0, sampler="euler_a", steps=3)

    (ours,) = run(models(model).runner, [request])

    assert relative_error(ours, models(model).stock(request, "inpaint")) < TOLERANCE


@pytest.mark.parametrize("model", KINDS)
def test_m10_half_the_precision_makes_nearly_the_same(
    models: Callable[[str], Model], model: str
) -> None:
    whole = models(model)
    request = task("inpaint", sampler="euler", steps=3)

    (rough,) = run(in_half(whole.folder, whole.tables), [request])

    (exact,) = run(whole.runner, [request])
    assert relative_error(rough, exact) < 0.05
    assert torch.get_default_dtype() == torch.float32
