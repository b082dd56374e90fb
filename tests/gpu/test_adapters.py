"""LoRA adapters: what fits, what they do, and that nobody else's picture feels them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from gpu.models import adapters
from gpu.models.adapters import FOLDER
from gpu.models.family import Reading
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from tests.gpu.families import loaded
from tests.gpu.parity import relative_error, run
from tests.gpu.pictures import job
from tests.gpu.test_runner import stock

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.stable_diffusion import StableDiffusion

Tensors = dict[str, torch.Tensor]
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
UNET = {
    f"{ATTENTION}.to_q": (16, 16),
    f"{ATTENTION}.to_out.0": (16, 16),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k": (32, 16),
    "mid_block.attentions.0.transformer_blocks.0.ff.net.2": (128, 32),
    "mid_block.resnets.0.time_emb_proj": (64, 32),
}
TEXT = {
    "encoder.layers.0.self_attn.q_proj": (32, 32),
    "encoder.layers.1.mlp.fc1": (32, 64),
}


def matrices(seed: int, rank: int, sizes: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    taken, given = sizes
    return (
        torch.randn(rank, taken, generator=generator) / taken**0.5,
        torch.randn(given, rank, generator=generator) / rank**0.5,
    )


def peft(seed: int, rank: int = 4, *, text: bool = True) -> Tensors:
    tensors: Tensors = {}
    for number, (name, sizes) in enumerate(UNET.items()):
        down, up = matrices(seed * 100 + number, rank, sizes)
        tensors[f"unet.{name}.lora_A.weight"], tensors[f"unet.{name}.lora_B.weight"] = down, up
    for number, (name, sizes) in enumerate(TEXT.items() if text else ()):
        down, up = matrices(seed * 100 + 50 + number, rank, sizes)
        stem = f"text_encoder.text_model.{name}"
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = down, up
    return tensors


def convolution(seed: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    stem = "unet.down_blocks.0.resnets.0.conv1"
    return {
        f"{stem}.lora_A.weight": torch.randn(2, 16, 3, 3, generator=generator) / 8,
        f"{stem}.lora_B.weight": torch.randn(16, 2, 1, 1, generator=generator),
    }


def old_diffusers() -> Tensors:
    down, up = matrices(7, 2, (16, 16))
    return {
        f"unet.{ATTENTION}.processor.to_q_lora.down.weight": down,
        f"unet.{ATTENTION}.processor.to_q_lora.up.weight": up,
        f"unet.{ATTENTION}.processor.to_out_lora.down.weight": down.clone(),
        f"unet.{ATTENTION}.processor.to_out_lora.up.weight": up.clone(),
    }


def kohya() -> Tensors:
    tensors: Tensors = {}
    for name, root, sizes in (
        (f"{ATTENTION}.to_q", "lora_unet_", (16, 16)),
        (f"{ATTENTION}.to_out.0", "lora_unet_", (16, 16)),
        ("text_model.encoder.layers.0.self_attn.q_proj", "lora_te_", (32, 32)),
        ("text_model.encoder.layers.0.self_attn.out_proj", "lora_te_", (32, 32)),
    ):
        stem = root + name.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"], tensors[f"{stem}.lora_up.weight"] = matrices(
            9, 4, sizes
        )
        tensors[f"{stem}.alpha"] = torch.tensor(2.0)
    return tensors


ADAPTERS: dict[str, Tensors] = {
    "one": peft(1),
    "two": peft(2, rank=2, text=False),
    "conv": convolution(3),
    "old": old_diffusers(),
    "kohya": kohya(),
}


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted") / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / FOLDER).mkdir()
    for name, tensors in ADAPTERS.items():
        save_file(tensors, folder / FOLDER / f"{name}.safetensors")
    settings = {"r": 2, "lora_alpha": 1, "target_modules": sorted(UNET)}
    settings |= {"alpha_pattern": {f"{ATTENTION}.to_q": 3}}
    save_file(
        ADAPTERS["two"],
        folder / FOLDER / "scaled.safetensors",
        metadata={
            "lora_adapter_metadata": json.dumps({f"unet.{k}": v for k, v in settings.items()}),
            "format": "pt",
        },
    )
    return folder


@pytest.fixture(scope="module")
def family(folder: Path) -> StableDiffusion:
    return loaded(folder)


@pytest.fixture(scope="module")
def runner(family: StableDiffusion) -> Runner:
    return Runner(family, Tables(family.scheduler_config), fit(family, 4)[0])


def test_m7_adapters_in_the_models_folder_are_listed_by_name(family: StableDiffusion) -> None:
    assert family.adapter_names == ("conv", "kohya", "old", "one", "scaled", "two")


@pytest.mark.parametrize(
    "loras",
    [
        {"one": 1.0},
        {"one": 0.7, "two": -0.4},
        {"conv": 1.0},
        {"old": 0.8},
        {"kohya": 1.0},
        {"scaled": 1.0},
    ],
    ids=lambda loras: "+".join(loras),
)
def test_g42_adapters_make_the_picture_that_diffusers_makes(
    folder: Path, family: StableDiffusion, runner: Runner, loras: dict[str, float]
) -> None:
    request = job(loras=loras, steps=4, negative="fog")

    (ours,) = run(runner, [request])

    theirs = stock(folder, family, request, "StableDiffusionPipeline")
    assert relative_error(ours, theirs) < 1e-4
    (without,) = run(runner, [job(steps=4, negative="fog")])
    assert relative_error(without, ours) > 1e-3


def test_g42_rows_with_different_adapters_share_a_forward_undisturbed(
    runner: Runner, family: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        job(seed=1),
        job(seed=2, loras={"one": 1.0}),
        job(seed=3, loras={"two": 0.5, "one": -1.0}, guidance=1.0),
        job(seed=4, loras={"conv": 1.0}),
    ]
    forwards: list[int] = []
    denoise = family.denoise

    def counted(latents: torch.Tensor, *rest: Any) -> torch.Tensor:
        forwards.append(len(latents))
        return denoise(latents, *rest)

    alone = [run(runner, [request])[0] for request in jobs]
    monkeypatch.setattr(family, "denoise", counted)
    together = run(runner, jobs)

    assert forwards == [7] * 4
    for mixed, single in zip(together, alone, strict=True):
        assert relative_error(mixed, single) < 1e-5


def test_g42_an_adapter_full_of_nonsense_spoils_only_its_own_rows(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / FOLDER).mkdir()
    nonsense = {key: torch.full_like(tensor, torch.nan) for key, tensor in ADAPTERS["one"].items()}
    save_file(nonsense, folder / FOLDER / "nan.safetensors")
    family = loaded(folder)
    runner = Runner(family, Tables(family.scheduler_config), fit(family, 4)[0])

    good, bad = run(runner, [job(steps=2), job(steps=2, loras={"nan": 1.0})])

    assert bool(torch.isfinite(good).all())
    assert not bool(torch.isfinite(bad).all())


def test_g42_without_adapters_not_a_bit_differs(runner: Runner, tiny: StableDiffusion) -> None:
    run(runner, [job(loras={"one": 1.0}, steps=1)])
    plain = Runner(tiny, Tables(tiny.scheduler_config), fit(tiny, 4)[0])

    (ours,) = run(runner, [job(loras={"one": 0.0})])

    assert torch.equal(ours, run(plain, [job()])[0])


@pytest.mark.parametrize("name", ["none", "../one", "/etc/passwd", "one.safetensors"])
def test_m7_only_names_that_were_listed_are_known(runner: Runner, name: str) -> None:
    with pytest.raises(ValueError, match=r"expected one of this model's adapters \(conv, kohya"):
        runner.prepare(job(loras={name: 1.0}))


def refused(tiny_folder: Path, folder: Path, content: bytes | Tensors) -> str:
    shutil.copytree(tiny_folder, folder)
    (folder / FOLDER).mkdir()
    path = folder / FOLDER / "bad.safetensors"
    path.write_bytes(content) if isinstance(content, bytes) else save_file(content, path)
    lines: list[str] = []
    assert loaded(folder, lines).adapter_names == ()
    (line,) = (line for line in lines if "left out" in line)
    return line


def test_m7_a_pickle_is_no_adapter_whatever_its_name(tiny_folder: Path, tmp_path: Path) -> None:
    assert "holds a pickle" in refused(tiny_folder, tmp_path / "m", pickle.dumps([1]))


def test_m8_an_adapter_for_another_model_says_what_was_expected(
    tiny_folder: Path, tmp_path: Path
) -> None:
    stem = f"unet.{ATTENTION}.to_q"
    wide = {
        f"{stem}.lora_A.weight": torch.zeros(4, 320),
        f"{stem}.lora_B.weight": torch.zeros(8, 4),
    }
    line = refused(tiny_folder, tmp_path / "wide", wide)
    assert f"expected matrices of 4×16 and 16×4 for {stem}, got 4×320 and 8×4" in line

    other = {"unet.middle.lora_A.weight": torch.zeros(4, 4)}
    assert "expected modules of this model" in refused(tiny_folder, tmp_path / "other", other)

    half = {f"{stem}.lora_A.weight": torch.zeros(4, 16)}
    assert "expected both matrices" in refused(tiny_folder, tmp_path / "half", half)

    loha = {f"{stem}.hada_w1_a": torch.zeros(4, 16)}
    assert "LoHa, LoKr and DoRA can't be used" in refused(tiny_folder, tmp_path / "loha", loha)
    assert "is empty" in refused(tiny_folder, tmp_path / "empty", {})


@pytest.mark.parametrize("alphas", [{"lora_alpha": "much"}, {"alpha_pattern": [1]}])
def test_m7_an_adapter_whose_metadata_make_no_sense_is_left_out(
    tiny_folder: Path, tmp_path: Path, alphas: dict[str, object]
) -> None:
    path = tmp_path / "odd.safetensors"
    settings = {f"unet.{name}": value for name, value in alphas.items()}
    save_file(ADAPTERS["two"], path, metadata={"lora_adapter_metadata": json.dumps(settings)})

    assert "alphas to be numbers" in refused(tiny_folder, tmp_path / "m", path.read_bytes())


def test_m7_adapters_stay_loaded_within_a_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_MAX_HELD_BYTES", 1)
    family = loaded(folder)
    ((first, _),) = family.take_adapters({"one": 1.0})
    ((again, _),) = family.take_adapters({"one": 0.5})
    family.take_adapters({"two": 1.0})
    assert again is first
    assert [*family._adapters._held] == ["two"]


def test_m7_an_adapter_that_was_replaced_on_the_disk_is_another_one(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / FOLDER).mkdir()
    path = folder / FOLDER / "ink.safetensors"
    save_file(ADAPTERS["one"], path)
    family = loaded(folder)
    runner = Runner(family, Tables(family.scheduler_config), fit(family, 4)[0])
    request = job(loras={"ink": 1.0}, steps=2)
    before, key = runner.prepare(request), runner.adapter_versions(request)
    (first,) = run(runner, [request])

    save_file(ADAPTERS["two"], path)
    os.utime(path, ns=(1, 1))
    (second,) = run(runner, [request])

    assert relative_error(first, second) > 1e-3
    assert runner.adapter_versions(request) != key
    ((used, _),) = before.adapters
    ((now, _),) = family.take_adapters({"ink": 1.0})
    assert used is not now
    words = [family.encode_prompt("a", Reading(adapters=((each, 1.0),))) for each in (used, now)]
    # The second one leaves the text encoder alone.
    assert not torch.equal(words[0].tokens, words[1].tokens)
    path.unlink()
    with pytest.raises(ValueError, match="the adapter ink is gone"):
        family.take_adapters({"ink": 1.0})


def test_m7_an_adapter_that_a_job_still_uses_is_not_loaded_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "_MAX_HELD_BYTES", 1)
    family = loaded(folder)
    ((used, _),) = family.take_adapters({"one": 1.0})
    family.take_adapters({"two": 1.0})

    ((again, _),) = family.take_adapters({"one": 1.0})

    assert again is used
    assert [*family._adapters._held] == ["one"]
