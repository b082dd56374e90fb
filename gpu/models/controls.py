"""ControlNets (Zhang et al. 2023): which ones there are, and what they add to a forward.

A model's folder may hold one as `controlnet/` and several as `controlnets/NAME/`, each in
diffusers' layout. Its id is its folder's name, and what it wants to see follows from the word in
it: scribble, canny or depth; without one it is a scribble control.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, get_args
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from gpu.api import ControlInfo, ControlKind
from gpu.models.checkpoint import check_component
from gpu.models.family import ModelError, Steering
from gpu.models.flops import control_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu.models.family import Report

SINGLE, SEVERAL = "controlnet", "controlnets"
MAX_LISTED = 32
_MAX_HELD_BYTES = 4 << 30
_ALIKE = ("cross_attention_dim", "block_out_channels", "layers_per_block")
_PLAIN = {"conditioning_channels": 3, "global_pool_conditions": False}
"""What older configs don't say is so."""

Residuals = tuple[list[Tensor], Tensor]
"""What is added to the U-Net's skip connections, and to its middle."""


class ControlShelf:
    """The controls in a model's folder; those used last are kept loaded, within a bound."""

    def __init__(
        self, folder: Path, unet: Any, factor: int, load: Callable[[Path], Any], report: Report
    ) -> None:
        """`factor` is the pixels along a side of a latent cell; `load` reads one folder."""
        self._unet = unet
        self._factor = factor
        self._load = load
        self._folders = dict(self._list(folder, report))
        self._held: OrderedDict[str, Any] = OrderedDict()
        # What was let go of may still be in use by a job: it isn't loaded twice.
        self._alive: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._costs: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def infos(self) -> tuple[ControlInfo, ...]:
        return tuple(ControlInfo(name, kind_of(name)) for name in self._folders)

    def take(self, name: str) -> Any:
        """The network, loaded if it isn't yet; raises ValueError for a name that isn't listed."""
        if name not in self._folders:
            raise ValueError(
                f"expected one of this model's controls ({', '.join(self._folders) or 'none'}), "
                f"got {name}: choose another, or none"
            )
        with self._lock:
            network = self._alive.get(name)
            if network is None:
                try:
                    network = self._load(self._folders[name])
                except ModelError as error:
                    raise ValueError(str(error)) from None
            self._held[name] = self._alive[name] = network
            self._held.move_to_end(name)
            while len(self._held) > 1 and self._held_bytes() > _MAX_HELD_BYTES:
                self._held.popitem(last=False)
            return network

    def cost(self, name: str) -> float:
        """What it adds to a step, as a part of one without."""
        with self._lock:
            if name not in self._costs:
                network = self._alive[name]
                self._costs[name] = control_cost(self._unet, network, self._factor)
            return self._costs[name]

    def _list(self, folder: Path, report: Report) -> Iterator[tuple[str, Path]]:
        several = folder / SEVERAL
        found = [folder / SINGLE] if (folder / SINGLE).is_dir() else []
        if several.is_dir():
            found += sorted(path for path in several.iterdir() if path.is_dir())
        for path in found[:MAX_LISTED]:
            try:
                check_component(path)
                self._check(path)
            except (ModelError, OSError) as error:
                report(f"left out: {error}")
            else:
                yield path.name, path

    def _check(self, path: Path) -> None:
        """Raise ModelError unless the control was made for U-Nets like this one."""
        try:
            config = dict(json.loads((path / "config.json").read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{path / 'config.json'} is no JSON object: {error}") from None
        wanted: dict[str, Any] = {"_class_name": "ControlNetModel"}
        wanted["in_channels"] = self._unet.config.out_channels
        wanted |= {name: self._unet.config.get(name) for name in _ALIKE}
        wanted |= _PLAIN
        for name, value in wanted.items():
            if _plain(found := config.get(name, _PLAIN.get(name))) != _plain(value):
                raise ModelError(f"{path}: expected its {name} to be {value}, got {found}")
        channels = config.get("conditioning_embedding_out_channels") or (16, 32, 96, 256)
        stride = 2 ** (len(channels) - 1)
        if stride != self._factor:
            raise ModelError(
                f"{path}: expected it to shrink its picture {self._factor} times as this model's "
                f"latents, got {stride} times"
            )

    def _held_bytes(self) -> int:
        return sum(
            parameter.nbytes
            for network in self._held.values()
            for parameter in network.parameters()
        )


def kind_of(name: str) -> ControlKind:
    kinds: tuple[ControlKind, ...] = get_args(ControlKind)
    return next((kind for kind in kinds if kind in name.lower()), "scribble")


def residuals(
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    controls: Sequence[Steering | None],
    added: Mapping[str, Tensor] | None = None,
) -> Residuals | None:
    """What the controls add to a forward of these rows; rows without one get zeros.

    Rows with the same control share its forward; None where no row has any. `added` is what the
    U-Net is told besides of each row.
    """
    rows_of: dict[Any, list[int]] = {}
    for row, control in enumerate(controls):
        if control is not None:
            rows_of.setdefault(control.network, []).append(row)
    total: list[Tensor] | None = None
    for network, rows in rows_of.items():
        used = [control for control in controls if control and control.network is network]
        parts = _forward(network, used, rows, latents, timesteps, prompts, added)
        if total is None:
            total = [part.new_zeros(len(latents), *part.shape[1:]) for part in parts]
        index = torch.tensor(rows).to(latents.device, non_blocking=True)
        total = [whole.index_copy(0, index, part) for whole, part in zip(total, parts, strict=True)]
    return None if total is None else (total[:-1], total[-1])


def _forward(
    network: Any,
    controls: Sequence[Steering],
    rows: Sequence[int],
    latents: Tensor,
    timesteps: Tensor,
    prompts: Tensor,
    added: Mapping[str, Tensor] | None,
) -> list[Tensor]:
    """The residuals of some rows, the middle one last, each row's times its strength."""
    index = torch.tensor(list(rows)).to(latents.device, non_blocking=True)
    strengths = torch.tensor([control.strength for control in controls], dtype=latents.dtype)
    strengths = strengths.to(latents.device, non_blocking=True).reshape(-1, 1, 1, 1)
    down, middle = network(
        latents[index],
        timesteps[index],
        encoder_hidden_states=prompts[index],
        controlnet_cond=torch.stack([control.image for control in controls]).to(latents.dtype),
        added_cond_kwargs=added and {name: value[index] for name, value in added.items()},
        return_dict=False,
    )
    return [part * strengths for part in (*down, middle)]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value
