"""Measures the exported folder with stock diffusers, the judge, and held-out prompts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from diffusers import AutoencoderTiny, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image, ImageDraw

from .autoencoder import measure_psnr
from .captions import Language, caption
from .colours import COLOURS
from .export import folder_bytes, load_pipeline
from .grids import grid
from .judge import Judge, accuracy, own_accuracy, train_judge
from .places import SURROUNDINGS
from .scenes import Scene, sample_scene
from .text import load_reader, load_tokenizer, measure_recall
from .things import KINDS
from .unet import sheet_prompts

if TYPE_CHECKING:
    from pathlib import Path

    from .devices import Device

Figures = dict[str, float]
_BATCH: Final = 18


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pictures are sampled; the scheduler is the folder's own."""

    num_steps: int = 12
    guidance_scale: float = 3.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and the scene that it asks for."""

    prompt: str
    scene: Scene


def held_out_requests(seed: int, per_kind: int, language: Language) -> list[Request]:
    """Held-out combinations in held-out wordings, `per_kind` of each kind.

    Everything is named, so that every attribute of the picture can be judged.
    """
    rng = random.Random(f"{seed} {language}")
    waiting = dict.fromkeys(KINDS, per_kind)
    requests = []
    while any(waiting.values()):
        scene = sample_scene(rng, "placed", held_out=rng.random() < 0.5)
        if not waiting[scene.kind]:
            continue
        one = caption(rng, scene, language, held_out=True)
        missing = scene.tags() - one.tags
        if all(tag == "position:centre" for tag in missing):
            waiting[scene.kind] -= 1
            requests.append(Request(one.text, scene))
    return requests


def sample_pictures(
    pipeline: StableDiffusionPipeline, device: Device, prompts: list[str], sampling: Sampling
) -> list[np.ndarray]:
    """One picture for each prompt, uint8 (256, 256, 3)."""
    generator = torch.Generator(device.name).manual_seed(sampling.seed)
    pictures: list[np.ndarray] = []
    for i in range(0, len(prompts), _BATCH):
        with device.autocast():
            images = pipeline(
                prompts[i : i + _BATCH],
                num_inference_steps=sampling.num_steps,
                guidance_scale=sampling.guidance_scale,
                generator=generator,
                output_type="np",
            ).images
        pictures += [(image * 255).round().astype(np.uint8) for image in images]
    return pictures


def follow(
    pipeline: StableDiffusionPipeline,
    device: Device,
    judge: Judge,
    requests: list[Request],
    sampling: Sampling,
) -> tuple[Figures, Figures]:
    """How far pictures follow their prompts: by attribute, and the kind by kind."""
    pictures = sample_pictures(pipeline, device, [r.prompt for r in requests], sampling)
    scenes = [request.scene for request in requests]
    by_kind = {}
    for kind in KINDS:
        rows = [i for i, scene in enumerate(scenes) if scene.kind == kind]
        found = accuracy(judge, [pictures[i] for i in rows], [scenes[i] for i in rows])
        by_kind[kind] = found["kind"]
    return accuracy(judge, pictures, scenes), by_kind


def blob(scene: Scene, size_px: int = 256) -> Image.Image:
    """What somebody scribbles before image-to-image: a round blob on a flat ground."""
    ground = tuple(int(c) for c in SURROUNDINGS[scene.place][0])
    ink = tuple(int(c) for c in COLOURS[scene.colour])
    image = Image.new("RGB", (size_px, size_px), ground)
    inset = size_px // 5
    ImageDraw.Draw(image).ellipse((inset, inset, size_px - inset, size_px - inset), fill=ink)
    return image


def refine(
    pipeline: StableDiffusionPipeline, device: Device, requests: list[Request], strength: float
) -> list[np.ndarray]:
    """Image-to-image from blobs, with the stock pipeline over the same parts."""
    image_to_image = StableDiffusionImg2ImgPipeline(
        **pipeline.components, requires_safety_checker=False
    )
    image_to_image.set_progress_bar_config(disable=True)
    with device.autocast():
        images = image_to_image(
            [request.prompt for request in requests],
            image=[blob(request.scene) for request in requests],
            strength=strength,
            num_inference_steps=20,
            guidance_scale=3.0,
            generator=torch.Generator(device.name).manual_seed(0),
            output_type="np",
        ).images
    return [(image * 255).round().astype(np.uint8) for image in images]


def evaluate(
    folder: Path, model: Path, device: Device, seed: int, per_kind: int = 6
) -> dict[str, object]:
    """All figures of an exported model, ready for JSON; leaves `samples.jpg` in its folder."""
    pipeline = load_pipeline(model).to(device.name)
    vae: AutoencoderTiny = pipeline.vae
    judge = train_judge(folder, device, vae, seed, 1500)
    figures: dict[str, object] = {
        "bytes": folder_bytes(model),
        "autoencoder_psnr_db": measure_psnr(vae, device, seed + 7),
        "judge": own_accuracy(judge, vae, seed + 8),
        "text": measure_recall(load_reader(folder), load_tokenizer(folder / "tokenizer"), seed + 9),
    }
    languages: tuple[Language, ...] = ("en", "zh")
    for language in languages:
        requests = held_out_requests(seed, per_kind, language)
        overall, by_kind = follow(pipeline, device, judge, requests, Sampling())
        figures[f"prompts_{language}"] = overall
        figures[f"kinds_{language}"] = by_kind
        quick, _ = follow(pipeline, device, judge, requests, Sampling(num_steps=4))
        figures[f"prompts_{language}_4_steps"] = quick
    requests = held_out_requests(seed + 1, 2, "en")
    rounded = refine(pipeline, device, requests, 0.6)
    figures["image_to_image_0.6"] = accuracy(judge, rounded, [r.scene for r in requests])
    figures["seconds_4_steps"] = _time_one(pipeline, device, Sampling(num_steps=4))
    figures["seconds_12_steps"] = _time_one(pipeline, device, Sampling())
    save_samples(pipeline, device, model / "samples.jpg")
    return figures


def _time_one(pipeline: StableDiffusionPipeline, device: Device, sampling: Sampling) -> float:
    """Seconds for one picture, the best of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        sample_pictures(pipeline, device, ["a red cat in a meadow"], sampling)
        times.append(time.perf_counter() - began)
    return min(times)


def save_samples(pipeline: StableDiffusionPipeline, device: Device, path: Path) -> None:
    """The sheet of the model card: every kind on a plain ground and somewhere."""
    pictures = sample_pictures(pipeline, device, sheet_prompts(), Sampling(num_steps=20))
    grid(pictures, 9, 128).save(path, quality=88)


def describe(figures: dict[str, object]) -> str:
    """Figures as lines for people."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict):
            shown = "  ".join(f"{key} {_round(entry)}" for key, entry in value.items())
            lines.append(f"{name}: {shown}")
        else:
            lines.append(f"{name}: {_round(value)}")
    return "\n".join(lines)


def _round(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_round(entry)}" for key, entry in value.items()) + ")"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
