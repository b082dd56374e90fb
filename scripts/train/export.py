"""Packs the parts into a folder that stock diffusers loads: float16 safetensors, <= 25 MB."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final, cast

from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from .card import refresh
from .diffusion import build_scheduler

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import CLIPTextModel, CLIPTokenizer

LIMIT_BYTES: Final = 25_000_000
# Written by people or by `evaluate`, not by `export`; kept when the weights are replaced.
_KEPT: Final = ("MODEL_CARD.md", "samples.webp", "unpicked.webp", "studio.json")
# What is trained on top of the model, as folders beside its parts.
_ON_TOP: Final = ("controlnet", "loras")


def build_pipeline(
    vae: AutoencoderTiny,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return cast("StableDiffusionPipeline", pipeline)


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The exported model, in float32 as stock diffusers loads it."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return cast("StableDiffusionPipeline", pipeline)


def export(pipeline: StableDiffusionPipeline, work: Path, target: Path) -> int:
    """Writes the pipeline and what `work` has on top of it to `target`; returns the bytes.

    It is written beside and swapped, so that a reader finds all of one version.
    """
    beside, old = target.with_name(target.name + ".new"), target.with_name(target.name + ".old")
    shutil.rmtree(beside, ignore_errors=True)
    pipeline.save_pretrained(beside, safe_serialization=True)
    for name in _ON_TOP:
        if (work / name).exists():
            shutil.copytree(work / name, beside / name)
    for weights in beside.rglob("*.safetensors"):
        _halve(weights)
    _compact(beside / "tokenizer" / "tokenizer.json")
    for path in [target / name for name in _KEPT if (target / name).exists()]:
        shutil.copy2(path, beside / path.name)
    _refresh_card(beside / "MODEL_CARD.md")
    size = folder_bytes(beside)
    assert size <= LIMIT_BYTES, f"the model takes {size} bytes, {LIMIT_BYTES} are allowed"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    beside.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return size


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _compact(path: Path) -> None:
    """The same JSON without its indentation, which is half of it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    compact = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path.write_text(compact + "\n", encoding="utf-8")


def _refresh_card(path: Path) -> None:
    if path.exists():
        path.write_text(refresh(path.read_text(encoding="utf-8")), encoding="utf-8")


def _halve(path: Path) -> None:
    """Rewrites one weights file in float16 without touching the model in memory."""
    weights = {name: value.half().contiguous() for name, value in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)
    config = path.parent / "config.json"
    if not config.exists():
        return
    settings = json.loads(config.read_text())
    # A path of this machine, and an entry that AutoencoderTiny derives and would warn of.
    settings.pop("_name_or_path", None)
    if settings.get("_class_name") == "AutoencoderTiny":
        settings.pop("block_out_channels", None)
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
