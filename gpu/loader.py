"""Makes models ready to take steps: weights, preview map, tables, the cost of a step.

Implements `library.Source` for a registry.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpu.library import Loaded
from gpu.models.advice import read_advice
from gpu.models.load import load
from gpu.models.parts import stored_bytes
from gpu.warmup import (
    build_runner,
    choose_threads,
    compile_forwards,
    measure_costs,
    model_info,
)

if TYPE_CHECKING:
    from gpu.models.family import LoadOptions, Report
    from gpu.models.registry import Registry


class Loader:
    def __init__(
        self,
        registry: Registry,
        options: LoadOptions,
        max_batch: int,
        report: Report,
        chooses_threads: bool,
    ) -> None:
        """`options.path` is overridden; the first model decides about threads, if asked to."""
        self.default = registry.default
        self.listings = registry.listings
        self.report = report
        self._registry = registry
        self._options = options
        self._max_batch = max_batch
        self._chooses_threads = chooses_threads

    def num_bytes(self, model: str) -> int:
        parts = self._registry.parts.get(model)
        rest = 0 if parts is None else stored_bytes(parts)
        return stored_bytes(self._registry.paths[model]) + rest

    def load(self, model: str) -> Loaded:
        path = self._registry.paths[model]
        self.report(f"loading {model}")
        options = replace(self._options, path=path, parts=self._registry.parts.get(model))
        family = load(options, self.report)
        advice = read_advice(path, family.usual)
        if self._chooses_threads:
            choose_threads(family, self.report)
            self._chooses_threads = False
        if self._options.compiles:
            # After the threads are chosen: their number is compiled in.
            compile_forwards(family, self._max_batch, self.report)
        runner = build_runner(family, self.report)
        timings = measure_costs(family, model, self._max_batch, self.report)
        (listing,) = (each for each in self.listings if each.id == model)
        info = model_info(family, advice, listing)
        return Loaded(runner, info, timings, family.num_bytes)
