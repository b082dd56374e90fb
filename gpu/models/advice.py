"""How a model is best used, if its folder says so: `studio.json`, all of whose keys are optional.

Diffusers knows nothing of this file and ignores it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from gpu.api import Sampler
from gpu.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "studio.json"


class Advice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new frame asks for with this model; see `gpu.api.ModelInfo`."""

    steps: Annotated[int, Meta(ge=1, le=100)] = 20
    guidance: Annotated[float, Meta(ge=0, le=20)] = 4.0
    sampler: Sampler = "dpmpp_2m"
    live_steps: Annotated[int, Meta(ge=1, le=100)] = 4


def read_advice(model: Path, usual: Advice | None = None) -> Advice:
    """The advice in a model's folder; what it doesn't say is as `usual` with its family.

    Raises ModelError if it can't be read.
    """
    usual = usual or Advice()
    path = model / FILE
    if not path.is_file():
        return usual
    try:
        said = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return msgspec.convert(msgspec.structs.asdict(usual) | said, Advice)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}: correct it, or remove the file") from None
