"""The models that a worker may load, by ids: what a job names is a key here, never a path.

A registry is a TOML file. Paths are relative to it, and the first model is the default one:

    [models.dreams]
    path = "dreams.safetensors"
    title = "Dreams"

A flow-matching model's file names a diffusers folder that has what it leaves out: all but the
transformer, or with autoencoder and text encoders in the file configs and vocabularies alone:

    [models.tune]
    path = "tune.safetensors"
    parts = "flux-dev"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from gpu.api import MODEL_ID, ModelListing, Name
from gpu.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EMBEDDED_ID = "embedded"
_ALONE_ID = "model"
_Id = Annotated[str, Meta(pattern=rf"^{MODEL_ID}\Z")]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    title: Name = ""
    parts: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: Annotated[dict[_Id, _Entry], Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class Registry:
    paths: Mapping[str, Path]
    titles: Mapping[str, str]
    default: str
    parts: Mapping[str, Path] = field(default_factory=dict)
    """Of some models, the folder that has what their file leaves out."""

    @property
    def listings(self) -> tuple[ModelListing, ...]:
        return tuple(ModelListing(id=id, title=self.titles[id]) for id in self.paths)


def only(path: Path, embedded: Path) -> Registry:
    """A registry of one model."""
    id = EMBEDDED_ID if path == embedded else _ALONE_ID
    title = path.resolve().name.removesuffix(".safetensors")
    return Registry({id: path}, {id: title}, id)


def read_registry(file: Path, embedded: Path, default: str | None = None) -> Registry:
    """Read a registry; the embedded model is in each. Raises ModelError with what to correct."""
    try:
        found = msgspec.toml.decode(file.read_bytes(), type=_File).models
    except OSError as error:
        raise ModelError(f"expected a registry of models at {file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"{file}: {error}: correct it") from None
    paths = {id: file.parent / entry.path for id, entry in found.items()}
    titles = {id: entry.title or id for id, entry in found.items()}
    default = default or next(iter(paths))
    paths.setdefault(EMBEDDED_ID, embedded)
    titles.setdefault(EMBEDDED_ID, embedded.name)
    if default not in paths:
        raise ModelError(
            f"expected --model to be one of {file}'s ({', '.join(paths)}), got {default}"
        )
    parts = {id: file.parent / entry.parts for id, entry in found.items() if entry.parts}
    return Registry(paths, titles, default, parts)
