"""Tiny models of the flow-matching families, each beside diffusers' own pipelines for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from tests.gpu.parity import SIDE, opened, stock
from tests.gpu.tiny_controls import save_flux_control, save_sd3_control, save_z_image_control
from tests.gpu.tiny_flows import save_flux, save_sd3, save_z_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.api import Control, Job

KINDS: dict[str, tuple[Callable[..., None], dict[str, Any], str]] = {
    "sd3": (save_sd3, {"has_t5": True}, "StableDiffusion3"),
    "sd3-without-t5": (save_sd3, {"has_t5": False}, "StableDiffusion3"),
    "flux-dev": (save_flux, {"guided": True}, "Flux"),
    "flux-schnell": (save_flux, {"guided": False}, "Flux"),
    "z-image": (save_z_image, {}, "ZImage"),
}
Controls = dict[str, tuple["Callable[..., None]", dict[str, Any]]]
CONTROLS: dict[str, Controls] = {
    "sd3": {
        "wordless": (save_sd3_control, {"num_layers": 2}),
        "told": (save_sd3_control, {"num_layers": 3, "force_zeros_for_pooled_projection": False}),
        "large": (
            save_sd3_control,
            {
                "joint_attention_dim": None,
                "use_pos_embed": False,
                "pos_embed_type": None,
                "force_zeros_for_pooled_projection": False,
            },
        ),
    },
    "flux-dev": {
        "guided": (save_flux_control, {"guidance_embeds": True}),
        "without-singles": (save_flux_control, {"num_layers": 3, "num_single_layers": 0}),
        "embedding": (
            save_flux_control,
            {"conditioning_embedding_channels": 16, "patch_size": 2, "num_single_layers": 0},
        ),
    },
    "z-image": {
        "blocks": (save_z_image_control, {}),
        "first-block": (save_z_image_control, {"control_layers_places": [0]}),
        "refined": (
            save_z_image_control,
            {"control_in_dim": 33, "add_control_noise_refiner": "control_layers"},
        ),
    },
}
"""What controls each kind of model has beside it."""
_CLASSES = {
    "StableDiffusion3": "SD3ControlNetModel",
    "Flux": "FluxControlNetModel",
    "ZImage": "ZImageControlNetModel",
}
_OPTIONAL = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")


class Model:
    """One kind of model: its folder, and a runner of ours."""

    def __init__(self, kind: str, folder: Path, *, saved: bool = False) -> None:
        """`saved`: the folder is there."""
        save, settings, self.pipeline = KINDS[kind]
        if not saved:
            save(folder, **settings)
            for number, (name, (save_it, changes)) in enumerate(CONTROLS.get(kind, {}).items()):
                save_it(folder / "controlnets" / name, number, **changes)
        self.folder = folder
        self.family = load(LoadOptions(folder, torch.device("cpu"), torch.float32), lambda _: None)
        self.tables = Tables(self.family.scheduler_config, self.family.pace)
        self.runner = Runner(self.family, self.tables, fit(self.family, 4)[0])

    def stock(self, request: Job, kind: str) -> torch.Tensor:
        import diffusers

        task_name = {"txt2img": "", "img2img": "Img2Img", "inpaint": "Inpaint"}[kind]
        steers = "" if request.control is None else "ControlNet"
        name = f"{self.pipeline}{steers}{task_name}Pipeline"
        optional = _OPTIONAL if self.pipeline == "StableDiffusion3" else ()
        parts: dict[str, Any] = {
            part: None for part in optional if not (self.folder / part).is_dir()
        }
        more: dict[str, Any] = {}
        if request.control is not None:
            parts["controlnet"] = getattr(diffusers, _CLASSES[self.pipeline]).from_pretrained(
                self.folder / "controlnets" / request.control.name
            )
            more = self._steering(request.control)
        pipeline = getattr(diffusers, name).from_pretrained(self.folder, **parts)
        for lora in request.loras:
            pipeline.load_lora_weights(self.folder / "loras" / f"{lora}.safetensors", lora)
        match self.pipeline:
            case "StableDiffusion3":
                more |= {"negative_prompt": request.negative}
                if request.control is not None:
                    _sharpen(pipeline.vae)
            case "ZImage":
                # Its own pipeline counts guidance from 0.
                guidance = max(0.0, request.guidance - 1)
                more |= {"negative_prompt": request.negative, "guidance_scale": guidance}
        latents = stock(pipeline, request, **more)
        if self.pipeline != "Flux":
            return latents
        unpacked: torch.Tensor = pipeline._unpack_latents(latents[None], SIDE, SIDE, 8)
        return unpacked[0]

    def _steering(self, control: Control) -> dict[str, Any]:
        steering = {
            "control_image": opened(control.image).convert("RGB"),
            "controlnet_conditioning_scale": control.strength,
        }
        if self.pipeline == "ZImage":
            # Its own pipeline steers all steps.
            return steering
        return steering | {
            "control_guidance_start": control.start,
            "control_guidance_end": control.end,
        }


def _sharpen(vae: Any) -> None:
    """Leave an autoencoder's posterior nothing but its mode: Stable Diffusion 3's pipeline draws
    what a control sees from it, by no seed."""
    with torch.no_grad():
        layer = vae.encoder.conv_out
        layer.weight[vae.config.latent_channels :] = 0.0
        layer.bias[vae.config.latent_channels :] = -30.0
