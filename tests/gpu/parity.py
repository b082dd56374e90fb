"""Runs jobs on a runner, and holds their latents against those of diffusers' own pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.previews import fit
from gpu.runner import Runner
from gpu.sched.work import Seat, StepPlan
from tests.gpu.pictures import gradient, job, picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gpu.api import Control, Job, Picture
    from gpu.samplers.table import Tables

SIDE = 64
TASKS = ("txt2img", "img2img", "inpaint")


def run(runner: Runner, jobs: Sequence[Job]) -> list[Tensor]:
    """Take all jobs' steps together, as far as each goes; returns their final latents."""
    paintings = [runner.prepare(job) for job in jobs]
    for painting in paintings:
        runner.admit(painting)
    final = {}
    while left := [p for p in paintings if p.job not in final]:
        seats = tuple(Seat(p.job, p.demand.rows) for p in left)
        runner.step(StepPlan(left[0].demand.shape, seats))
        for painting in left:
            if painting.step == painting.table.num_steps:
                final[painting.job] = runner.release(painting.job).latents
    return [final[job.id] for job in jobs]


def in_half(folder: Path, tables: Tables) -> Runner:
    """A runner of the model in this folder, loaded in bfloat16."""
    family = load(LoadOptions(folder, torch.device("cpu"), torch.bfloat16), lambda _: None)
    return Runner(family, tables, fit(family, 2)[0])


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def task(kind: str, **fields: Any) -> Job:
    """A job of one of `TASKS`; a mask's edge lies between latent cells."""
    pixels = gradient(SIDE)
    pixels[16:40, 8:48, 0] = 250
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, SIDE // 2 :] = 255
    parts: dict[str, dict[str, Any]] = {
        "txt2img": {},
        "img2img": {"image": picture(pixels), "strength": 0.6},
        "inpaint": {"image": picture(pixels), "mask": picture(mask), "strength": 0.7},
    }
    return job(width=SIDE, height=SIDE, **{**parts[kind], **fields})


def opened(pixels: Picture) -> Image.Image:
    """As diffusers takes it: RGB, or L for a mask."""
    image = Image.frombytes(pixels.mode, (pixels.width, pixels.height), pixels.data)
    return image if pixels.mode == "L" else image.convert("RGB")


def steering(control: Control, name: str = "control_image") -> dict[str, Any]:
    """What diffusers' ControlNet pipelines are given; `name` is what they call the picture."""
    return {
        name: opened(control.image).convert("RGB"),
        "controlnet_conditioning_scale": control.strength,
        "control_guidance_start": control.start,
        "control_guidance_end": control.end,
    }


def stock(pipeline: Any, request: Job, **arguments: Any) -> Tensor:
    """The latents that a diffusers pipeline makes of a request; `arguments` go to its call."""
    pipeline.set_progress_bar_config(disable=True)
    given: dict[str, Any] = {"height": request.height, "width": request.width}
    given["guidance_scale"] = request.guidance
    if request.image is not None:
        given |= {"image": opened(request.image), "strength": request.strength}
    if request.mask is not None:
        given["mask_image"] = opened(request.mask)
    result = pipeline(
        prompt=request.prompt,
        num_inference_steps=request.steps,
        generator=torch.Generator().manual_seed(request.seed),
        **{"output_type": "latent", **given, **arguments},
    )
    images: Tensor = result.images
    return images[0]
