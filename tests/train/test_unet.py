"""One run of the UNet's training: it learns, is saved, and goes on where it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from scripts.train.autoencoder import build_autoencoder
from scripts.train.curriculum import CurriculumPlan
from scripts.train.devices import Device, save_checkpoint
from scripts.train.runs import Course
from scripts.train.text import TagReader, build_text_encoder, load_tokenizer
from scripts.train.unet import UNetPlan, UNetTrainer
from tests.train.test_model import MODEL

if TYPE_CHECKING:
    from pathlib import Path

PLAN = UNetPlan(
    num_samples=64,
    batch=16,
    curriculum=CurriculumPlan(
        placed_from=16, composed_from=16, shaped_from=16, drawn_by=16,
        centred_scenes=8, placed_scenes=8, composed_scenes=8, shaped_scenes=1,
    ),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The parts that are trained before, but for the tokenizer as they are before any training."""
    torch.manual_seed(0)
    tokenizer = load_tokenizer(MODEL / "tokenizer")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    build_autoencoder().save_pretrained(tmp_path / "vae")
    reader = TagReader(build_text_encoder(tokenizer))
    save_checkpoint(tmp_path / "text.pt", {"model": reader.state_dict()})
    return tmp_path


def test_a_run_that_was_cut_goes_on_where_it_was_saved(folder: Path) -> None:
    first = UNetTrainer(folder, Device("cpu", bf16=False), 0, PLAN)
    before = first.unet.conv_in.weight.detach().clone()
    # The second step sees every stage, and another shape.
    losses = [first.step() for _ in range(2)]
    first.save()

    second = UNetTrainer(folder, Device("cpu", bf16=False), 0, PLAN)

    assert all(math.isfinite(loss) for loss in losses)
    assert not torch.equal(first.unet.conv_in.weight, before)
    assert torch.equal(first.unet.conv_in.weight, second.unet.conv_in.weight)
    assert (second.num_steps, second.course.samples) == (2, 32)
    assert second.course.done == pytest.approx(0.5)
    assert math.isfinite(second.step())


def test_a_run_is_over_when_its_time_is_up_however_little_it_saw() -> None:
    assert Course(1000, 10, {"samples": 250, "seconds": 60}).done == pytest.approx(0.25)
    assert Course(1000, 10, {"samples": 250, "seconds": 300}).done == pytest.approx(0.5, abs=0.01)
    assert Course(1000, 10, {"samples": 250, "seconds": 601}).done > 1
    assert Course(1000, math.inf, {"samples": 250, "seconds": 601}).done == 0.25
