"""What tiny models are made of: real classes, a few random weights, as pipelines save them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LENGTH = 12
"""Tokens of a window of CLIP's."""
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
EULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
FLOW: dict[str, Any] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
}
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def text_config(width: int = 32, projection: int = 24, num_layers: int = 3) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=56,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_dim=projection,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )


def t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )


def autoencoder(channels: int, num_levels: int = 4, **settings: Any) -> Any:
    """Eight pixels a cell with four levels, as all but the embedded model have it."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        latent_channels=channels,
        block_out_channels=(8,) * num_levels,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * num_levels,
        up_block_types=("UpDecoderBlock2D",) * num_levels,
        **settings,
    )


def save_tokenizer(folder: Path) -> None:
    """CLIP's, of single letters."""
    folder.mkdir(parents=True)
    tokens = [
        *_ALPHABET,
        *(f"{letter}</w>" for letter in _ALPHABET),
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
        "model_max_length": LENGTH,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_letters(folder: Path) -> None:
    """T5's or Qwen's: a tokenizer of letters, and of requests to an assistant."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "</s>", "<unk>", *_ALPHABET, " ", ",", "<", ">"]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
        chat_template=_CHAT,
    ).save_pretrained(folder)


def save_pipeline(
    folder: Path,
    name: str,
    parts: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    absent: Sequence[str] = (),
) -> None:
    """A diffusers folder; each text encoder gets a tokenizer, `absent` parts are named and not
    there."""
    index: dict[str, Any] = {"_class_name": name, "_diffusers_version": "0.42.0"}
    index["scheduler"] = ["diffusers", scheduler["_class_name"]]
    index |= {part: [None, None] for part in absent}
    for part, module in parts.items():
        module.save_pretrained(folder / part)
        is_encoder = part.startswith("text_encoder")
        cls = type(module).__name__
        index[part] = ["transformers" if is_encoder else "diffusers", cls]
        if is_encoder:
            tokenizer = part.replace("text_encoder", "tokenizer")
            is_clip = cls.startswith("CLIP")
            (save_tokenizer if is_clip else save_letters)(folder / tokenizer)
            kind = "CLIPTokenizer" if is_clip else "PreTrainedTokenizerFast"
            index[tokenizer] = ["transformers", kind]
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(index))
