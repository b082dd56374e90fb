"""A model's parts: told by their classes, read from its folder, and put where they compute.

Never a pickle, never code from the model, never over the network. Knows no family.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from gpu.errors import ModelError
from gpu.models.checkpoint import check_tokenizer
from gpu.models.quantised import kept_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu.models.family import LoadOptions

INDEX = "model_index.json"
BESIDE = ("loras", "controlnet")
"""Folders in a model's that are none of its parts."""


def part_classes(folder: Path) -> dict[str, str]:
    """The class name of each part, by diffusers' `model_index.json`; raises ModelError."""
    index = read_json(folder / INDEX)
    return {
        name: str(value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1]
    }


def require_classes(
    folder: Path, parts: Mapping[str, str], known: Mapping[str, Sequence[str]]
) -> None:
    """Raise ModelError unless each part of `known` is of one of its classes."""
    for name, classes in known.items():
        if parts.get(name) not in classes:
            raise ModelError(
                f"{folder}: expected {name} to be {' or '.join(classes)}, got {parts.get(name)}: "
                "use a model whose parts are diffusers' own"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ModelError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"expected {path}: this is no complete diffusers folder") from None
    except ValueError as error:
        raise ModelError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return value


def load_part(cls: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load one part; only its safetensors are ever opened. Raises ModelError.

    Both libraries make the number format they are asked for the process's default meanwhile, and
    steps of other models may be taken on another thread: it must stay what it is. Diffusers reads
    a file as it is unless it is asked; transformers has to be asked for the default itself.
    """
    asked = None if hasattr(cls, "load_config") else torch.float32
    try:
        return cls.from_pretrained(
            folder, torch_dtype=asked, local_files_only=True, use_safetensors=True
        ).to(dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder} could not be loaded as {cls.__name__}: {error}") from error


def load_tokenizer(cls: Any, folder: Path) -> Any:
    """Load a vocabulary; raises ModelError where there is none."""
    check_tokenizer(folder)
    return cls.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def stored_bytes(path: Path) -> int:
    """What a model's file, or the parts in its folder, take on the disk."""
    files = path.glob("*/*.safetensors") if path.is_dir() else path.parent.glob(path.name)
    return sum(file.stat().st_size for file in files if file.parent.name not in BESIDE)


def weight_bytes(modules: Iterable[Any]) -> int:
    """What the modules' weights take."""
    return sum(kept_bytes(weight) for module in modules for weight in module.parameters())


def quieten() -> None:
    """Keep diffusers and transformers from writing progress bars and advice."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


class Reserve:
    """Parts that the step loop doesn't need: on the device, or with low VRAM only in use."""

    def __init__(self, modules: Sequence[Any], options: LoadOptions) -> None:
        self._fetching = threading.Lock()
        self._offloads: list[Any] = []
        for module in modules:
            if options.low_vram:
                from accelerate import cpu_offload_with_hook

                self._offloads.append(cpu_offload_with_hook(module, options.device)[1])
            else:
                module.to(options.device, memory_format=torch.channels_last)

    @contextmanager
    def fetched(self) -> Iterator[None]:
        """Use the parts, put away again afterwards with low VRAM.

        Then one thread at a time: none may put away what another is computing with.
        """
        if not self._offloads:
            yield
            return
        with self._fetching:
            try:
                yield
            finally:
                for hook in self._offloads:
                    hook.offload()
