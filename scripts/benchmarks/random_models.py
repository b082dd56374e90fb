"""Models of real shapes with random weights: how fast they are doesn't depend on what they know.

The real shapes are those of `gpu/models/sd1` and `gpu/models/sdxl`; toys have the same parts, a
few channels wide. Weights are drawn where they will be used: a GPU takes seconds for what would
take a processor a minute. The embedded model comes as it is.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from gpu.models import stable_diffusion, stable_diffusion_xl
from gpu.models.load import load
from gpu.models.single_file import MERGES, OPEN_CLIP_PADDING, OPENAI_PADDING, clip_tokenizer
from gpu.models.unet import Parts
from gpu.worker import EMBEDDED

if TYPE_CHECKING:
    from gpu.models.family import Family, LoadOptions
    from gpu.models.lora_file import Part

Kind = Literal["sd1", "sdxl", "embedded"]
KINDS: tuple[Kind, ...] = ("sd1", "sdxl", "embedded")
_FOLDERS = Path(stable_diffusion.__file__).parent
_TOY_TEXT = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
_TOY_TEXT |= {"num_attention_heads": 2, "projection_dim": 32}
_TOY_UNET: dict[str, dict[str, Any]] = {
    "sd1": {
        "block_out_channels": [32, 32, 32, 32],
        "cross_attention_dim": 32,
        "norm_num_groups": 8,
        "sample_size": 8,
    },
    "sdxl": {
        "block_out_channels": [32, 32, 32],
        "cross_attention_dim": 64,
        "norm_num_groups": 8,
        "sample_size": 8,
        "attention_head_dim": 2,
        "transformer_layers_per_block": [1, 1, 1],
        "addition_time_embed_dim": 16,
        "projection_class_embeddings_input_dim": 32 + 6 * 16,
    },
}
_TOY_VAE = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1}
_UNFILTERED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


@dataclass(frozen=True, slots=True)
class Model:
    """Our family and diffusers' own pipeline, of the same weights."""

    family: Family
    pipeline: Any


def build(kind: Kind, options: LoadOptions, *, toy: bool) -> Model:
    """A model on `options.device`, its denoiser in `options.dtype`; so is all else of the stock
    pipeline, as people use it."""
    model = _embedded(options) if kind == "embedded" else _random(kind, options, toy=toy)
    model.pipeline.set_progress_bar_config(disable=True)
    return model


def _embedded(options: LoadOptions) -> Model:
    import diffusers

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        EMBEDDED, local_files_only=True, **_UNFILTERED
    )
    family = load(replace(options, path=EMBEDDED), _quiet)
    return Model(family, pipeline.to(options.device, options.dtype))


def _random(kind: Literal["sd1", "sdxl"], options: LoadOptions, *, toy: bool) -> Model:
    import diffusers

    torch.manual_seed(0)
    folder = _FOLDERS / kind
    both: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
    names = both[:1] if kind == "sd1" else both
    with torch.device(options.device):
        unet = _part("UNet2DConditionModel", folder / "unet", _TOY_UNET[kind] if toy else {})
        unet = unet.to(options.dtype)
        vae = _part("AutoencoderKL", folder / "vae", _TOY_VAE if toy else {})
        encoders = {name: _encoder(folder / name, toy=toy) for name in names}
    paddings = (OPENAI_PADDING, OPEN_CLIP_PADDING)
    tokenizers = {
        name.replace("text_encoder", "tokenizer"): clip_tokenizer(MERGES, padding)
        for name, padding in zip(names, paddings, strict=False)
    }
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    pairs: dict[Part, tuple[Any, Any]] = {
        name: (tokenizers[name.replace("text_encoder", "tokenizer")], encoders[name])
        for name in names
    }
    parts = Parts(kind, unet, vae, pairs, config)
    shared: dict[str, Any] = {"unet": unet, **tokenizers}
    for name, part in [("vae", vae), *encoders.items()]:
        shared[name] = copy.deepcopy(part).to(options.dtype)
    shared["scheduler"] = diffusers.EulerDiscreteScheduler.from_config(config)
    if kind == "sd1":
        pipeline = diffusers.StableDiffusionPipeline(**shared, **_UNFILTERED)
        return Model(stable_diffusion.StableDiffusion(parts, options, _quiet), pipeline)
    family = stable_diffusion_xl.StableDiffusionXL(parts, options, _quiet, zeros_for_empty=True)
    return Model(family, diffusers.StableDiffusionXLPipeline(**shared, add_watermarker=False))


def _part(name: str, folder: Path, smaller: dict[str, Any]) -> Any:
    import diffusers

    cls = getattr(diffusers, name)
    return cls.from_config({**cls.load_config(folder), **smaller}).eval()


def _encoder(folder: Path, *, toy: bool) -> Any:
    import transformers

    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = transformers.CLIPTextConfig(**{**config, **(_TOY_TEXT if toy else {})})
    is_first = folder.name == "text_encoder"
    cls = transformers.CLIPTextModel if is_first else transformers.CLIPTextModelWithProjection
    return cls(config).eval()


def _quiet(_line: str) -> None:
    pass
