"""xformers' attention: who is given it, and what is said where it can't work."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gpu.models.attention import reason_in, switch_to_xformers
from tests.gpu.kinds import FLOWS, UNETS
from tests.gpu.on_device import latents, runner_on
from tests.gpu.parity import relative_error, task

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
NO_KERNEL = """No operator found for `memory_efficient_attention_forward` with inputs:
     query       : shape=(1, 2, 1, 40) (torch.float32)
     p           : 0.0
`fa3F@0.0.0` is not supported because:
    only head-dim 64, 128, 192 or 256 is supported
    {}
    operator wasn't built - see `python -m xformers.info` for more info
`fa2F@2.5.7-pt` is not supported because:
    dtype=torch.float32 (supported: {{torch.bfloat16, torch.float16}})
    {}
`cutlassF-pt` is not supported because:
    {}"""
NO_CUDA, TOO_NEW = "xFormers wasn't build with CUDA support", "your GPU is too new"


class Counted:
    """xformers' function, computed by torch."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_bias: Tensor | None = None,
        p: float = 0.0,
        scale: float | None = None,
        *,
        op: None = None,
    ) -> Tensor:
        """(B, tokens, heads, width), or (B, tokens, width)."""
        self.calls += 1
        assert p == 0.0
        if query.ndim == 4:
            query, key, value = (each.transpose(1, 2) for each in (query, key, value))
        made = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attn_bias, scale=scale
        )
        return made.transpose(1, 2) if query.ndim == 4 else made


@pytest.fixture
def xformers(monkeypatch: pytest.MonkeyPatch) -> Counted:
    from diffusers.models import attention_dispatch, attention_processor

    counted = Counted()
    module = SimpleNamespace(ops=SimpleNamespace(memory_efficient_attention=counted))
    monkeypatch.setattr(attention_processor, "xformers", module)
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_XFORMERS_ATTN", True)
    monkeypatch.setattr(attention_dispatch, "xops", module.ops, raising=False)
    return counted


@pytest.mark.parametrize("kind", ["sdxl", "sd3", "flux-dev", "z-image"])
def test_m5_xformers_attention_takes_part_in_every_step_and_changes_no_picture(
    xformers: Counted, tmp_path: Path, kind: str
) -> None:
    {**UNETS, **FLOWS}[kind](tmp_path / kind)
    runner = runner_on(CPU, tmp_path / kind)
    request = task("txt2img", sampler="euler", steps=2)
    (plain,) = latents(runner, [request])
    family: Any = runner._family

    switch_to_xformers(family._unet if kind in UNETS else family._transformer)
    (ours,) = latents(runner, [request])

    assert xformers.calls > 0
    assert relative_error(ours, plain) < 1e-4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (NO_KERNEL.format(NO_CUDA, NO_CUDA, NO_CUDA), NO_CUDA),
        (NO_KERNEL.format(NO_CUDA, NO_CUDA, TOO_NEW), TOO_NEW),
        ("it needs a CUDA device\nand more", "it needs a CUDA device"),
    ],
)
def test_m5_the_reason_is_what_all_kernels_lack_or_else_the_last(message: str, reason: str) -> None:
    assert reason_in(message) == reason
