"""What loads, what doesn't, and what is said then."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from gpu.errors import ModelError
from gpu.models import text
from gpu.models.checkpoint import is_pickle, is_safetensors
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.single_file import MERGES, clip_tokenizer
from gpu.models.stable_diffusion import StableDiffusion

if TYPE_CHECKING:
    from pathlib import Path


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


def options(path: Path, **changes: object) -> LoadOptions:
    return LoadOptions(path, torch.device("cpu"), torch.float32, **changes)  # type: ignore[arg-type]


def refuse(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(options(path), lambda _line: None)
    return str(caught.value)


def test_m1_a_pickle_named_safetensors_is_refused_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(pickle.dumps(Bomb()))

    assert "holds a pickle" in refuse(file)


def test_m1_a_torch_archive_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    torch.save({"weight": torch.zeros(2)}, file)

    assert is_pickle(file)
    assert "holds a pickle" in refuse(file)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.ckpt"])
def test_m1_a_folder_whose_part_is_only_a_pickle_is_refused(
    tmp_path: Path, tiny_folder: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / name).write_bytes(pickle.dumps(Bomb()))

    assert "no safetensors" in refuse(folder)


def test_m1_a_pickle_renamed_inside_a_folder_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(pickle.dumps(Bomb()))

    assert "holds a pickle" in refuse(folder)


def test_m1_a_pickle_beside_safetensors_is_never_opened(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))

    assert load(options(folder), lambda _line: None).latent_channels == 16


def test_m2_a_missing_model_says_where_it_was_looked_for(tmp_path: Path) -> None:
    assert f"at {tmp_path / 'none'}" in refuse(tmp_path / "none")


def test_m2_a_truncated_download_is_told_from_a_pickle(tmp_path: Path, tiny_folder: Path) -> None:
    whole = (tiny_folder / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    file = tmp_path / "model.safetensors"
    file.write_bytes(whole[:100])

    assert not is_safetensors(file)
    assert "download it again" in refuse(file)


def test_m2_another_architecture_is_named(tmp_path: Path, tiny_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["custom_code", "MyUNet"]
    (folder / "model_index.json").write_text(json.dumps(index))

    assert "expected unet to be UNet2DConditionModel, got MyUNet" in refuse(folder)


@pytest.mark.parametrize(
    "piece",
    ["tokenizer", "tokenizer/vocab.json", "text_encoder/config.json", "unet", "scheduler"],
)
def test_m2_a_piece_that_is_missing_is_named(tmp_path: Path, tiny_folder: Path, piece: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    path = folder / piece
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    message = refuse(folder)
    assert piece.split("/")[0] in message
    assert "complete" in message


@pytest.mark.parametrize(
    ("setting", "value"),
    [("in_channels", 9), ("cross_attention_dim", 64), ("addition_embed_type", "text_image")],
)
def test_m2_a_unet_that_wants_more_than_latents_time_and_text_is_named(
    tmp_path: Path, tiny_folder: Path, setting: str, value: object
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    config = dict(UNet2DConditionModel.load_config(folder / "unet"))
    extra = {"encoder_hid_dim": 32} if setting == "addition_embed_type" else {}
    unet: Any = UNet2DConditionModel.from_config({**config, **extra, setting: value})
    unet.save_pretrained(folder / "unet")

    assert f"unet's {setting} to be" in refuse(folder)


def test_m2_a_file_cut_short_after_its_header_is_to_be_downloaded_again(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"some.weight": torch.zeros(200)}, file)
    file.write_bytes(file.read_bytes()[:-8])

    assert "download it again" in refuse(file)


def test_m2_a_file_that_is_no_sd1_checkpoint_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"some.weight": torch.zeros(2)}, file)

    assert "Stable Diffusion 1.x" in refuse(file)


def test_m3_clips_vocabulary_is_complete() -> None:
    tokenizer = clip_tokenizer(MERGES)

    ids = tokenizer("a photo of an astronaut riding a horse").input_ids

    # As openai/clip-vit-large-patch14 numbers it.
    assert ids == [49406, 320, 1125, 539, 550, 18376, 6765, 320, 4558, 49407]


def test_m4_prompts_are_encoded_once_and_the_cache_is_bounded(
    tiny: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_MAX_PROMPTS", 3)
    first = tiny.encode_prompt("zero")

    assert tiny.encode_prompt("zero") is first
    for other in ("one", "two", "three"):
        tiny.encode_prompt(other)
    assert tiny.encode_prompt("zero") is not first
    assert len(tiny._reader._known) == 3


def test_m5_low_vram_gives_the_same_picture(tiny_folder: Path, tiny: StableDiffusion) -> None:
    frugal = load(options(tiny_folder, low_vram=True), lambda _line: None)
    latents = torch.randn(1, 16, 4, 4, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(frugal.decode(latents), tiny.decode(latents))
    torch.testing.assert_close(
        frugal.encode_prompt("a house").tokens, tiny.encode_prompt("a house").tokens
    )


def test_m5_low_vram_puts_nothing_away_that_another_thread_computes_with(
    tiny_folder: Path,
) -> None:
    frugal = load(options(tiny_folder, low_vram=True), lambda _line: None)
    assert isinstance(frugal, StableDiffusion)
    decode, is_decoding, put_away_meanwhile = frugal._autoencoder._vae.decode, [False], []

    class Hook:
        def offload(self) -> None:
            put_away_meanwhile.append(is_decoding[0])

    def slow_decode(*arguments: Any, **settings: Any) -> Any:
        is_decoding[0] = True
        other.start()
        other.join(0.2)
        decoded = decode(*arguments, **settings)
        is_decoding[0] = False
        return decoded

    frugal._reserve._offloads = [Hook()]
    frugal._autoencoder._vae.decode = slow_decode
    other = threading.Thread(target=frugal.encode_prompt, args=("something new",))
    frugal.decode(torch.zeros(1, 16, 4, 4))
    other.join()

    assert put_away_meanwhile == [False, False]


def test_m5_xformers_where_it_cannot_work_is_said_in_one_line(tiny_folder: Path) -> None:
    lines: list[str] = []

    load(options(tiny_folder, attention="xformers"), lines.append)

    assert lines[-1].startswith("xformers attention can't be used here (")
    assert "\n" not in lines[-1]
