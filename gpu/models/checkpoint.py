"""Looks at a model's files before anything opens them: pickles run code, so they are refused.

What a file is follows from its first bytes, not from its name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpu.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]
"""Of each tensor in a file, by name."""
_MAX_HEADER_BYTES = 100_000_000
"""The safetensors format's own limit."""


def is_safetensors(path: Path) -> bool:
    """Whether the file begins with a whole safetensors header: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            return False
        (length,) = struct.unpack("<Q", head)
        if not 2 <= length <= min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
            return False
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return False
    return isinstance(header, dict)


def read_shapes(path: Path) -> Shapes:
    """The tensors that a file holds, none of them read; raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except SafetensorError as error:
        raise ModelError(
            f"{path} is not a whole safetensors file ({error}): download it again"
        ) from error


def is_pickle(path: Path) -> bool:
    """Whether torch.load would unpickle this: a pickle, a torch zip archive, or a legacy tar."""
    with path.open("rb") as file:
        head = file.read(512)
    is_tar = head[257:262] == b"ustar"
    return (
        head[:2] in {b"\x80" + bytes([n]) for n in range(2, 6)}
        or head[:4] == b"PK\x03\x04"
        or is_tar
    )


def require_safetensors(path: Path) -> None:
    """Raise ModelError unless the file's content is safetensors."""
    if is_safetensors(path):
        return
    if is_pickle(path):
        raise ModelError(
            f"{path} holds a pickle, which could run any code when opened: expected safetensors. "
            "Get the model's .safetensors version, or convert it on a machine you can lose."
        )
    raise ModelError(
        f"{path} is not a whole safetensors file ({path.stat().st_size} bytes): download it again."
    )


def check_component(folder: Path) -> None:
    """Raise ModelError unless a model's part has weights and all that would be opened are safe."""
    if not folder.is_dir():
        raise ModelError(f"expected the folder {folder}: the model is not complete")
    if not (folder / "config.json").is_file():
        raise ModelError(f"expected {folder / 'config.json'}: the model is not complete")
    weights = [file for file in _files(folder) if file.name.endswith(".safetensors")]
    for file in weights:
        require_safetensors(file)
    if weights:
        return
    pickles = [file for file in _files(folder) if is_pickle(file)]
    if pickles:
        raise ModelError(
            f"{pickles[0]} holds a pickle, which could run any code when opened, and {folder} has "
            "no safetensors: get the model's .safetensors version."
        )
    raise ModelError(f"{folder} has no .safetensors weights: the model is not complete")


def check_tokenizer(folder: Path) -> None:
    """Raise ModelError unless the folder has a vocabulary."""
    wanted = (("tokenizer.json",), ("vocab.json", "merges.txt"))
    if not any(all((folder / name).is_file() for name in names) for names in wanted):
        raise ModelError(
            f"expected {folder} to hold tokenizer.json, or vocab.json and merges.txt: "
            "the model is not complete"
        )


def _files(folder: Path) -> Iterable[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file())
