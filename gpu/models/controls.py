"""ControlNets (Zhang et al. 2023): which ones there are, and what they add to a forward.

A model's folder may hold one as `controlnet/` and several as `controlnets/NAME/`, each in
diffusers' layout. Its id is its folder's name, and what it wants to see follows from the word in
it: scribble, canny or depth; without one it is a scribble control.

Knows no architecture: what a control adds is a list of tensors for places in a denoiser.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from gpu.api import ControlInfo, ControlKind
from gpu.errors import ModelError
from gpu.models.checkpoint import check_component

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu.models.family import ControlNet, Report, Row

    Added = list[Tensor | None]
    """What is added at each place in a denoiser, (rows, …), or None."""

SINGLE, SEVERAL = "controlnet", "controlnets"
MAX_LISTED = 32
_MAX_HELD_BYTES = 4 << 30


class ControlShelf:
    """The controls in a model's folder; those used last are kept loaded, within a bound."""

    def __init__(
        self,
        folder: Path,
        check: Callable[[Path, Mapping[str, Any]], None],
        load: Callable[[Path], ControlNet],
        report: Report,
    ) -> None:
        """`check` gets a control's folder and config and raises ModelError unless it was made for
        models like this one; `load` reads its folder, and may raise that too."""
        self._check = check
        self._load = load
        self._folders = dict(self._list(folder, report))
        self._held: OrderedDict[str, ControlNet] = OrderedDict()
        # What was let go of may still be in use by a job: it isn't loaded twice.
        self._alive: WeakValueDictionary[str, ControlNet] = WeakValueDictionary()
        self._lock = threading.Lock()

    @property
    def infos(self) -> tuple[ControlInfo, ...]:
        return tuple(ControlInfo(name, kind_of(name)) for name in self._folders)

    def take(self, name: str) -> ControlNet:
        """The control, loaded if it isn't yet; raises ValueError for a name that isn't listed."""
        if name not in self._folders:
            raise ValueError(
                f"expected one of this model's controls ({', '.join(self._folders) or 'none'}), "
                f"got {name}: choose another, or none"
            )
        with self._lock:
            control = self._alive.get(name)
            if control is None:
                try:
                    control = self._load(self._folders[name])
                except ModelError as error:
                    raise ValueError(str(error)) from None
            self._held[name] = self._alive[name] = control
            self._held.move_to_end(name)
            while len(self._held) > 1 and self._held_bytes() > _MAX_HELD_BYTES:
                self._held.popitem(last=False)
            return control

    def _list(self, folder: Path, report: Report) -> Iterator[tuple[str, Path]]:
        several = folder / SEVERAL
        found = [folder / SINGLE] if (folder / SINGLE).is_dir() else []
        if several.is_dir():
            found += sorted(path for path in several.iterdir() if path.is_dir())
        for path in found[:MAX_LISTED]:
            try:
                check_component(path)
                self._check(path, _config(path))
            except (ModelError, OSError) as error:
                report(f"left out: {error}")
            else:
                yield path.name, path

    def _held_bytes(self) -> int:
        return sum(control.num_bytes for control in self._held.values())


def _config(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((path / "config.json").read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path / 'config.json'} is no JSON object: {error}") from None


def require(
    path: Path,
    config: Mapping[str, Any],
    wanted: Mapping[str, tuple[Any, ...]],
    unsaid: Mapping[str, Any],
) -> None:
    """Raise ModelError unless a control's config has one of the wanted values for each name;
    `unsaid` is what a config means that doesn't have the name."""
    for name, values in wanted.items():
        found = config.get(name, unsaid.get(name))
        if _plain(found) not in [_plain(value) for value in values]:
            expected = " or ".join(map(str, values))
            raise ModelError(f"{path}: expected its {name} to be {expected}, got {found}")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def kind_of(name: str) -> ControlKind:
    kinds: tuple[ControlKind, ...] = get_args(ControlKind)
    return next((kind for kind in kinds if kind in name.lower()), "scribble")


@dataclass(frozen=True, slots=True)
class Steered:
    """The rows of a forward that one control steers."""

    module: Any
    rows: Sequence[Row]
    numbers: Sequence[int]
    """Which rows they are."""
    index: Tensor
    """The same, (n,) int64 on the device."""
    seen: Tensor
    """What the module is given of each row's picture, (n, …)."""
    strengths: Tensor
    """(n,), in the number format of the forward."""


def added(
    rows: Sequence[Row], like: Tensor, run: Callable[[Steered], Sequence[Tensor | None]]
) -> Added | None:
    """What the controls add to a forward of these rows; rows without one get zeros.

    Rows with the same control share its forward, which `run` takes: it makes one tensor (n, …),
    or None, for each place in the denoiser, and may name one tensor for several places. None
    where no row has a control. `like` has the device and the number format.
    """
    rows_of: dict[ControlNet, list[int]] = {}
    for number, row in enumerate(rows):
        if row.steering is not None:
            rows_of.setdefault(row.steering.control, []).append(number)
    shares = []
    for control, numbers in rows_of.items():
        steered = _steered(control, [rows[number] for number in numbers], numbers, like)
        shares.append((steered.index, run(steered)))
    return _laid_out(len(rows), shares) if shares else None


def _steered(
    control: ControlNet, rows: Sequence[Row], numbers: Sequence[int], like: Tensor
) -> Steered:
    steering = [row.steering for row in rows if row.steering is not None]
    strengths = torch.tensor([each.strength for each in steering], dtype=like.dtype)
    return Steered(
        control.module,
        rows,
        numbers,
        torch.tensor(list(numbers)).to(like.device, non_blocking=True),
        torch.stack([each.seen for each in steering]).to(like.dtype),
        strengths.to(like.device, non_blocking=True),
    )


def _laid_out(num_rows: int, shares: Sequence[tuple[Tensor, Sequence[Tensor | None]]]) -> Added:
    """Each control's tensors in the rows that they are of, zeros elsewhere. What stands in several
    places is laid out once: large models have many places, and few tensors for them."""
    indices = [index for index, _ in shares]
    known: dict[tuple[int, ...], Tensor | None] = {}
    places: Added = []
    for parts in zip(*(made for _, made in shares), strict=True):
        key = tuple(map(id, parts))
        if key not in known:
            known[key] = _scattered(num_rows, indices, parts)
        places.append(known[key])
    return places


def _scattered(
    num_rows: int, indices: Sequence[Tensor], parts: Sequence[Tensor | None]
) -> Tensor | None:
    whole: Tensor | None = None
    for index, part in zip(indices, parts, strict=True):
        if part is not None:
            if whole is None:
                whole = part.new_zeros(num_rows, *part.shape[1:])
            whole.index_copy_(0, index, part)
    return whole
