"""Reads the parts of a flow-matching model: from a diffusers folder, or from one file beside it.

A file may hold the transformer alone, or autoencoder and text encoders too, under the names that
ComfyUI gives them. What it leaves out comes from the folder: configs and vocabularies always,
since no file holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from gpu.errors import ModelError
from gpu.models.autoencoder import CLASSES, autoencoder_dtype
from gpu.models.checkpoint import check_component, read_shapes
from gpu.models.parts import load_part, load_tokenizer, quieten, read_json, require_classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gpu.models.checkpoint import Shapes
    from gpu.models.family import LoadOptions, Report

_AUTOENCODER = ("first_stage_model.", "vae.")
_ENCODERS = "text_encoders."
_T5 = "text_encoders.t5xxl.transformer.shared.weight"
_CLIPS = {
    "text_encoder": "text_encoders.clip_l.transformer.text_model.final_layer_norm.weight",
    "text_encoder_2": "text_encoders.clip_g.transformer.text_model.final_layer_norm.weight",
}
"""A tensor by which a text encoder is known to be in a file."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A model as it was read; `encoders` and `tokenizers` by their names in the folder."""

    name: str
    transformer: Any
    vae: Any
    encoders: Mapping[str, Any]
    tokenizers: Mapping[str, Any]
    scheduler_config: Mapping[str, Any]


def load_parts(
    options: LoadOptions,
    classes: Mapping[str, str],
    transformer: str,
    encoders: Mapping[str, Sequence[str]],
    report: Report,
) -> Parts:
    """Read a diffusers folder, or a file and what it leaves out from its folder; `encoders` has
    the classes of each text encoder that has to be there, and each has a tokenizer of the same
    number. Raises ModelError."""
    folder = options.parts or options.path
    require_classes(folder, classes, {"transformer": (transformer,), "vae": CLASSES, **encoders})
    names = ("transformer", "vae", *encoders)
    filed = frozenset[str]() if options.parts is None else _filed(options.path, names, classes)
    for name in names:
        if name not in filed:
            check_component(folder / name)
    report("importing the model's classes")
    import diffusers
    import transformers

    quieten()
    report("reading the weights")
    dtypes = {"transformer": options.dtype, "vae": autoencoder_dtype(classes["vae"], options)}
    dtypes |= {name: _encoder_dtype(classes[name], options) for name in encoders}
    read: dict[str, Any] = {}
    for name in names:
        library: Any = transformers if name in encoders else diffusers
        cls = getattr(library, classes[name])
        if name in filed:
            read[name] = _from_file(cls, options.path, folder, name, dtypes[name])
        else:
            read[name] = load_part(cls, folder / name, dtypes[name])
    return Parts(
        name=options.path.resolve().name.removesuffix(".safetensors"),
        transformer=read["transformer"],
        vae=read["vae"],
        encoders={name: read[name] for name in encoders},
        tokenizers={
            tokenizer: load_tokenizer(transformers.AutoTokenizer, folder / tokenizer)
            for tokenizer in (name.replace("text_encoder", "tokenizer") for name in encoders)
        },
        scheduler_config=read_json(folder / "scheduler" / "scheduler_config.json"),
    )


def _filed(path: Path, names: Sequence[str], classes: Mapping[str, str]) -> frozenset[str]:
    """Which of the parts are in a file; the transformer always is."""
    shapes = read_shapes(path)
    return frozenset(
        name for name in names if name == "transformer" or _holds(shapes, name, classes[name])
    )


def _holds(shapes: Shapes, name: str, cls: str) -> bool:
    if name == "vae":
        return cls == "AutoencoderKL" and any(key.startswith(_AUTOENCODER) for key in shapes)
    return (_T5 if cls == "T5EncoderModel" else _CLIPS.get(name)) in shapes


def _from_file(cls: Any, path: Path, folder: Path, name: str, dtype: torch.dtype) -> Any:
    """A part from a file, under the names that it was published with; raises ModelError."""
    read_json(folder / name / "config.json")
    try:
        part = _read(cls, path, folder, name, dtype)
    except Exception as error:
        # What is missing, or unexpected, is met in many ways.
        raise ModelError(
            f"{path}: expected the {name} of {folder.name} as it was published "
            f"({type(error).__name__}: {error}): use another file"
        ) from error
    missing = [key for key, weight in part.named_parameters() if weight.is_meta]
    if missing:
        raise ModelError(
            f"{path}: expected the {name} of {folder.name}, got one without {missing[0]}: "
            "use another file"
        )
    return part


def _read(cls: Any, path: Path, folder: Path, name: str, dtype: torch.dtype) -> Any:
    tensors = _tensors(path, name)
    settings: dict[str, Any] = {
        "config": str(folder),
        "subfolder": name,
        "torch_dtype": dtype,
        "local_files_only": True,
    }
    if hasattr(cls, "from_single_file"):
        return cls.from_single_file(tensors, **settings)
    from diffusers.loaders import single_file_utils

    if cls.__name__ != "T5EncoderModel":
        return single_file_utils.create_diffusers_clip_model_from_ldm(cls, tensors, **settings)
    encoder = single_file_utils.create_diffusers_t5_model_from_checkpoint(cls, tensors, **settings)
    # Its words are embedded by what it shares with a decoder that isn't there.
    encoder.tie_weights()
    return encoder


def _tensors(path: Path, name: str) -> dict[str, Any]:
    """Of a file's tensors those of a part, text encoders together."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        keys = list(file.keys())
        if name == "transformer":
            chosen = [key for key in keys if not key.startswith((*_AUTOENCODER, _ENCODERS))]
        else:
            prefix = _AUTOENCODER if name == "vae" else (_ENCODERS,)
            chosen = [key for key in keys if key.startswith(prefix)]
        return {key: file.get_tensor(key) for key in chosen}


def _encoder_dtype(name: str, options: LoadOptions) -> torch.dtype:
    """CLIP is small; T5 and Qwen take most of the memory, and fp16 is too narrow for them."""
    is_small = name.startswith("CLIP") or options.dtype == torch.float16
    return torch.float32 if is_small else options.dtype
