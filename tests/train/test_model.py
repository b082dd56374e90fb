"""The committed model folder: small, safe, loaded by stock diffusers, and it follows a prompt."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from scripts.train.captions import caption
from scripts.train.card import refresh
from scripts.train.colours import COLOURS, distance
from scripts.train.export import LIMIT_BYTES, folder_bytes
from scripts.train.places import PLAIN, plain_colour
from scripts.train.sampling import STAGES, sample_scene
from scripts.train.styles import EXTRA_STYLES, STYLES
from scripts.train.text import LONGEST_CAPTION, load_tokenizer
from scripts.train.words import COLOUR_WORDS, NOUNS

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
    assert suffixes <= {".json", ".safetensors", ".md", ".webp"}
    # Text encoder, UNet, autoencoder, the control, and an adapter for each extra style.
    assert len(list(MODEL.rglob("*.safetensors"))) == 4 + len(EXTRA_STYLES)
    assert all(path.stat().st_size <= 500_000 for path in (MODEL / "loras").iterdir())
    assert folder_bytes(MODEL / "controlnet") <= 4_000_000


def test_folder_names_no_machine_paths() -> None:
    for path in [*MODEL.rglob("*.json"), *MODEL.rglob("*.md")]:
        text = path.read_text(encoding="utf-8")
        assert "_name_or_path" not in text, path
        assert "/work" not in text, path
        assert "/home" not in text, path


def test_card_names_everything_that_the_model_knows() -> None:
    card = (MODEL / "MODEL_CARD.md").read_text(encoding="utf-8")

    assert refresh(card) == card
    for noun in NOUNS.values():
        assert {*noun.english, *noun.chinese} <= set(re.split(r"[;,()]\s*|\s\(|\*\*\s", card)), noun
    for english, chinese in COLOUR_WORDS.values():
        assert all(word in card for word in (*english, *chinese))
    for style in STYLES[1:]:
        assert style in card


def test_captions_of_both_languages_tokenise_without_loss() -> None:
    import random

    tokenizer = load_tokenizer(MODEL / "tokenizer")
    rng = random.Random(0)
    for _ in range(200):
        text = caption(rng, sample_scene(rng, rng.choice(STAGES))).text
        ids = tokenizer(text).input_ids
        decoded = tokenizer.decode(ids, skip_special_tokens=True)
        assert len(ids) <= LONGEST_CAPTION
        assert "".join(decoded.split()) == "".join(text.lower().split())


def test_any_text_has_tokens() -> None:
    ids = load_tokenizer(MODEL / "tokenizer")("zażółć 🦊 斑馬 42").input_ids

    # Unknown symbols would become the end token early; bytes never do.
    assert len(ids) > 12
    assert len(set(ids)) > 10


def draw(pipeline: StableDiffusionPipeline, prompt: str, **options: object) -> np.ndarray:
    """One picture in four steps, float (256, 256, 3) in 0..1."""
    settings: dict[str, object] = {"num_inference_steps": 4, "guidance_scale": 3.0, **options}
    generator = torch.Generator().manual_seed(1)
    image: np.ndarray = pipeline(prompt, generator=generator, output_type="np", **settings).images[
        0
    ]
    return image


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
    picture = draw(pipeline, prompt)

    border = np.concatenate([picture[:16], picture[-16:]])
    assert picture.shape == (256, 256, 3)
    assert nearest(border, {name: plain_colour(name) for name in PLAIN}) == ground
    assert nearest(picture[96:160, 96:160], COLOURS) == colour


@pytest.mark.parametrize(
    "prompt",
    [
        "a red square and a blue circle on a white background",
        "在白色背景上,左边是一个红色的正方形,右边是一个蓝色的圆形",
    ],
)
def test_two_things_keep_their_colours_and_sides(
    pipeline: StableDiffusionPipeline, prompt: str
) -> None:
    picture = draw(pipeline, prompt, num_inference_steps=8)

    assert nearest(picture[112:144, 56:88], COLOURS) == "red"
    assert nearest(picture[112:144, 168:200], COLOURS) == "blue"


def test_adapter_changes_the_style(pipeline: StableDiffusionPipeline) -> None:
    prompt = "a red heart on a white background"
    plain = draw(pipeline, prompt)
    pipeline.load_lora_weights(MODEL / "loras", weight_name="neon.safetensors")
    neon = draw(pipeline, prompt)
    pipeline.unload_lora_weights()

    # White paper by itself, a dark night with the adapter.
    assert plain[:16].mean() > 0.8
    assert neon[:16].mean() < 0.3
    assert np.array_equal(draw(pipeline, prompt), plain)


def test_other_sizes_are_drawn(pipeline: StableDiffusionPipeline) -> None:
    picture = pipeline(
        "a boat on the sea",
        height=192,
        width=288,
        num_inference_steps=1,
        generator=torch.Generator().manual_seed(0),
    ).images[0]

    assert picture.size == (288, 192)
