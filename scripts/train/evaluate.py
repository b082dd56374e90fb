"""Measures the exported folder: every figure of the model card, with held-out prompts."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from PIL import Image

from .autoencoder import measure_psnr
from .captions import LANGUAGES
from .diffusion import GUIDANCE
from .export import folder_bytes, load_pipeline
from .grids import grid, save_grid
from .judge import Judge, accuracy, own_accuracy, train_judge
from .measures import (
    Sampling,
    adapter,
    control,
    image_to_image,
    inpainting,
    middle_square,
    of_shape,
    sample_pictures,
)
from .probe import SHEET_COLUMNS, sheet_prompts
from .requests import Request, centred, several, things
from .scenes import draw_scene
from .styles import EXTRA_STYLES
from .text import load_reader, load_tokenizer, measure_recall
from .things import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    from diffusers import AutoencoderTiny, StableDiffusionPipeline

    from .devices import Device
    from .judge import Figures

_JUDGE_STEPS: Final = 3000
_UNPICKED: Final = 64
_QUICK: Final = Sampling(num_steps=4)
# Height and width in pixels: the smallest, the largest, 2:3 and 3:2.
OTHER_SHAPES: Final = ((192, 192), (384, 384), (192, 288), (288, 192), (256, 384), (384, 256))
# The studio's first screen; the prompts stand in web/src/ui/examples.ts too.
EXAMPLES: Final[dict[str, str]] = {
    "boat": "a red boat at sunset, watercolor",
    "cat": "an orange cat in a meadow",
    "castle": "pixel art of a castle at night",
}


@dataclass(slots=True)
class Evaluation:
    """One exported model, a judge, and the sheets that are left to be looked at."""

    model: Path
    work: Path
    device: Device
    seed: int
    per_kind: int
    pipeline: StableDiffusionPipeline
    judge: Judge

    @classmethod
    def open(cls, work: Path, model: Path, device: Device, seed: int, per_kind: int) -> Evaluation:
        pipeline = load_pipeline(model).to(device.name)
        judge = train_judge(work, device, pipeline.vae, seed, _JUDGE_STEPS)
        return cls(model, work, device, seed, per_kind, pipeline, judge)

    def parts(self) -> dict[str, object]:
        """The judge itself, the text encoder and the autoencoder."""
        vae: AutoencoderTiny = self.pipeline.vae
        tokenizer = load_tokenizer(self.work / "tokenizer")
        return {
            "bytes": folder_bytes(self.model),
            "autoencoder_psnr_db": measure_psnr(vae, self.device, self.seed + 7),
            "judge": own_accuracy(self.judge, vae, self.seed + 8),
            "text": measure_recall(load_reader(self.work), tokenizer, self.seed + 9),
        }

    def prompts(self) -> dict[str, object]:
        """From words alone: one thing, two, rows; both languages; 20 steps and 4."""
        figures: dict[str, object] = {}
        for language in LANGUAGES:
            single = things(self.seed, self.per_kind, language)
            pictures = self._sample(single, Sampling())
            figures[f"things_{language}"] = self._judge(single, pictures)
            figures[f"kinds_{language}"] = self._by_kind(single, pictures)
            quick = self._sample(single, _QUICK)
            figures[f"things_{language}_4_steps"] = self._judge(single, quick)
            for name, items in (("two", 2), ("rows", 0)):
                count = self.per_kind * (20 if items == 2 else 8)
                asked = several(self.seed, count, items, language)
                pictures = self._sample(asked, Sampling())
                figures[f"{name}_{language}"] = self._judge(asked, pictures)
                self._leave(f"{name}_{language}", pictures)
                if items == 2:
                    quick = self._sample(asked, _QUICK)
                    figures[f"{name}_{language}_4_steps"] = self._judge(asked, quick)
        return figures

    def tasks(self) -> dict[str, object]:
        """Image to image, inpainting, control and adapters; each leaves a sheet."""
        plain = centred(self.seed + 1, max(1, self.per_kind // 2), is_plain=True)
        placed = centred(self.seed + 2, max(1, self.per_kind // 2), is_plain=False)
        figures: dict[str, object] = {}
        found, pictures = image_to_image(self.pipeline, self.device, self.judge, plain)
        figures["image_to_image_0.6"] = found
        self._leave("image_to_image", pictures)
        found, pictures = inpainting(self.model, self.judge, placed)
        figures["inpainting"] = found
        self._leave("inpainting", pictures)
        if (self.model / "controlnet").exists():
            figures["control"], pictures = control(
                self.pipeline, self.model, self.device, self.judge, plain
            )
            self._leave("control", pictures)
        for style in (
            s for s in EXTRA_STYLES if (self.model / "loras" / f"{s}.safetensors").exists()
        ):
            asked = [Request(r.prompt, replace(r.scene, style=style)) for r in placed]
            found, pictures = adapter(
                self.pipeline, self.model, self.device, self.judge, style, asked
            )
            figures[f"adapter_{style}"] = found
            self._leave(f"adapter_{style}", pictures)
        return figures

    def shapes(self) -> dict[str, object]:
        """One large thing in the middle of pictures that aren't 256 pixels square.

        Beside each what the judge says of renders of that shape: it was taught on squares.
        """
        requests = centred(self.seed + 4, max(1, self.per_kind // 2), is_plain=False)
        scenes = [request.scene for request in requests]
        figures: dict[str, object] = {}
        for height, width in OTHER_SHAPES:
            renders = [middle_square(draw_scene(scene, height, width)) for scene in scenes]
            figures[f"{width}x{height}_judge"] = accuracy(self.judge, renders, scenes)
            found, pictures = of_shape(
                self.pipeline, self.device, self.judge, requests, height, width
            )
            figures[f"{width}x{height}"] = found
            self._leave(f"{width}x{height}", pictures)
        return figures

    def speed(self) -> dict[str, object]:
        """Seconds for one 256-pixel picture by the stock pipeline, the best of five.

        As it is loaded under bfloat16 autocast, and with all in bfloat16 and the UNet compiled.
        """
        figures: dict[str, object] = {}
        autocast = self.device.autocast
        compiled = load_pipeline(self.model).to(self.device.name, torch.bfloat16)
        compiled.unet = torch.compile(compiled.unet.to(memory_format=torch.channels_last))
        for name, pipeline, context in (
            ("seconds", self.pipeline, autocast),
            ("seconds_compiled", compiled, contextlib.nullcontext),
        ):
            for num_steps in (20, 12, 4):
                times = [_time_one(pipeline, num_steps, context) for _ in range(6)]
                # The first one compiles or warms up.
                figures[f"{name}_{num_steps}_steps"] = min(times[1:])
        return figures

    def sheets(self) -> None:
        """The model card's pictures: every kind twice, and unpicked samples."""
        pictures = sample_pictures(self.pipeline, self.device, sheet_prompts(), Sampling())
        grid(pictures, SHEET_COLUMNS, 112).save(self.model / "samples.webp", quality=76, method=6)
        single = things(self.seed + 3, 1, "en") + things(self.seed + 5, 1, "zh")
        asked = single[:: len(single) // (_UNPICKED // 2)][: _UNPICKED // 2]
        asked += several(self.seed + 3, _UNPICKED // 4, 2, "en")
        asked += several(self.seed + 5, _UNPICKED - len(asked), 2, "zh")
        pictures = sample_pictures(
            self.pipeline, self.device, [r.prompt for r in asked], Sampling()
        )
        grid(pictures, 8, 112).save(self.model / "unpicked.webp", quality=76, method=6)
        lines = [f"{i // 8 + 1}.{i % 8 + 1} {request.prompt}" for i, request in enumerate(asked)]
        (self.work / "unpicked.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _sample(self, requests: list[Request], sampling: Sampling) -> list[np.ndarray]:
        prompts = [request.prompt for request in requests]
        return sample_pictures(self.pipeline, self.device, prompts, sampling)

    def _judge(self, requests: list[Request], pictures: list[np.ndarray]) -> Figures:
        return accuracy(self.judge, pictures, [request.scene for request in requests])

    def _by_kind(self, requests: list[Request], pictures: list[np.ndarray]) -> Figures:
        """The share of each kind's pictures that show it."""
        by_kind = {}
        for kind in KINDS:
            rows = [i for i, r in enumerate(requests) if r.scene.items[0].kind == kind]
            found = self._judge([requests[i] for i in rows], [pictures[i] for i in rows])
            by_kind[kind] = found["kind"]
        return by_kind

    def _leave(self, name: str, pictures: list[np.ndarray]) -> None:
        save_grid(self.work / "grids" / f"{name}.png", pictures[:72], 12)


def _time_one(
    pipeline: StableDiffusionPipeline,
    num_steps: int,
    context: Callable[[], AbstractContextManager[object]],
) -> float:
    began = time.perf_counter()
    with context():
        pipeline("a red cat in a meadow", num_inference_steps=num_steps, guidance_scale=GUIDANCE)
    return time.perf_counter() - began


def evaluate(
    work: Path, model: Path, device: Device, seed: int, per_kind: int = 3
) -> dict[str, object]:
    """All figures, ready for JSON; leaves sheets in the model's and the work folder."""
    evaluation = Evaluation.open(work, model, device, seed, per_kind)
    figures = {**evaluation.parts(), **evaluation.speed()}
    figures.update(evaluation.prompts())
    figures.update(evaluation.tasks())
    figures.update(evaluation.shapes())
    evaluation.sheets()
    return figures


def paint_examples(model: Path, device: Device, target: Path) -> None:
    """The three pictures of the studio's first screen, as WebP of 256 pixels."""
    pipeline = load_pipeline(model).to(device.name)
    for name, prompt in EXAMPLES.items():
        (picture,) = sample_pictures(pipeline, device, [prompt], Sampling())
        Image.fromarray(picture).save(target / f"{name}.webp", quality=88, method=6)


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
