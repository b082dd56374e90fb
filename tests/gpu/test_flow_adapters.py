"""LoRA adapters of the flow-matching families, under PEFT's names and as kohya-ss writes them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from tests.gpu.kinds import FLOWS, FlowModel
from tests.gpu.parity import relative_error, run, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.api import Job

Tensors = dict[str, torch.Tensor]
QKV = ("to_q", "to_k", "to_v")
ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
QUERY = "text_model.encoder.layers.1.self_attn.q_proj"


def pair(seed: int, taken: int, given: int, rank: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(rank, taken, generator=generator) / taken**0.5
    return down, torch.randn(given, rank, generator=generator) / rank**0.5


def peft(stems: dict[str, tuple[int, int]]) -> Tensors:
    tensors: Tensors = {}
    for number, (stem, sizes) in enumerate(stems.items()):
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = pair(number, *sizes)
    return tensors


SD3 = "transformer.transformer_blocks"
FLUX, SINGLE = "transformer.transformer_blocks.0", "transformer.single_transformer_blocks.0"
PEFT: dict[str, dict[str, tuple[int, int]]] = {
    "sd3": {
        **{f"{SD3}.0.attn.{name}": (32, 32) for name in (*QKV, *ADDED)},
        f"{SD3}.1.ff.net.2": (128, 32),
        f"{SD3}.1.norm1.linear": (32, 192),
        f"text_encoder.{QUERY}": (32, 32),
        f"text_encoder_2.{QUERY}": (40, 40),
    },
    "flux": {
        **{f"{FLUX}.attn.{name}": (32, 32) for name in QKV},
        f"{SINGLE}.proj_mlp": (32, 128),
        f"{SINGLE}.norm.linear": (32, 96),
        "transformer.x_embedder": (64, 32),
        f"text_encoder.{QUERY}": (32, 32),
    },
    "z-image": {
        **{f"transformer.layers.0.attention.{name}": (32, 32) for name in QKV},
        "transformer.context_refiner.0.attention.to_out.0": (32, 32),
    },
}


def fused(stem: str, taken: int, given: int, alpha: float = 2.0) -> Tensors:
    """As kohya-ss writes one matrix that makes queries, keys and values."""
    down, up = pair(len(stem), taken, given)
    return {
        f"lora_unet_{stem}.lora_down.weight": down,
        f"lora_unet_{stem}.lora_up.weight": up,
        f"lora_unet_{stem}.alpha": torch.tensor(alpha),
    }


def apart(stem: str, names: dict[str, int], taken: int, alpha: float = 2.0) -> Tensors:
    """The same under PEFT's names, each module with its part."""
    down, up = pair(len(stem), taken, sum(names.values()))
    parts = up.split(list(names.values()))
    tensors: Tensors = {}
    for name, part in zip(names, parts, strict=True):
        tensors[f"transformer.{name}.lora_A.weight"] = down * (alpha / down.shape[0])
        tensors[f"transformer.{name}.lora_B.weight"] = part.contiguous()
    return tensors


KOHYA: dict[str, list[tuple[str, dict[str, int]]]] = {
    "sd3": [
        ("joint_blocks_0_x_block_attn_qkv", dict.fromkeys(
            (f"transformer_blocks.0.attn.{name}" for name in QKV), 32)),
        ("joint_blocks_0_context_block_attn_qkv", dict.fromkeys(
            (f"transformer_blocks.0.attn.{name}" for name in ADDED), 32)),
        ("joint_blocks_1_x_block_mlp_fc1", {"transformer_blocks.1.ff.net.0.proj": 128}),
    ],
    "flux": [
        ("double_blocks_0_img_attn_qkv", dict.fromkeys(
            (f"transformer_blocks.0.attn.{name}" for name in QKV), 32)),
        ("double_blocks_0_txt_mod_lin", {"transformer_blocks.0.norm1_context.linear": 192}),
        ("single_blocks_0_linear1", {
            **{f"single_transformer_blocks.0.attn.{name}": 32 for name in QKV},
            "single_transformer_blocks.0.proj_mlp": 128,
        }),
    ],
    "z-image": [
        ("layers_0_attention_qkv", dict.fromkeys(
            (f"layers.0.attention.{name}" for name in QKV), 32)),
        ("layers_0_feed_forward_w1", {"layers.0.feed_forward.w1": 85}),
    ],
}  # fmt: skip
KINDS = {"sd3": "sd3-without-t5", "flux": "flux-dev", "z-image": "z-image"}


def save_adapters(kind: str, loras: Path) -> None:
    loras.mkdir()
    save_file(peft(PEFT[kind]), loras / "peft.safetensors")
    whole: Tensors = {}
    split: Tensors = {}
    for stem, names in KOHYA[kind]:
        whole |= fused(stem, 32, sum(names.values()))
        split |= apart(stem, names, 32)
    save_file(whole, loras / "kohya.safetensors")
    save_file(split, loras / "apart.safetensors")
    wrong = fused(KOHYA[kind][0][0], 32, 90)
    save_file(wrong, loras / "wrong.safetensors")
    if kind == "z-image":
        save_file(peft({"transformer.cap_embedder.1": (32, 32)}), loras / "z.safetensors")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FlowModel]:
    """Models with adapters beside them."""
    root = tmp_path_factory.mktemp("flow-adapters")

    def model(kind: str) -> FlowModel:
        FLOWS[KINDS[kind]](root / kind)
        save_adapters(kind, root / kind / "loras")
        return FlowModel(KINDS[kind], root / kind)

    return cache(model)


def request(**fields: Any) -> Job:
    return task("txt2img", **{"sampler": "euler", "steps": 3, **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_g42_an_adapter_of_a_transformer_makes_the_picture_that_diffusers_makes(
    models: Callable[[str], FlowModel], kind: str
) -> None:
    model = models(kind)
    adapted = request(loras={"peft": 0.8})

    (ours,), (plain,) = (run(model.runner, [each]) for each in (adapted, request()))

    assert relative_error(ours, model.stock(adapted)) < 1e-4
    assert relative_error(ours, plain) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_g42_a_matrix_for_several_modules_is_what_it_is_for_each(
    models: Callable[[str], FlowModel], kind: str
) -> None:
    runner = models(kind).runner

    whole, split, plain = (
        run(runner, [each])[0]
        for each in (request(loras={"kohya": 1.0}), request(loras={"apart": 1.0}), request())
    )

    assert relative_error(whole, split) < 1e-5
    assert relative_error(whole, plain) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_g42_rows_of_a_transformer_with_different_adapters_do_not_feel_each_other(
    models: Callable[[str], FlowModel], kind: str
) -> None:
    runner = models(kind).runner
    jobs = [
        request(seed=1),
        request(seed=2, loras={"peft": 1.0}),
        request(seed=3, loras={"kohya": -0.5}),
    ]

    together = run(runner, jobs)

    for each, latents in zip(jobs, together, strict=True):
        assert relative_error(latents, run(runner, [each])[0]) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_m8_a_matrix_of_other_modules_sizes_says_what_was_expected(
    models: Callable[[str], FlowModel], kind: str
) -> None:
    model = models(kind)

    assert model.family.adapter_names == ("apart", "kohya", "peft")
    (line,) = [line for line in model.lines if "left out" in line and "wrong" in line]
    assert "wrong.safetensors: expected a matrix of 96 outputs for" in line
    assert "got 90: the adapter was made for another model" in line


def test_m8_an_adapter_of_what_sees_all_rows_at_once_is_left_out(
    models: Callable[[str], FlowModel],
) -> None:
    (line,) = [line for line in models("z-image").lines if "z.safetensors" in line]

    assert "expected a model's blocks, got cap_embedder.1" in line
