"""Tiny models made of the real classes, with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.stable_diffusion import StableDiffusion

if TYPE_CHECKING:
    from pathlib import Path

V_PREDICTION: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 1,
}
EPSILON: dict[str, Any] = {
    **V_PREDICTION,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "timestep_spacing": "leading",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def pytest_configure(config: pytest.Config) -> None:
    # diffusers hands torch tensors to numpy in a way that numpy 2 grumbles about.
    for line in (
        "ignore:__array__ implementation:DeprecationWarning",
        # Of FluxControlNetModel, which is made of what diffusers deprecates.
        "ignore:`FluxPosEmbed` is deprecated:FutureWarning",
        # Of peft, when diffusers loads a second adapter.
        "ignore:Already found a `peft_config` attribute:UserWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    # Threads of torch that wait for each other on a busy machine cost more than they bring.
    torch.set_num_threads(1)


def save_tokenizer(folder: Path, length: int) -> None:
    folder.mkdir(parents=True)
    tokens = [
        *_LETTERS,
        *(f"{letter}</w>" for letter in _LETTERS),
        "<|startoftext|>",
        "<|endoftext|>",
        ",",
        ",</w>",
    ]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": length,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_text_encoder(folder: Path, length: int) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=56,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    CLIPTextModel(config).save_pretrained(folder)


def save_model(folder: Path, *, tiny_autoencoder: bool, scheduler: dict[str, Any]) -> None:
    """A diffusers folder like the embedded model's (f16, 16 channels) or like SD 1.x (f4 KL)."""
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

    torch.manual_seed(0)
    channels = 16 if tiny_autoencoder else 4
    if tiny_autoencoder:
        vae: Any = AutoencoderTiny(
            latent_channels=16,
            encoder_block_out_channels=(8, 8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8, 8),
            num_encoder_blocks=(1, 1, 1, 1, 1),
            num_decoder_blocks=(1, 1, 1, 1, 1),
        )
        extra: dict[str, Any] = {"addition_embed_type": "text", "addition_embed_type_num_heads": 4}
    else:
        vae = AutoencoderKL(
            latent_channels=4,
            block_out_channels=(8, 8, 8),
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
        )
        extra = {}
    unet: Any = UNet2DConditionModel(
        sample_size=8 if tiny_autoencoder else 16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=2,
        cross_attention_dim=32,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **extra,
    )
    length = 12
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    save_text_encoder(folder / "text_encoder", length)
    save_tokenizer(folder / "tokenizer", length)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderTiny" if tiny_autoencoder else "AutoencoderKL"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like the embedded model: f16, 16 channels, v-prediction, zero-terminal SNR."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, tiny_autoencoder=True, scheduler=V_PREDICTION)
    return folder


@pytest.fixture(scope="session")
def kl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like SD 1.x: AutoencoderKL, 4 channels, epsilon prediction."""
    folder = tmp_path_factory.mktemp("models") / "kl"
    save_model(folder, tiny_autoencoder=False, scheduler=EPSILON)
    return folder


def load_model(folder: Path) -> StableDiffusion:
    options = LoadOptions(folder, torch.device("cpu"), torch.float32)
    family = load(options, lambda _detail: None)
    assert isinstance(family, StableDiffusion)
    return family


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> StableDiffusion:
    return load_model(tiny_folder)


@pytest.fixture(scope="session")
def kl(kl_folder: Path) -> StableDiffusion:
    return load_model(kl_folder)
