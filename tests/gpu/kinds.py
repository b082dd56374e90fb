"""Kinds of tiny models, each beside diffusers' own pipelines for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.samplers.table import Tables
from tests.gpu.families import runner_of
from tests.gpu.parity import SIDE, relative_error, run, steering, stock
from tests.gpu.pictures import gradient, picture
from tests.gpu.tiny_controls import save_flux_control, save_sd3_control, save_z_image_control
from tests.gpu.tiny_flows import save_flux, save_sd3, save_z_image
from tests.gpu.tiny_unets import save_sd, save_sdxl, save_xl_extras

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from gpu.api import Job

    Save = Callable[[Path], None]

TOLERANCE = 1e-4
"""The relative error that ours may have beside diffusers' in fp32."""


def _save_sdxl(folder: Path) -> None:
    save_sdxl(folder, seed=3)
    save_xl_extras(folder)


UNETS: dict[str, Save] = {
    "sd2": partial(save_sd, seed=1, v_prediction=False),
    "sd2-v": partial(save_sd, seed=2, v_prediction=True),
    "sd-fill": partial(save_sd, seed=0, v_prediction=False, fills=True),
    "sdxl": _save_sdxl,
    "sdxl-fill": partial(save_sdxl, seed=4, fills=True),
    "sdxl-lcm": partial(save_sdxl, seed=5, consistency=True),
}
FLOWS: dict[str, Save] = {
    "sd3": partial(save_sd3, has_t5=True),
    "sd3-without-t5": partial(save_sd3, has_t5=False),
    "flux-dev": partial(save_flux, guided=True),
    "flux-schnell": partial(save_flux, guided=False),
    "z-image": save_z_image,
}
CONTROLS: dict[str, dict[str, Save]] = {
    "sd3": {
        "wordless": partial(save_sd3_control, seed=0),
        "told": partial(
            save_sd3_control, seed=1, num_layers=3, force_zeros_for_pooled_projection=False
        ),
        "large": partial(
            save_sd3_control,
            seed=2,
            joint_attention_dim=None,
            use_pos_embed=False,
            pos_embed_type=None,
            force_zeros_for_pooled_projection=False,
        ),
    },
    "flux-dev": {
        "guided": partial(save_flux_control, seed=0, guidance_embeds=True),
        "without-singles": partial(save_flux_control, seed=1, num_layers=3, num_single_layers=0),
        "embedding": partial(
            save_flux_control,
            seed=2,
            conditioning_embedding_channels=16,
            patch_size=2,
            num_single_layers=0,
        ),
    },
    "z-image": {
        "blocks": partial(save_z_image_control, seed=0),
        "first-block": partial(save_z_image_control, seed=1, control_layers_places=[0]),
        "refined": partial(
            save_z_image_control,
            seed=2,
            control_in_dim=33,
            add_control_noise_refiner="control_layers",
        ),
    },
}
"""What controls some kinds have beside them."""
_TASKS = {"txt2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}
_OPTIONAL = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")


def model_of(kind: str, folder: Path) -> Model:
    """Save a model of this kind with its controls, and load it."""
    {**UNETS, **FLOWS}[kind](folder)
    for name, save in CONTROLS.get(kind, {}).items():
        save(folder / "controlnets" / name)
    return UNetModel(kind, folder) if kind in UNETS else FlowModel(kind, folder)


class Model:
    """A model that lies in a folder, and a runner of ours."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.lines: list[str] = []
        """What was reported."""
        options = LoadOptions(folder, torch.device("cpu"), torch.float32)
        self.family = load(options, self.lines.append)
        self.tables = Tables(self.family.scheduler_config, self.family.pace)
        self.runner = runner_of(self.family)

    def error(self, request: Job) -> float:
        """How far ours is from what diffusers makes."""
        (ours,) = run(self.runner, [request])
        return relative_error(ours, self.stock(request))

    def stock(self, request: Job) -> Tensor:
        """The latents that diffusers' own pipeline makes of a request."""
        raise NotImplementedError

    def pipeline(self, name: str, request: Job, **parts: Any) -> Any:
        """One of diffusers' pipelines, with the request's sampler and adapters."""
        import diffusers

        pipeline = getattr(diffusers, name).from_pretrained(self.folder, **parts)
        for lora in request.loras:
            pipeline.load_lora_weights(self.folder / "loras" / f"{lora}.safetensors", lora)
        if request.loras:
            pipeline.set_adapters([*request.loras], [*request.loras.values()])
        return pipeline

    def _control(self, cls: str, request: Job) -> dict[str, Any]:
        import diffusers

        assert request.control is not None
        name = request.control.name
        path = self.folder / (name if name == "controlnet" else f"controlnets/{name}")
        return {"controlnet": getattr(diffusers, cls).from_pretrained(path)}


def _task(request: Job) -> str:
    if request.mask is not None:
        return "inpaint"
    return "txt2img" if request.image is None else "img2img"


class UNetModel(Model):
    def stock(self, request: Job) -> Tensor:
        if "fill" in self.kind:
            # Their own pipeline does all three: what no mask covers is a mask that covers all.
            white = picture(np.full((SIDE, SIDE), 255, np.uint8))
            request = msgspec.structs.replace(
                request,
                image=request.image or picture(gradient(SIDE)),
                mask=request.mask or white,
            )
        parts: dict[str, Any] = {}
        steers = ""
        # XL's own pipelines count an empty negative prompt as one; none is what frames have.
        given: dict[str, Any] = {"negative_prompt": request.negative or None}
        if request.control is not None:
            steers = "ControlNet"
            parts = self._control("ControlNetModel", request)
            given |= steering(request.control, "control_image" if request.image else "image")
        xl = "XL" if "sdxl" in self.kind else ""
        name = f"StableDiffusion{xl}{steers}{_TASKS[_task(request)]}Pipeline"
        return stock(self.pipeline(name, request, **parts), request, **given)

    def pipeline(self, name: str, request: Job, **parts: Any) -> Any:
        parts["scheduler"] = self.tables.scheduler(request.sampler, request.steps)
        if "XL" not in name:
            parts["safety_checker"] = None
        return super().pipeline(name, request, **parts)


class FlowModel(Model):
    def stock(self, request: Job) -> Tensor:
        prefix, cls = {
            "sd3": ("StableDiffusion3", "SD3ControlNetModel"),
            "flux": ("Flux", "FluxControlNetModel"),
            "z": ("ZImage", "ZImageControlNetModel"),
        }[self.kind.split("-")[0]]
        parts: dict[str, Any] = {}
        steers = ""
        given: dict[str, Any] = {}
        if request.control is not None:
            steers = "ControlNet"
            parts = self._control(cls, request)
            given = steering(request.control)
        name = f"{prefix}{steers}{_TASKS[_task(request)]}Pipeline"
        pipeline = self.pipeline(name, request, **parts)
        if prefix == "Flux":
            latents = stock(pipeline, request, **given)
            unpacked: Tensor = pipeline._unpack_latents(latents[None], SIDE, SIDE, 8)
            return unpacked[0]
        given["negative_prompt"] = request.negative
        if prefix == "StableDiffusion3" and request.control is not None:
            _sharpen(pipeline.vae)
        if prefix == "ZImage":
            # Its own pipeline counts guidance from 0, and steers all steps.
            given["guidance_scale"] = max(0.0, request.guidance - 1)
            given = {name: value for name, value in given.items() if "control_guid" not in name}
        return stock(pipeline, request, **given)

    def pipeline(self, name: str, request: Job, **parts: Any) -> Any:
        if "Diffusion3" in name:
            absent = [part for part in _OPTIONAL if not (self.folder / part).is_dir()]
            parts |= dict.fromkeys(absent)
        return super().pipeline(name, request, **parts)


def _sharpen(vae: Any) -> None:
    """Leave an autoencoder's posterior nothing but its mode: Stable Diffusion 3's pipeline draws
    what a control sees from it, by no seed."""
    with torch.no_grad():
        layer = vae.encoder.conv_out
        layer.weight[vae.config.latent_channels :] = 0.0
        layer.bias[vae.config.latent_channels :] = -30.0
