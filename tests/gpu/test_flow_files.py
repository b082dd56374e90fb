"""A transformer in one file, or all of a model, and a diffusers folder with the rest."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpu.api import ModelListing
from gpu.errors import ModelError
from gpu.loader import Loader
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.registry import read_registry
from tests.gpu import original_flows, original_names
from tests.gpu.families import runner_of
from tests.gpu.parity import run, task
from tests.gpu.tiny_flows import save_flux, save_sd3, save_z_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.models.family import Family

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
SAVE: dict[str, Callable[[Path], None]] = {
    "sd3": lambda folder: save_sd3(folder, has_t5=False),
    "flux": lambda folder: save_flux(folder, guided=True),
    "z-image": save_z_image,
}


def latents(family: Family) -> torch.Tensor:
    (made,) = run(runner_of(family), [task("txt2img", sampler="euler", steps=2)])
    return made


def options(path: Path, parts: Path | None = None) -> LoadOptions:
    return LoadOptions(path, torch.device("cpu"), torch.float32, parts=parts)


def as_published(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Z-Image's own names, with one matrix for queries, keys and values."""
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if ".to_k." in name or ".to_v." in name:
            continue
        if ".to_q." in name:
            ways = [tensors[name.replace(".to_q.", f".to_{way}.")] for way in "qkv"]
            renamed[name.replace(".to_q.", ".qkv.")] = torch.cat(ways)
            continue
        for ours, theirs in (
            ("all_final_layer.2-1.", "final_layer."),
            ("all_x_embedder.2-1.", "x_embedder."),
            (".attention.to_out.0.", ".attention.out."),
            (".attention.norm_k.", ".attention.k_norm."),
            (".attention.norm_q.", ".attention.q_norm."),
        ):
            name = name.replace(ours, theirs)
        renamed[f"model.diffusion_model.{name}"] = tensor
    return renamed


@pytest.mark.parametrize("kind", [*SAVE, "z-image as published"])
def test_m3_a_transformer_in_one_file_and_a_folder_with_the_rest_are_a_model(
    tmp_path: Path, kind: str
) -> None:
    whole, parts, file = tmp_path / "whole", tmp_path / "parts", tmp_path / "tune.safetensors"
    SAVE[kind.split()[0]](whole)
    shutil.copytree(whole, parts)
    tensors = load_file(parts / WEIGHTS)
    (parts / WEIGHTS).unlink()
    save_file(as_published(tensors) if "published" in kind else tensors, file)

    family = load(options(file, parts), lambda _: None)

    assert family.name == "tune"
    torch.testing.assert_close(latents(family), latents(load(options(whole), lambda _: None)))
    assert torch.get_default_dtype() == torch.float32


def all_in_one(folder: Path, kind: str) -> dict[str, torch.Tensor]:
    """A model as ComfyUI keeps it in one file: names as trained, text encoders with their own."""
    weights = {path.parent.name: load_file(path) for path in sorted(folder.glob("*/*.safetensors"))}
    convert = {"sd3": original_flows.sd3, "flux": original_flows.flux}[kind]
    tensors = convert(weights["transformer"])
    prefix = {"sd3": "first_stage_model.", "flux": "vae."}[kind]
    for name, tensor in original_names.autoencoder(weights["vae"]).items():
        tensors[name.replace("first_stage_model.", prefix)] = tensor
    ours = {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl"}
    if kind == "flux":
        ours["text_encoder_2"] = "t5xxl"
    for part, theirs in ours.items():
        for name, tensor in weights.get(part, {}).items():
            if theirs != "t5xxl" and not name.startswith("text_"):
                name = f"text_model.{name}"
            tensors[f"text_encoders.{theirs}.transformer.{name}"] = tensor
    # OpenAI's CLIP comes without it.
    tensors.pop("text_encoders.clip_l.transformer.text_projection.weight", None)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


@pytest.fixture
def narrow_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Diffusers reads FLUX.1's own names at FLUX.1's own width only."""
    from diffusers.loaders import single_file_utils

    read = single_file_utils.convert_flux_transformer_checkpoint_to_diffusers
    assert 3072 in read.__code__.co_consts
    widths = tuple(32 if value == 3072 else value for value in read.__code__.co_consts)
    monkeypatch.setattr(read, "__code__", read.__code__.replace(co_consts=widths))


@pytest.mark.usefixtures("narrow_flux")
@pytest.mark.parametrize(
    ("kind", "left_out"),
    [("sd3", ""), ("flux", ""), ("sd3", "t5xxl"), ("flux", "vae"), ("sd3", "clip_g")],
)
def test_m3_all_of_a_model_may_be_in_one_file_but_for_configs_and_vocabularies(
    tmp_path: Path, kind: str, left_out: str
) -> None:
    whole, parts, file = tmp_path / "whole", tmp_path / "parts", tmp_path / "all.safetensors"
    save_sd3(whole, has_t5=True) if kind == "sd3" else save_flux(whole, guided=True)
    shutil.copytree(whole, parts)
    tensors = all_in_one(whole, kind)
    if left_out:
        tensors = {name: value for name, value in tensors.items() if left_out not in name}
    kept = {"t5xxl": "text_encoder_3", "vae": "vae", "clip_g": "text_encoder_2"}.get(left_out)
    for weights in parts.glob("*/*.safetensors"):
        if weights.parent.name != kept:
            weights.unlink()
    save_file(tensors, file)

    family = load(options(file, parts), lambda _: None)

    plain = load(options(whole), lambda _: None)
    assert family.name == "all"
    torch.testing.assert_close(latents(family), latents(plain))
    noise = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(family.decode(noise), plain.decode(noise))
    assert torch.get_default_dtype() == torch.float32


def test_m3_what_neither_the_file_nor_its_folder_has_is_told(tmp_path: Path) -> None:
    save_sd3(tmp_path / "parts", has_t5=True)
    tensors = all_in_one(tmp_path / "parts", "sd3")
    for weights in (tmp_path / "parts").glob("*/*.safetensors"):
        weights.unlink()
    for left_out, said in (
        ("t5xxl", "text_encoder_3 has no .safetensors weights"),
        ("first_stage_model.decoder.conv_in", "expected the vae of parts"),
        ("t5xxl.transformer.encoder.block.0", "expected the text_encoder_3 of parts"),
        ("clip_g.transformer.text_model.encoder.layers.1", "expected the text_encoder_2 of parts"),
    ):
        file = tmp_path / "some.safetensors"
        save_file({n: value for n, value in tensors.items() if left_out not in n}, file)

        with pytest.raises(ModelError, match=said):
            load(options(file, tmp_path / "parts"), lambda _: None)


@pytest.fixture
def z_image(tmp_path: Path) -> Path:
    save_z_image(tmp_path / "z-image")
    return tmp_path / "z-image"


def test_m3_a_transformer_that_lacks_something_says_so(tmp_path: Path, z_image: Path) -> None:
    tensors = load_file(z_image / WEIGHTS)
    tensors.pop("layers.0.attention.to_q.weight")
    save_file(tensors, tmp_path / "half.safetensors")

    with pytest.raises(ModelError, match=r"half\.safetensors: expected .*use another file"):
        load(options(tmp_path / "half.safetensors", z_image), lambda _: None)


def test_m3_parts_that_are_of_no_such_model_say_so(
    tmp_path: Path, kl_folder: Path, z_image: Path
) -> None:
    file = z_image / WEIGHTS

    with pytest.raises(ModelError, match=r"the parts of Stable Diffusion 3, FLUX\.1 or Z-Image"):
        load(options(file, kl_folder), lambda _: None)
    with pytest.raises(ModelError, match="or for a flow-matching model a registry"):
        load(options(file), lambda _: None)


def test_m12_a_registry_may_name_the_parts_of_a_transformer_s_file(
    tmp_path: Path, z_image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(z_image / WEIGHTS, tmp_path / "tune.safetensors")
    registry = tmp_path / "models.toml"
    registry.write_text('[models.tune]\npath = "tune.safetensors"\nparts = "z-image"\n')
    loads: list[LoadOptions] = []

    def noted(wanted: LoadOptions, _report: Any) -> Family:
        loads.append(wanted)
        raise ModelError("noted")

    monkeypatch.setattr("gpu.loader.load", noted)
    read = read_registry(registry, tmp_path / "embedded")
    loader = Loader(read, options(tmp_path), 2, lambda _: None, chooses_threads=False)

    assert loader.listings[0] == ModelListing(id="tune", title="tune")
    sizes = [path.stat().st_size for path in z_image.glob("*/*.safetensors")]
    sizes.append((tmp_path / "tune.safetensors").stat().st_size)
    assert loader.num_bytes("tune") == sum(sizes)
    with pytest.raises(ModelError, match="noted"):
        loader.load("tune")
    assert (loads[0].path, loads[0].parts) == (tmp_path / "tune.safetensors", z_image)
