"""Folders of tiny models of the flow-matching families, as diffusers' own pipelines save them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from tests.gpu.conftest import save_tokenizer
from tests.gpu.tiny_unets import LENGTH, autoencoder, text_config

if TYPE_CHECKING:
    from pathlib import Path

_CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_DYNAMIC = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}


def save_sd3(folder: Path, *, has_t5: bool) -> None:
    from diffusers import SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(1)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        in_channels=16,
        num_layers=4,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=72,
        caption_projection_dim=32,
        pooled_projection_dim=56,
        pos_embed_max_size=16,
    )
    parts: dict[str, Any] = {"transformer": transformer, "vae": _autoencoder()}
    for end, config in (("", text_config(32, 32)), ("_2", text_config(40))):
        parts[f"text_encoder{end}"] = CLIPTextModelWithProjection(config)
        save_tokenizer(folder / f"tokenizer{end}", LENGTH)
    # OpenAI's CLIP has none of its own there.
    torch.nn.init.eye_(parts["text_encoder"].text_projection.weight)
    if has_t5:
        parts["text_encoder_3"] = _t5(72)
        _save_letters(folder / "tokenizer_3")
    tokenizers = {"tokenizer": "CLIPTokenizer", "tokenizer_2": "CLIPTokenizer"}
    tokenizers |= {"tokenizer_3": "PreTrainedTokenizerFast"} if has_t5 else {}
    _save(folder, "StableDiffusion3Pipeline", parts, tokenizers, {"shift": 3.0})


def save_flux(folder: Path, *, guided: bool) -> None:
    from diffusers import FluxTransformer2DModel
    from transformers import CLIPTextModel

    torch.manual_seed(2)
    transformer = FluxTransformer2DModel(
        in_channels=64,
        num_layers=3,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    parts = {
        "transformer": transformer,
        "vae": _autoencoder(),
        "text_encoder": CLIPTextModel(text_config()),
        "text_encoder_2": _t5(32),
    }
    save_tokenizer(folder / "tokenizer", LENGTH)
    _save_letters(folder / "tokenizer_2")
    tokenizers = {"tokenizer": "CLIPTokenizer", "tokenizer_2": "PreTrainedTokenizerFast"}
    _save(folder, "FluxPipeline", parts, tokenizers, _DYNAMIC if guided else {"shift": 1.0})


def save_z_image(folder: Path) -> None:
    from diffusers import ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    torch.manual_seed(3)
    transformer = ZImageTransformer2DModel(
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=32,
        axes_dims=[4, 4, 8],
        axes_lens=[256, 32, 32],
    )
    with torch.no_grad():
        for token in (transformer.x_pad_token, transformer.cap_pad_token):
            # What fills up is trained; as it is made it may hold anything.
            token.normal_()
    encoder = Qwen3Model(
        Qwen3Config(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=600,
        )
    )
    parts = {"transformer": transformer, "vae": _autoencoder(), "text_encoder": encoder}
    _save_letters(folder / "tokenizer")
    tokenizers = {"tokenizer": "PreTrainedTokenizerFast"}
    _save(folder, "ZImagePipeline", parts, tokenizers, {"shift": 3.0})


def _autoencoder() -> Any:
    return autoencoder(
        16,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )


def _save_letters(folder: Path) -> None:
    """A tokenizer of letters, and of requests to an assistant."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz ,<>"]
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


def _save(
    folder: Path,
    pipeline: str,
    parts: dict[str, Any],
    tokenizers: dict[str, str],
    scheduler: dict[str, Any],
) -> None:
    index: dict[str, Any] = {
        "_class_name": pipeline,
        "_diffusers_version": "0.42.0",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder_3": [None, None],
        "tokenizer_3": [None, None],
        "image_encoder": [None, None],
        "feature_extractor": [None, None],
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        library = "transformers" if name.startswith("text") else "diffusers"
        index[name] = [library, type(part).__name__]
    index |= {name: ["transformers", cls] for name, cls in tokenizers.items()}
    if pipeline != "StableDiffusion3Pipeline":
        for name in ("text_encoder_3", "tokenizer_3"):
            del index[name]
    if pipeline == "ZImagePipeline":
        for name in ("image_encoder", "feature_extractor"):
            del index[name]
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config | scheduler))
    (folder / "model_index.json").write_text(json.dumps(index))
