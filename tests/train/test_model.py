"""The committed model folder: small, safe, loaded by stock diffusers, and it follows a prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from scripts.train.captions import caption
from scripts.train.colours import COLOURS, distance
from scripts.train.export import LIMIT_BYTES, folder_bytes
from scripts.train.places import PLAIN, plain_colour
from scripts.train.scenes import sample_scene
from scripts.train.text import MAX_TOKENS, load_tokenizer

MODEL = Path(__file__).resolve().parents[2] / "gpu" / "models" / "embedded"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(MODEL)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def nearest(pixels: np.ndarray, palette: dict[str, tuple[float, float, float]]) -> str:
    """The palette's name for the median colour of some pixels (..., 3) in 0..1."""
    red, green, blue = np.median(pixels.reshape(-1, 3), axis=0) * 255
    return min(palette, key=lambda name: distance(palette[name], (red, green, blue)))


def test_folder_is_small_and_holds_only_safetensors() -> None:
    suffixes = {path.suffix for path in MODEL.rglob("*") if path.is_file()}

    assert folder_bytes(MODEL) <= LIMIT_BYTES
    assert suffixes <= {".json", ".safetensors", ".md", ".jpg", ".png"}
    assert len(list(MODEL.rglob("*.safetensors"))) == 3


def test_folder_names_no_machine_paths() -> None:
    for path in [*MODEL.rglob("*.json"), *MODEL.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert "_name_or_path" not in text, path
        assert "/work" not in text, path
        assert "/home" not in text, path


def test_captions_of_both_languages_tokenise_without_loss() -> None:
    import random

    tokenizer = load_tokenizer(MODEL / "tokenizer")
    rng = random.Random(0)
    for _ in range(200):
        text = caption(rng, sample_scene(rng, "placed")).text
        ids = tokenizer(text).input_ids
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert len(ids) <= MAX_TOKENS
        assert "".join(decoded.split()) == "".join(text.lower().split())


def test_any_text_has_tokens() -> None:
    ids = load_tokenizer(MODEL / "tokenizer")("zażółć 🦊 斑馬 42").input_ids

    # Unknown symbols would become the end token early; bytes never do.
    assert len(ids) > 12
    assert len(set(ids)) > 10


@pytest.mark.parametrize(
    ("prompt", "colour", "ground"),
    [
        ("we see a blue circle on a yellow background", "blue", "yellow"),
        ("在粉色背景上能看到一个绿色的方块", "green", "pink"),
    ],
)
def test_four_steps_follow_colour_and_background(
    pipeline: StableDiffusionPipeline, prompt: str, colour: str, ground: str
) -> None:
    picture = pipeline(
        prompt,
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images[0]

    border = np.concatenate([picture[:16], picture[-16:]])
    assert picture.shape == (256, 256, 3)
    assert nearest(border, {name: plain_colour(name) for name in PLAIN}) == ground
    assert nearest(picture[96:160, 96:160], COLOURS) == colour


def test_other_sizes_are_drawn(pipeline: StableDiffusionPipeline) -> None:
    picture = pipeline(
        "a boat on the sea",
        height=192,
        width=320,
        num_inference_steps=1,
        generator=torch.Generator().manual_seed(0),
    ).images[0]

    assert picture.size == (320, 192)
