"""What is in a LoRA file: which modules it adds to, and whether it fits the model.

Reads the layouts that diffusers' `load_lora_weights` takes: PEFT's, the older diffusers one, and
kohya-ss's. Knows nothing of forwards.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from gpu.errors import ModelError
from gpu.models.checkpoint import require_safetensors
from gpu.models.lora_names import of_transformer, of_unet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Part = Literal["unet", "transformer", "text_encoder", "text_encoder_2"]
_METADATA = "lora_adapter_metadata"
_SUFFIXES: dict[str, str] = {
    f"{stem}.{end}": side
    for side, stems in {
        "down": (".lora_A", ".lora.down", "_lora.down", ".lora_linear_layer.down", ".lora_down"),
        "up": (".lora_B", ".lora.up", "_lora.up", ".lora_linear_layer.up", ".lora_up"),
    }.items()
    for stem in stems
    for end in ("weight", "default.weight")
} | {".alpha": "alpha"}
_ROOTS: dict[str, Part] = {
    "unet.": "unet",
    "lora_unet_": "unet",
    "transformer.": "transformer",
    "lora_transformer_": "transformer",
    "diffusion_model.": "transformer",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}


@dataclass(frozen=True, slots=True)
class Branch:
    """One module's low-rank addition, `scale * up @ down`.

    For a linear module `down` (rank, in) and `up` (out, rank); for a convolution
    (rank, in, kh, kw) and (out, rank, 1, 1).
    """

    down: Tensor
    up: Tensor
    scale: float

    @property
    def num_bytes(self) -> int:
        return self.down.nbytes + self.up.nbytes

    def to(self, device: torch.device, dtype: torch.dtype) -> Branch:
        return Branch(self.down.to(device, dtype), self.up.to(device, dtype), self.scale)


Names = tuple[str, ...]
"""Modules that share one pair of matrices: their outputs lie end to end in it."""
Branches = dict[Part, dict[str, Branch]]
"""By the module's name within its part of the model."""


def read(path: Path, parts: Mapping[Part, nn.Module], *, values: bool = True) -> Branches:
    """The additions in a file, on the CPU; raises ModelError unless all of them fit `parts`.

    Without `values` the file's header alone is read, and tensors have shapes but no content.
    """
    require_safetensors(path)
    tensors, metadata = _tensors(path, values)
    named = {part: _modules(module) for part, module in parts.items()}
    sides: dict[tuple[Part, Names], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, names, side = _place(path, key, named)
        sides.setdefault((part, names), {})[side] = tensor
    branches: Branches = {part: {} for part in parts}
    for (part, names), found in sides.items():
        try:
            alpha = _alpha(found, metadata, part, names[0])
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: expected its alphas to be numbers ({error})") from None
        apart = _apart(path, names, named[part], found)
        for name, matrices in zip(names, apart, strict=True):
            module = named[part][name]
            branches[part][name] = _branch(path, f"{part}.{name}", module, matrices, alpha)
    if not sides:
        raise ModelError(f"{path} is empty: expected a LoRA adapter's matrices")
    return branches


def _tensors(path: Path, values: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_METADATA, "{}")
            tensors = {
                key: file.get_tensor(key)
                if values or key.endswith(".alpha")
                else torch.empty(file.get_slice(key).get_shape(), device="meta")
                for key in file.keys()  # noqa: SIM118, it is no dict
            }
        metadata = json.loads(text)
    except (SafetensorError, ValueError) as error:
        raise ModelError(f"{path} can't be read ({error}): download it again") from None
    return tensors, metadata if isinstance(metadata, dict) else {}


def _modules(root: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in root.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def _place(
    path: Path, key: str, named: Mapping[Part, Mapping[str, nn.Module]]
) -> tuple[Part, Names, str]:
    """Part, modules and side (down, up, alpha) that a tensor belongs to."""
    suffix = next((end for end in _SUFFIXES if key.endswith(end)), None)
    root = next((start for start in _ROOTS if key.startswith(start)), None)
    part = None if root is None else _ROOTS[root]
    if part == "unet" and "transformer" in named:
        # kohya-ss calls every denoiser so.
        part = "transformer"
    if suffix is None or root is None or part is None or part not in named:
        raise ModelError(
            f"{path}: expected a LoRA's down and up matrices for {' or '.join(named)}, got {key}: "
            "LoHa, LoKr and DoRA can't be used"
        )
    name = key.removeprefix(root).removesuffix(suffix)
    if root == "diffusion_model.":
        name = name.replace(".", "_")
    flat = root.endswith("_") or root == "diffusion_model."
    for names in _spellings(name, named[part], flat=flat):
        if all(candidate in named[part] for candidate in names):
            return part, names, _SUFFIXES[suffix]
    raise ModelError(
        f"{path}: expected modules of this model, got {part}'s {name}: "
        "the adapter was made for another kind of model"
    )


def _spellings(name: str, modules: Iterable[str], *, flat: bool) -> Iterable[Names]:
    if flat:
        # kohya-ss writes underscores for dots, which can't be told from those in names.
        known = {module.replace(".", "_"): module for module in modules}
        single = (name, name.removeprefix("text_model_"), of_unet(name))
        wanted = [*((each,) for each in single), of_transformer(name)]
        return [tuple(known.get(each, "") for each in names) for names in wanted if names]
    name = name.replace(".processor.", ".")
    name += ".0" if name.endswith(".to_out") else ""
    # Older releases of transformers have the text encoder's layers one level down.
    return (name,), (name.removeprefix("text_model."),)


def _alpha(
    found: Mapping[str, Tensor], metadata: Mapping[str, Any], part: Part, name: str
) -> float | None:
    if "alpha" in found:
        return float(found["alpha"])
    patterns = metadata.get(f"{part}.alpha_pattern") or {}
    for pattern, value in patterns.items():
        plain = pattern.removeprefix("^")
        if name == plain or name.endswith("." + plain):
            return float(value)
    value = metadata.get(f"{part}.lora_alpha")
    return None if value is None else float(value)


def _apart(
    path: Path,
    names: Names,
    modules: Mapping[str, nn.Module],
    found: Mapping[str, Tensor],
) -> list[Mapping[str, Tensor]]:
    """The matrices of each of some modules: all share `down`, and each has its part of `up`."""
    if len(names) == 1 or not {"down", "up"} <= set(found):
        return [found] * len(names)
    sizes = [_num_outputs(modules[name]) for name in names]
    if found["up"].shape[0] != sum(sizes):
        raise ModelError(
            f"{path}: expected a matrix of {sum(sizes)} outputs for {' and '.join(names)}, got "
            f"{found['up'].shape[0]}: the adapter was made for another model"
        )
    ups = found["up"].split(sizes)
    return [{"down": found["down"], "up": up} for up in ups]


def _num_outputs(module: nn.Module) -> int:
    outputs = module.out_channels if isinstance(module, nn.Conv2d) else module.out_features
    assert isinstance(outputs, int)
    return outputs


def _branch(
    path: Path, name: str, module: nn.Module, found: Mapping[str, Tensor], alpha: float | None
) -> Branch:
    if not {"down", "up"} <= set(found):
        raise ModelError(f"{path}: expected both matrices for {name}, got {', '.join(found)}")
    down, up = found["down"], found["up"]
    rank = down.shape[0] if down.ndim else 0
    if isinstance(module, nn.Conv2d):
        taken = (rank, module.in_channels // module.groups, *module.kernel_size)
        given: tuple[int, ...] = (module.out_channels, rank, 1, 1)
    else:
        assert isinstance(module, nn.Linear)
        taken, given = (rank, module.in_features), (module.out_features, rank)
    shaped = _reshaped(down, taken), _reshaped(up, given)
    if rank < 1 or shaped[0] is None or shaped[1] is None:
        raise ModelError(
            f"{path}: expected matrices of {_written(taken)} and {_written(given)} for {name}, "
            f"got {_written(down.shape)} and {_written(up.shape)}: "
            "the adapter was made for another model"
        )
    return Branch(shaped[0], shaped[1], 1.0 if alpha is None else alpha / rank)


def _reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A linear layer and a convolution of one pixel are the same thing."""
    plain = tuple(side for side in tensor.shape if side != 1)
    return tensor.reshape(shape) if plain == tuple(side for side in shape if side != 1) else None


def _written(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape)) or "no size"
