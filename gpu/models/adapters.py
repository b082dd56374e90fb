"""LoRA adapters: which ones there are, and how rows with different ones share a forward.

Each module that an adapter adds to gets a hook; in a forward the hook adds each adapter's
low-rank product to the rows that use it, and touches no other row. Nothing is merged into the
weights, so jobs don't take turns and don't disturb one another. See Hu et al. 2021, and Chen
et al. 2023 (Punica) for batches of mixed adapters.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from gpu.errors import ModelError
from gpu.models import lora_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpu.models.family import Adapters, LoadOptions, Report
    from gpu.models.lora_file import Branch, Branches, Part

FOLDER = "loras"
MAX_LISTED = 256
MAX_NAME = 80
_MAX_HELD_BYTES = 1 << 30

Version = tuple[int, int]
"""When a file was last written, in nanoseconds, and its size."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Adapter:
    name: str
    branches: Branches
    version: Version = (0, 0)

    @property
    def key(self) -> tuple[str, Version]:
        return self.name, self.version

    @property
    def num_bytes(self) -> int:
        return sum(b.num_bytes for part in self.branches.values() for b in part.values())


@dataclass(frozen=True, slots=True)
class _Use:
    """One adapter in one forward: the rows that use it, (n,) int64, and their weights, (n,)."""

    branches: Mapping[str, Branch]
    rows: Tensor
    weights: Tensor


class Mixer:
    """Adds adapters to one part of a model, each thread's to its own forwards."""

    def __init__(self, part: Part, root: nn.Module, device: torch.device) -> None:
        self._part: Part = part
        self._root = root
        self._device = device
        self._covered: set[str] = set()
        self._current = threading.local()

    def cover(self, adapter: Adapter) -> None:
        """Hook the modules that an adapter adds to; each gets one hook, once."""
        for name in adapter.branches[self._part].keys() - self._covered:
            self._root.get_submodule(name).register_forward_hook(partial(self._add, name))
            self._covered.add(name)

    @contextmanager
    def rows(self, adapters: Sequence[Adapters]) -> Iterator[None]:
        """Within this, this thread's forwards have `len(adapters)` rows, each with its own."""
        self._current.uses = self._uses(adapters)
        try:
            yield
        finally:
            self._current.uses = ()

    def _uses(self, adapters: Sequence[Adapters]) -> list[_Use]:
        found: dict[Adapter, list[tuple[int, float]]] = {}
        for row, chosen in enumerate(adapters):
            for adapter, weight in chosen:
                if adapter.branches[self._part]:
                    found.setdefault(adapter, []).append((row, weight))
        return [
            _Use(
                adapter.branches[self._part],
                torch.tensor([row for row, _ in rows]).to(self._device, non_blocking=True),
                torch.tensor([weight for _, weight in rows]).to(self._device, non_blocking=True),
            )
            for adapter, rows in found.items()
        ]

    def _add(self, name: str, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        for use in getattr(self._current, "uses", ()):
            branch = use.branches.get(name)
            if branch is not None:
                added = _product(branch, module, inputs[0].index_select(0, use.rows))
                weights = (use.weights * branch.scale).reshape(-1, *[1] * (added.ndim - 1))
                output = output.index_add(0, use.rows, added * weights.to(added.dtype))
        return output


def _product(branch: Branch, module: nn.Module, inputs: Tensor) -> Tensor:
    if isinstance(module, nn.Conv2d):
        narrow = functional.conv2d(
            inputs,
            branch.down,
            stride=module.stride,
            padding=module.padding,
            dilation=module.dilation,
            groups=module.groups,
        )
        return functional.conv2d(narrow, branch.up)
    return functional.linear(functional.linear(inputs, branch.down), branch.up)


class AdapterShelf:
    """The adapters in a model's folder; those used last are kept loaded, within a bound.

    Only what was listed at the start is ever opened: a name is no path.
    """

    def __init__(
        self,
        parts: Mapping[Part, nn.Module],
        options: LoadOptions,
        report: Report,
        rowless: tuple[str, ...] = (),
    ) -> None:
        """What a forward gives to modules whose names begin with one of `rowless` isn't laid out
        by rows: an adapter can't add to those."""
        self._parts = parts
        self._rowless = rowless
        self._options = options
        self.mixers = {name: Mixer(name, part, options.device) for name, part in parts.items()}
        self._files = dict(self._list(options.beside / FOLDER, report))
        self._held: OrderedDict[str, Adapter] = OrderedDict()
        # What was let go of may still be in use by a job: it isn't loaded twice.
        self._alive: WeakValueDictionary[str, Adapter] = WeakValueDictionary()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._files)

    def versions(self, names: Iterable[str]) -> tuple[object, ...]:
        """Of the files of these adapters as they are now."""
        known = (self._files.get(name) for name in sorted(names))
        return tuple(_version(path) for path in known if path is not None and path.exists())

    def take(self, chosen: Mapping[str, float]) -> Adapters:
        """Load what is not loaded yet; raises ValueError for a name that isn't listed."""
        with self._lock:
            return tuple(
                (self._get(name), float(chosen[name])) for name in sorted(chosen) if chosen[name]
            )

    def _list(self, folder: Path, report: Report) -> Iterator[tuple[str, Path]]:
        if not folder.is_dir():
            return
        files = sorted(path for path in folder.iterdir() if path.suffix == ".safetensors")
        for path in files[:MAX_LISTED]:
            try:
                if not 0 < len(path.stem) <= MAX_NAME:
                    raise ModelError(f"{path}: expected a name of at most {MAX_NAME} characters")
                self._read(path, values=False)
            except (ModelError, OSError) as error:
                report(f"left out: {error}")
            else:
                yield path.stem, path
        if len(files) > MAX_LISTED:
            report(f"{folder} holds {len(files)} adapters; the first {MAX_LISTED} can be used")

    def _get(self, name: str) -> Adapter:
        if name not in self._files:
            raise ValueError(
                f"expected one of this model's adapters ({', '.join(self._files) or 'none'}), "
                f"got {name[:MAX_NAME]}: choose another"
            )
        try:
            version = _version(self._files[name])
            known = self._alive.get(name)
            if known is not None and known.version == version:
                self._hold(known)
                return known
            # A file that was replaced is another adapter; jobs that have the one before keep it.
            branches = self._read(self._files[name])
        except FileNotFoundError:
            raise ValueError(
                f"the adapter {name} is gone from the model's folder: choose another"
            ) from None
        except (ModelError, OSError) as error:
            raise ValueError(str(error)) from None
        placed = {part: self._placed(part, branches[part]) for part in branches}
        adapter = Adapter(name, placed, version)
        for mixer in self.mixers.values():
            mixer.cover(adapter)
        self._hold(adapter)
        return adapter

    def _read(self, path: Path, *, values: bool = True) -> Branches:
        branches = lora_file.read(path, self._parts, values=values)
        for part in branches.values():
            for name in part:
                if name.startswith(self._rowless):
                    raise ModelError(
                        f"{path}: expected a model's blocks, got {name}: an adapter that adds to "
                        "it can't be used by one picture alone"
                    )
        return branches

    def _placed(self, part: Part, branches: Mapping[str, Branch]) -> dict[str, Branch]:
        dtype = torch.float32 if part.startswith("text") else self._options.dtype
        device = self._options.device
        return {name: branch.to(device, dtype) for name, branch in branches.items()}

    def _hold(self, adapter: Adapter) -> None:
        self._held[adapter.name] = self._alive[adapter.name] = adapter
        self._held.move_to_end(adapter.name)
        while sum(held.num_bytes for held in self._held.values()) > _MAX_HELD_BYTES:
            if len(self._held) == 1:
                return
            self._held.popitem(last=False)


def _version(path: Path) -> Version:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
