"""Stable Diffusion XL (Podell et al. 2023), with its turbo, lightning and LCM variants.

Two CLIP text encoders are read side by side; the U-Net is told what the second one's window says
as a whole, and the picture's size. A U-Net of nine channels fills holes. Loads a diffusers folder
or one .safetensors file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gpu.errors import ModelError
from gpu.models.autoencoder import CLASSES
from gpu.models.checkpoint import check_component
from gpu.models.family import Reading, Words
from gpu.models.parts import (
    INDEX,
    load_part,
    load_tokenizer,
    quieten,
    read_json,
    require_classes,
)
from gpu.models.single_file import (
    OPEN_CLIP_PADDING,
    OPENAI_PADDING,
    Layout,
    load_unet_file,
)
from gpu.models.text import PromptReader, of_one_length, penultimate_states
from gpu.models.unet import Parts, UNetFamily, check_unet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from gpu.models.checkpoint import Shapes
    from gpu.models.family import Family, LoadOptions, Report, Row
    from gpu.models.lora_file import Part

_PLAIN = Reading()
_CLIP = ("CLIPTokenizer", "CLIPTokenizerFast")
_ENCODERS: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
_TOKENIZERS = ("tokenizer", "tokenizer_2")
_LAYOUT = Layout(
    title="Stable Diffusion XL",
    folder=Path(__file__).parent / "sdxl",
    text_width=2048,
    text_layer="input_blocks.4.1",
    encoders=(
        "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight",
        "conditioner.embedders.1.model.token_embedding.weight",
    ),
    paddings={"tokenizer": OPENAI_PADDING, "tokenizer_2": OPEN_CLIP_PADDING},
)
_ALLOWED = {"addition_embed_type": ("text_time",)}
_NUM_TIME_IDS = 6


class StableDiffusionXL(UNetFamily):
    def __init__(
        self, parts: Parts, options: LoadOptions, report: Report, *, zeros_for_empty: bool
    ) -> None:
        """`zeros_for_empty`: without a negative prompt its embedding is all zeros."""
        super().__init__(parts, options, report)
        self._zeros_for_empty = zeros_for_empty
        self._readers = [
            PromptReader(
                *parts.encoders[part],
                options,
                self._adapters.mixers[part],
                self._reserve.fetched,
                penultimate_states,
            )
            for part in _ENCODERS
        ]

    def encode_prompt(self, text: str, reading: Reading = _PLAIN) -> Words:
        first, second = (reader.read(text, reading) for reader in self._readers)
        return Words(torch.cat([first.tokens, second.tokens], -1), second.pooled)

    def encode_pair(
        self, prompt: str, negative: str, reading: Reading = _PLAIN
    ) -> tuple[Words, Words]:
        wanted = self.encode_prompt(prompt, reading)
        if self._zeros_for_empty and not negative.strip():
            assert wanted.pooled is not None
            return wanted, Words(torch.zeros_like(wanted.tokens), torch.zeros_like(wanted.pooled))
        unwanted, empty = (self.encode_prompt(text, reading) for text in (negative, ""))
        return of_one_length(wanted, unwanted, empty)

    def _told(self, latents: Tensor, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Each row's text as a whole, and its size: as if a picture of it was never cropped."""
        height, width = (side * self.latent_factor for side in latents.shape[2:])
        size = [height, width, 0, 0, height, width]
        pooled = [row.words.pooled for row in rows if row.words.pooled is not None]
        times = torch.tensor(size, dtype=latents.dtype).to(latents.device, non_blocking=True)
        return {"text_embeds": torch.stack(pooled), "time_ids": times.expand(len(rows), -1)}


def claims(parts: Mapping[str, str]) -> bool:
    """Whether a folder's parts, by name and class, are this family's."""
    return "unet" in parts and "text_encoder_2" in parts


def load_folder(options: LoadOptions, classes: Mapping[str, str], report: Report) -> Family:
    """Load a diffusers folder; raises ModelError."""
    folder = options.path
    known = {
        "unet": ("UNet2DConditionModel",),
        "vae": CLASSES,
        "text_encoder": ("CLIPTextModel",),
        "text_encoder_2": ("CLIPTextModelWithProjection",),
        "tokenizer": _CLIP,
        "tokenizer_2": _CLIP,
    }
    require_classes(folder, classes, known)
    for name in ("unet", "vae", *_ENCODERS):
        check_component(folder / name)
    report("importing the model's classes")
    import diffusers
    import transformers

    quieten()
    report("reading the weights")
    unet = load_part(diffusers.UNet2DConditionModel, folder / "unet", options.dtype)
    vae = load_part(getattr(diffusers, classes["vae"]), folder / "vae", torch.float32)
    encoders = {
        part: (
            load_tokenizer(transformers.CLIPTokenizer, folder / tokenizer),
            load_part(getattr(transformers, classes[part]), folder / part, torch.float32),
        )
        for part, tokenizer in zip(_ENCODERS, _TOKENIZERS, strict=True)
    }
    config = read_json(folder / "scheduler" / "scheduler_config.json")
    index = read_json(folder / INDEX)
    parts = Parts(folder.resolve().name, unet, vae, encoders, config)
    _check(folder, parts)
    zeros = bool(index.get("force_zeros_for_empty_prompt", True))
    return StableDiffusionXL(parts, options, report, zeros_for_empty=zeros)


def _check(source: Path, parts: Parts) -> None:
    encoders = [encoder.config for _, encoder in parts.encoders.values()]
    text_width = sum(config.hidden_size for config in encoders)
    check_unet(source, parts.unet, parts.vae, text_width, _ALLOWED)
    config = parts.unet.config
    told = config.addition_time_embed_dim * _NUM_TIME_IDS + encoders[1].projection_dim
    if told != config.projection_class_embeddings_input_dim:
        raise ModelError(
            f"{source}: expected a unet that is told {told} numbers of text and size, got "
            f"{config.projection_class_embeddings_input_dim}: the refiner can't be used"
        )
    sizes = {len(tokenizer) for tokenizer, _ in parts.encoders.values()}
    if len(sizes) > 1:
        raise ModelError(f"{source}: expected two tokenizers of one vocabulary, got {sizes} tokens")


def layout_of(shapes: Shapes) -> Layout | None:
    """What kind of a single file holds tensors of these names and shapes, if it is one of ours."""
    return _LAYOUT if _LAYOUT.fits(shapes) else None


def load_file(options: LoadOptions, layout: Layout, shapes: Shapes, report: Report) -> Family:
    """Load one file of the layout from `layout_of`; raises ModelError."""
    pipeline = load_unet_file("StableDiffusionXLPipeline", options, layout, shapes, report)
    encoders = {
        part: (getattr(pipeline, tokenizer), getattr(pipeline, part))
        for part, tokenizer in zip(_ENCODERS, _TOKENIZERS, strict=True)
    }
    config = read_json(layout.folder / "scheduler" / "scheduler_config.json") | _marks(shapes)
    parts = Parts(options.path.stem, pipeline.unet, pipeline.vae, encoders, config)
    return StableDiffusionXL(parts, options, report, zeros_for_empty=True)


def _marks(shapes: Shapes) -> dict[str, object]:
    """What a file says of its noise schedule by empty tensors of these names, as trainers of
    models that predict v mark them and ComfyUI reads them."""
    marks: dict[str, object] = {}
    if "v_pred" in shapes:
        marks["prediction_type"] = "v_prediction"
    if "ztsnr" in shapes:
        marks["rescale_betas_zero_snr"] = True
    return marks
