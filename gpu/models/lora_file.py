"""What is in a LoRA file: which modules it adds to, and whether it fits the model.

Reads the layouts that diffusers' `load_lora_weights` takes for Stable Diffusion: PEFT's, the
older diffusers one, and kohya-ss's. Knows nothing of forwards.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from gpu.models.checkpoint import require_safetensors
from gpu.models.family import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Part = Literal["unet", "text_encoder", "text_encoder_2"]
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


Branches = dict[Part, dict[str, Branch]]
"""By the module's name within its part of the model."""


def read(path: Path, parts: Mapping[Part, nn.Module], *, values: bool = True) -> Branches:
    """The additions in a file, on the CPU; raises ModelError unless all of them fit `parts`.

    Without `values` the file's header alone is read, and tensors have shapes but no content.
    """
    require_safetensors(path)
    tensors, metadata = _tensors(path, values)
    named = {part: _modules(module) for part, module in parts.items()}
    sides: dict[tuple[Part, str], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, name, side = _place(path, key, named)
        sides.setdefault((part, name), {})[side] = tensor
    branches: Branches = {part: {} for part in parts}
    for (part, name), found in sides.items():
        try:
            alpha = _alpha(found, metadata, part, name)
        except (AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: expected its alphas to be numbers ({error})") from None
        branches[part][name] = _branch(path, f"{part}.{name}", named[part][name], found, alpha)
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
) -> tuple[Part, str, str]:
    """Part, module and side (down, up, alpha) that a tensor belongs to."""
    suffix = next((end for end in _SUFFIXES if key.endswith(end)), None)
    root = next((start for start in _ROOTS if key.startswith(start)), None)
    if suffix is None or root is None or _ROOTS[root] not in named:
        raise ModelError(
            f"{path}: expected a LoRA's down and up matrices for {' or '.join(named)}, got {key}: "
            "LoHa, LoKr and DoRA can't be used"
        )
    part = _ROOTS[root]
    name = key.removeprefix(root).removesuffix(suffix)
    for candidate in _spellings(name, named[part], flat=root.endswith("_")):
        if candidate in named[part]:
            return part, candidate, _SUFFIXES[suffix]
    raise ModelError(
        f"{path}: expected modules of this model, got {part}'s {name}: "
        "the adapter was made for another kind of model"
    )


def _spellings(name: str, modules: Iterable[str], *, flat: bool) -> Iterable[str]:
    if flat:
        # kohya-ss writes underscores for dots, which can't be told from those in names.
        wanted = {name, name.removeprefix("text_model_"), _of_original(name)}
        return [module for module in modules if module.replace(".", "_") in wanted]
    name = name.replace(".processor.", ".")
    name += ".0" if name.endswith(".to_out") else ""
    # Older releases of transformers have the text encoder's layers one level down.
    return name, name.removeprefix("text_model.")


def _of_original(name: str) -> str:
    """Stable Diffusion XL's attention under the name that it was trained with, as diffusers names
    it: three places a level, of which the first two hold attention."""
    match = re.match(r"(input|output)_blocks_(\d+)_1_(.*)", name)
    if match is None:
        return name.replace("middle_block_1_", "mid_block_attentions_0_")
    way, number, rest = match.groups()
    level, layer = divmod(int(number) - (way == "input"), 3)
    return f"{'down' if way == 'input' else 'up'}_blocks_{level}_attentions_{layer}_{rest}"


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
