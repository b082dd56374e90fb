"""What is trained on top of the UNet: adapters and the scribble ControlNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from scripts.train import adapters, control
from scripts.train.autoencoder import build_autoencoder
from scripts.train.conditioner import Conditioner
from scripts.train.devices import Device, freeze
from scripts.train.diffusion import NoiseProcess
from scripts.train.drawings import Order, draw, scribble
from scripts.train.styles import SCRIBBLE, SILHOUETTE
from scripts.train.text import build_text_encoder, load_tokenizer
from scripts.train.unet import Trained, build_unet
from tests.train.test_model import MODEL

if TYPE_CHECKING:
    from pathlib import Path


LINES = (SCRIBBLE, SILHOUETTE)


@pytest.fixture(scope="module")
def trained() -> Trained:
    """The parts as they are before any training, but for the tokenizer."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(MODEL / "tokenizer")
    encoder = freeze(build_text_encoder(tokenizer))
    return Trained(
        freeze(build_autoencoder()),
        freeze(build_unet()),
        Conditioner(encoder, tokenizer),
        NoiseProcess("cpu"),
        Device("cpu", bf16=False),
    )


def test_untrained_control_changes_nothing(trained: Trained) -> None:
    model = control.build_control()
    latents, text = torch.randn(2, 16, 16, 16), torch.randn(2, 64, 128)
    order = Order("placed", 0, 2, is_loose=True)
    lines = control.unpack(draw(order, trained.conditioner.tokenizer).lines)

    down, middle = model(latents, torch.tensor([500, 9]), text, lines, return_dict=False)
    plain = trained.unet(latents, torch.tensor([500, 9]), text).sample
    controlled = trained.unet(
        latents,
        torch.tensor([500, 9]),
        text,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample

    assert lines.shape == (2, 3, 256, 256)
    assert torch.equal(plain, controlled)


def test_control_is_small() -> None:
    num_bytes = 2 * sum(p.numel() for p in control.build_control().parameters())

    assert num_bytes < 4_000_000


def test_control_takes_over_what_the_unet_has(trained: Trained) -> None:
    own = control.build_control()
    theirs = trained.unet.state_dict()

    control.start_like(own, trained.unet)

    assert torch.equal(own.state_dict()["conv_in.weight"], theirs["conv_in.weight"])
    name = "down_blocks.0.resnets.0.conv1.weight"
    assert torch.equal(own.state_dict()[name], theirs[name])


def test_adapter_is_small_learns_and_is_read_by_the_stock_pipeline(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_SCENES", {"centred": 8, "placed": 8, "composed": 8})

    weights = adapters.train_adapter(trained, "neon", seed=0, num_samples=64)
    adapters.save_adapter(tmp_path, "neon", weights)

    path = tmp_path / "loras" / "neon.safetensors"
    assert path.stat().st_size <= 500_000
    saved = load_file(path)
    assert {value.dtype for value in saved.values()} == {torch.float16}
    moved = [value for name, value in saved.items() if ".lora_B." in name or "lora.up" in name]
    assert moved
    assert all(value.abs().max() > 0 for value in moved)
    pipeline = StableDiffusionPipeline.from_pretrained(MODEL)
    before = {name: p.clone() for name, p in pipeline.unet.named_parameters()}
    pipeline.load_lora_weights(tmp_path / "loras", weight_name="neon.safetensors")
    assert pipeline.get_list_adapters() == {"unet": ["default_0"]}
    pipeline.unload_lora_weights()
    assert all(torch.equal(before[n], p) for n, p in pipeline.unet.named_parameters())


def test_lines_survive_being_packed(trained: Trained) -> None:
    drawing = draw(Order("centred", 0, 12, is_loose=True), trained.conditioner.tokenizer)

    lines = control.unpack(drawing.lines)

    for bits, scene in zip(lines[:, 0].numpy() > 0, drawing.scenes, strict=True):
        # Some are drawn as outer outlines only.
        assert any((bits == (scribble(scene, s)[..., 0] > 127)).all() for s in LINES)
    assert set(lines.unique().tolist()) == {0.0, 1.0}


def test_control_learns_from_batches_of_every_stage(trained: Trained, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trained, "load", lambda *_: trained)
        plan = control.ControlPlan(num_samples=32, num_scenes=8, batch=8)
        control.train_control(tmp_path, trained.device, 0, plan)

    saved = load_file(tmp_path / "controlnet" / "diffusion_pytorch_model.safetensors")
    moved = [value for name, value in saved.items() if name.startswith("controlnet_down")]
    assert any(value.abs().max() > 0 for value in moved)
