"""Scenes drawn ahead: the same from every process, and kept for who draws alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from scripts.train.autoencoder import build_autoencoder
from scripts.train.devices import Device, freeze
from scripts.train.drawings import WORDINGS, Order, draw, draw_ahead
from scripts.train.latents import open_latents
from scripts.train.text import load_tokenizer
from tests.train.test_model import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ORDERS = [Order("composed", seed, 2) for seed in range(5)]
CPU = Device("cpu", bf16=False)


def test_a_drawing_has_for_each_scene_a_picture_and_several_wordings() -> None:
    drawing = draw(Order("composed", 3, 6, (192, 288)), load_tokenizer(MODEL / "tokenizer"))

    assert drawing.pictures.shape == (6, 192, 288, 3)
    assert drawing.ids.shape == (6, WORDINGS, 64)
    assert drawing.emphasis.shape == (6, 1, 12, 18)
    assert drawing.lines.shape == (6, 0)
    assert all(len(wordings.unique(dim=0)) > 1 for wordings in drawing.ids)


def test_another_process_draws_the_same_in_the_same_order() -> None:
    tokenizer = load_tokenizer(MODEL / "tokenizer")

    alone = list(draw_ahead(ORDERS, tokenizer, 0))
    helped = list(draw_ahead(ORDERS, tokenizer, 1))

    assert [one.scenes for one in alone] == [one.scenes for one in helped]
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.pictures, other.pictures)
        assert torch.equal(one.ids, other.ids)


def test_what_was_drawn_is_kept_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(MODEL / "tokenizer")
    vae = freeze(build_autoencoder())
    first = next(open_latents(tmp_path, vae, tokenizer, CPU, ORDERS[:1]))
    drawn: list[Order] = []

    def draw_loudly(order: Order, _tokenizer: object) -> object:
        drawn.append(order)
        return draw(order, tokenizer)

    monkeypatch.setattr("scripts.train.drawings.draw", draw_loudly)
    loose = replace(ORDERS[0], is_loose=True)
    again, other, same = open_latents(tmp_path, vae, tokenizer, CPU, [ORDERS[0], loose, ORDERS[0]])

    assert drawn == [loose]
    assert again.scenes == first.scenes == same.scenes
    assert torch.equal(again.latents, first.latents)
    assert not torch.equal(other.latents, first.latents)
