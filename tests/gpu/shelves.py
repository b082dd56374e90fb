"""Libraries of models for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu.api import ModelInfo, ModelListing
from gpu.library import Library, Loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpu.runner import Runner

GB = 1_000_000_000


def loaded(runner: Runner, id: str, num_bytes: int = 0) -> Loaded:
    info = ModelInfo(
        id=id, name=id, native_px=128, multiple_px=32, min_px=64, max_px=512, device="cpu",
        dtype="fp32",
    )  # fmt: skip
    return Loaded(runner, info, (), num_bytes)


class Models:
    """A source of models of given sizes, the first of them the default one."""

    def __init__(self, sizes: Mapping[str, int], make: Callable[[], Runner]) -> None:
        self.default = next(iter(sizes))
        self.listings = tuple(ModelListing(id=id, title=id) for id in sizes)
        self.sizes = sizes
        self.make = make
        self.loads: list[str] = []
        self.faults: dict[str, Exception] = {}
        """What comes of loading some of them."""

    def num_bytes(self, model: str) -> int:
        return self.sizes[model]

    def load(self, model: str) -> Loaded:
        self.loads.append(model)
        if model in self.faults:
            raise self.faults[model]
        return loaded(self.make(), model, self.sizes[model])

    def library(self, budget_bytes: int) -> Library:
        return Library(self, self.load(self.default), budget_bytes)


def shelf(runner: Runner) -> Library:
    """A library of one model."""
    return Models({"tiny": 0}, lambda: runner).library(0)
