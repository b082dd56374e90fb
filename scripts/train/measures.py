"""How well the exported model does each kind of work: from words, from blobs, in masks, on lines.

Everything goes through stock diffusers pipelines over the exported folder, except for inpainting:
stock pipelines refuse latents of 16 channels there, so that is asked of the studio's own worker.
"""

from __future__ import annotations

import io
import random
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
)
from PIL import Image, ImageFilter

from gpu import api

from .colours import COLOURS
from .diffusion import GUIDANCE
from .drawings import scribble
from .judge import Judge, accuracy
from .places import SURROUNDINGS
from .scenes import SIZE_PX, Scene, draw_scene, loose_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from diffusers import StableDiffusionPipeline

    from .devices import Device
    from .judge import Figures
    from .requests import Request

Picture = np.ndarray
_BATCH: Final = 18


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pictures are sampled; the scheduler is the folder's own."""

    num_steps: int = 20
    guidance_scale: float = GUIDANCE
    seed: int = 0


def sample_pictures(
    pipeline: StableDiffusionPipeline, device: Device, prompts: list[str], sampling: Sampling
) -> list[Picture]:
    """One picture for each prompt, uint8 (256, 256, 3)."""
    return _run(pipeline, device, [{"prompt": prompt} for prompt in prompts], sampling)


def _run(
    pipeline: StableDiffusionPipeline,
    device: Device,
    calls: list[dict[str, object]],
    sampling: Sampling,
    **options: object,
) -> list[Picture]:
    """Calls a pipeline in batches; `calls` hold what differs from picture to picture."""
    generator = torch.Generator(device.name).manual_seed(sampling.seed)
    pictures: list[Picture] = []
    for i in range(0, len(calls), _BATCH):
        batch = calls[i : i + _BATCH]
        with device.autocast():
            images = pipeline(
                **{name: [call[name] for call in batch] for name in batch[0]},
                num_inference_steps=sampling.num_steps,
                guidance_scale=sampling.guidance_scale,
                generator=generator,
                output_type="np",
                **options,
            ).images
        pictures += [(image * 255).round().astype(np.uint8) for image in images]
    return pictures


def of_shape(
    pipeline: StableDiffusionPipeline,
    device: Device,
    judge: Judge,
    requests: list[Request],
    height: int,
    width: int,
) -> tuple[Figures, list[Picture]]:
    """Pictures of another shape, in pixels; their middle square is judged."""
    calls: list[dict[str, object]] = [{"prompt": request.prompt} for request in requests]
    pictures = _run(pipeline, device, calls, Sampling(), height=height, width=width)
    squares = [middle_square(picture) for picture in pictures]
    return accuracy(judge, squares, [request.scene for request in requests]), squares


def middle_square(picture: Picture) -> Picture:
    """The largest square about the middle, as 256 pixels."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC))


# --- from a rough blob ------------------------------------------------------------------------


def blob(scene: Scene) -> tuple[Image.Image, np.ndarray]:
    """What somebody smears before image-to-image, and where: one colour on a flat ground."""
    item = scene.items[0]
    with_thing = draw_scene(Scene((item,), "white", "flat", seed=scene.seed)).astype(int)
    without = draw_scene(Scene((), "white", "flat", seed=scene.seed)).astype(int)
    thing = (np.abs(with_thing - without).sum(2) > 24).astype(np.uint8) * 255
    # Corners and holes are lost, as they are under a broad brush.
    smeared = Image.fromarray(thing).filter(ImageFilter.GaussianBlur(9))
    where = np.asarray(smeared) > 110
    ground = tuple(int(c) for c in SURROUNDINGS[scene.place][0])
    pixels = np.empty((SIZE_PX, SIZE_PX, 3), np.uint8)
    pixels[:] = ground
    pixels[where] = tuple(int(c) for c in COLOURS[item.colour])
    return Image.fromarray(pixels), where


def painted(picture: Picture) -> np.ndarray:
    """Where something stands out from a plain ground, bool (256, 256)."""
    border = np.concatenate([picture[:10].reshape(-1, 3), picture[:, :10].reshape(-1, 3)])
    ground = np.median(border, axis=0)
    return np.asarray(np.abs(picture.astype(float) - ground).max(2) > 44)


def image_to_image(
    pipeline: StableDiffusionPipeline, device: Device, judge: Judge, requests: list[Request]
) -> tuple[Figures, list[Picture]]:
    """Strength 0.6 from blobs on plain grounds: what is judged, and whether it stayed there."""
    blobs = [blob(request.scene) for request in requests]
    img2img = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    img2img.set_progress_bar_config(disable=True)
    calls: list[dict[str, object]] = [
        {"prompt": request.prompt, "image": image}
        for request, (image, _) in zip(requests, blobs, strict=True)
    ]
    pictures = _run(img2img, device, calls, Sampling(), strength=0.6)
    figures = accuracy(judge, pictures, [request.scene for request in requests])
    overlaps = []
    for picture, (_, where) in zip(pictures, blobs, strict=True):
        found = painted(picture)
        overlaps.append((found & where).sum() / max(1, (found | where).sum()))
    figures["layout_iou"] = float(np.mean(overlaps))
    pairs = [np.asarray(image) for image, _ in blobs]
    return figures, [p for pair in zip(pairs, pictures, strict=True) for p in pair]


# --- in a mask, by the studio's worker --------------------------------------------------------


def inpainting(
    model: Path, judge: Judge, requests: list[Request], num_steps: int = 20
) -> tuple[Figures, list[Picture]]:
    """A thing asked for in the middle of an empty place: is it there, is all else untouched?"""
    rng = random.Random(5)
    jobs, scenery = [], []
    for i, request in enumerate(requests):
        scene = request.scene
        empty = draw_scene(Scene((), scene.place, seed=scene.seed))
        scenery.append(empty)
        jobs.append(_inpainting_job(i, request, empty, num_steps, rng))
    pictures, untouched = [], []
    for job, empty, layer in zip(jobs, scenery, paint(model, jobs), strict=True):
        whole = Image.fromarray(empty).convert("RGBA")
        whole.alpha_composite(layer.convert("RGBA"))
        picture = np.asarray(whole.convert("RGB"))
        assert job.mask is not None
        outside = np.frombuffer(job.mask.data, np.uint8).reshape(SIZE_PX, SIZE_PX) == 0
        untouched.append(bool((picture[outside] == empty[outside]).all()))
        pictures.append(picture)
    figures = accuracy(judge, pictures, [request.scene for request in requests])
    return {**figures, "outside_untouched": float(np.mean(untouched))}, pictures


def _inpainting_job(
    number: int, request: Request, empty: Picture, num_steps: int, rng: random.Random
) -> api.Job:
    half = rng.randint(84, 100)
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[128 - half : 128 + half, 128 - half : 128 + half] = 255
    opaque = np.dstack([empty, np.full(empty.shape[:2], 255, np.uint8)])
    return api.Job(
        id=api.JobId(f"inpaint-{number}"),
        room="evaluation",
        person=f"person-{number}",
        slot=f"slot-{number}",
        prompt=request.prompt,
        steps=num_steps,
        guidance=GUIDANCE,
        seed=number,
        image=api.Picture(SIZE_PX, SIZE_PX, "RGBA", opaque.tobytes()),
        mask=api.Picture(SIZE_PX, SIZE_PX, "L", mask.tobytes()),
    )


def paint(model: Path, jobs: list[api.Job]) -> Iterator[Image.Image]:
    """What a worker process of the studio makes of jobs, in their order."""
    command = [sys.executable, "-m", "gpu.worker", "--model", str(model)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for job in jobs:
            worker.stdin.write(api.encode(api.Submit(job)))
        worker.stdin.flush()
        done: dict[str, bytes] = {}
        events = cast("BinaryIO", worker.stdout)
        while len(done) < len(jobs):
            body = api.read_frame(events)
            assert body is not None, "the worker ended before its jobs did"
            match api.decode_event(body):
                case api.Done(job=job_id, png=png):
                    done[job_id] = png
                case api.Failed(reason=reason) | api.Fatal(reason=reason):
                    raise RuntimeError(reason)
        worker.stdin.close()
    for job in jobs:
        yield Image.open(io.BytesIO(done[job.id]))


# --- along lines ------------------------------------------------------------------------------


def control(
    pipeline: StableDiffusionPipeline,
    model: Path,
    device: Device,
    judge: Judge,
    requests: list[Request],
) -> tuple[dict[str, object], list[Picture]]:
    """From lines and words: how far the picture's edges are the lines, and what is seen there.

    Beside it, as `rendered` and `words_alone`, the same of the scenes themselves and of pictures
    that never saw the lines: what could be reached, and what says nothing.
    """
    net = ControlNetModel.from_pretrained(model, subfolder="controlnet").to(device.name)
    controlled = StableDiffusionControlNetPipeline(
        **pipeline.components, controlnet=net, requires_safety_checker=False
    )
    controlled.set_progress_bar_config(disable=True)
    scenes = [request.scene for request in requests]
    lines = [scribble(scene) for scene in scenes]
    calls: list[dict[str, object]] = [
        {"prompt": request.prompt, "image": Image.fromarray(line)}
        for request, line in zip(requests, lines, strict=True)
    ]
    pictures = _run(controlled, device, calls, Sampling())
    rendered = [draw_scene(scene, arrange=loose_layout) for scene in scenes]
    blind = sample_pictures(pipeline, device, [request.prompt for request in requests], Sampling())
    figures: dict[str, object] = {
        **_along(judge, pictures, scenes, lines),
        "rendered": _along(judge, rendered, scenes, lines),
        "words_alone": _along(judge, blind, scenes, lines),
    }
    return figures, [p for pair in zip(lines, pictures, strict=True) for p in pair]


def _along(
    judge: Judge, pictures: list[Picture], scenes: list[Scene], lines: list[Picture]
) -> Figures:
    """Positions aren't judged: captions don't say where the lines are."""
    judged = accuracy(judge, pictures, scenes)
    scores = [edge_f1(picture, line) for picture, line in zip(pictures, lines, strict=True)]
    return {
        "edge_f1": float(np.mean(scores)),
        **{name: judged[name] for name in ("kind", "colour", "background")},
    }


def edge_f1(picture: Picture, lines: Picture, within_px: int = 3) -> float:
    """F1 of a picture's edges against drawn lines, each within `within_px` of the other."""
    edges, drawn = edges_of(picture), lines[..., 0] > 127
    precision = (edges & _near(drawn, within_px)).sum() / max(1, edges.sum())
    # A thick line has two borders; it is met where an edge runs along it.
    recall = (drawn & _near(edges, within_px)).sum() / max(1, drawn.sum())
    return float(2 * precision * recall / max(1e-9, precision + recall))


def edges_of(picture: Picture, least: float = 16.0) -> np.ndarray:
    """Where colours change abruptly, bool (height, width)."""
    smooth = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1)), float)
    across = np.abs(np.diff(smooth, axis=1, append=smooth[:, -1:])).max(2)
    down = np.abs(np.diff(smooth, axis=0, append=smooth[-1:])).max(2)
    return np.asarray(np.maximum(across, down) > least)


def _near(mask: np.ndarray, reach_px: int) -> np.ndarray:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * reach_px + 1))) > 0


# --- in an adapter's style --------------------------------------------------------------------


def adapter(
    pipeline: StableDiffusionPipeline,
    model: Path,
    device: Device,
    judge: Judge,
    style: str,
    requests: list[Request],
) -> tuple[Figures, list[Picture]]:
    """With one adapter loaded; requests' scenes are of its style, their prompts name none."""
    pipeline.load_lora_weights(model / "loras", weight_name=f"{style}.safetensors")
    prompts = [request.prompt for request in requests]
    pictures = sample_pictures(pipeline, device, prompts, Sampling())
    pipeline.unload_lora_weights()
    return accuracy(judge, pictures, [request.scene for request in requests]), pictures
