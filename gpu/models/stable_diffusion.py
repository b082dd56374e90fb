"""Stable Diffusion 1.x and 2.x: one CLIP text encoder, a U-Net, an autoencoder.

Serves the embedded model too, which has AutoencoderTiny and 16 pixels a cell. Predicts noise or
v; a U-Net of nine channels fills holes. Loads a diffusers folder or one .safetensors file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gpu.models.autoencoder import CLASSES
from gpu.models.checkpoint import check_component
from gpu.models.family import Reading
from gpu.models.parts import load_part, load_tokenizer, quieten, read_json, require_classes
from gpu.models.single_file import (
    OPEN_CLIP_PADDING,
    OPENAI_PADDING,
    Layout,
    load_unet_file,
)
from gpu.models.text import PromptReader, of_one_length
from gpu.models.unet import Parts, UNetFamily, check_unet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpu.models.checkpoint import Shapes
    from gpu.models.family import Family, LoadOptions, Report, Words
    from gpu.models.lora_file import Part

_PLAIN = Reading()
_CLIP = ("CLIPTokenizer", "CLIPTokenizerFast")
_LAYOUTS = (
    Layout(
        title="Stable Diffusion 1.x",
        folder=Path(__file__).parent / "sd1",
        text_width=768,
        text_layer="input_blocks.1.1",
        encoders=("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",),
        paddings={"tokenizer": OPENAI_PADDING},
    ),
    Layout(
        title="Stable Diffusion 2.x",
        folder=Path(__file__).parent / "sd2",
        text_width=1024,
        text_layer="input_blocks.1.1",
        encoders=("cond_stage_model.model.token_embedding.weight",),
        paddings={"tokenizer": OPEN_CLIP_PADDING},
    ),
)
_ALLOWED = {"addition_embed_type": (None, "text")}


class StableDiffusion(UNetFamily):
    autoencoder_fits_fp16 = True

    def __init__(self, parts: Parts, options: LoadOptions, report: Report) -> None:
        super().__init__(parts, options, report)
        mixer = self._adapters.mixers["text_encoder"]
        self._reader = PromptReader(
            *parts.encoders["text_encoder"], options, mixer, self._reserve.fetched
        )

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        return self._reader.read(text, reading)

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        texts = (prompt, negative, "")
        return of_one_length(*(self._reader.read(text, reading) for text in texts))


def claims(parts: Mapping[str, str]) -> bool:
    """Whether a folder's parts, by name and class, are this family's."""
    return "unet" in parts and "text_encoder_2" not in parts


def load_folder(options: LoadOptions, classes: Mapping[str, str], report: Report) -> Family:
    """Load a diffusers folder; raises ModelError."""
    folder = options.path
    known = {
        "unet": ("UNet2DConditionModel",),
        "vae": CLASSES,
        "text_encoder": ("CLIPTextModel",),
        "tokenizer": _CLIP,
    }
    require_classes(folder, classes, known)
    for name in ("unet", "vae", "text_encoder"):
        check_component(folder / name)
    report("importing the model's classes")
    import diffusers
    import transformers

    quieten()
    report("reading the weights")
    tokenizer = load_tokenizer(transformers.CLIPTokenizer, folder / "tokenizer")
    unet = load_part(diffusers.UNet2DConditionModel, folder / "unet", options.dtype)
    vae = load_part(getattr(diffusers, classes["vae"]), folder / "vae", torch.float32)
    encoder = load_part(transformers.CLIPTextModel, folder / "text_encoder", torch.float32)
    check_unet(folder, unet, vae, encoder.config.hidden_size, _ALLOWED)
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    encoders: dict[Part, tuple[Any, Any]] = {"text_encoder": (tokenizer, encoder)}
    parts = Parts(folder.resolve().name, unet, vae, encoders, config)
    return StableDiffusion(parts, options, report)


def layout_of(shapes: Shapes) -> Layout | None:
    """What kind of a single file holds tensors of these names and shapes, if it is one of ours."""
    return next((layout for layout in _LAYOUTS if layout.fits(shapes)), None)


def load_file(options: LoadOptions, layout: Layout, shapes: Shapes, report: Report) -> Family:
    """Load one file of a layout from `layout_of`; raises ModelError."""
    pipeline = load_unet_file("StableDiffusionPipeline", options, layout, shapes, report)
    parts = Parts(
        options.path.stem,
        pipeline.unet,
        pipeline.vae,
        {"text_encoder": (pipeline.tokenizer, pipeline.text_encoder)},
        read_json(layout.folder / "scheduler" / "scheduler_config.json"),
    )
    return StableDiffusion(parts, options, report)
