"""The benchmark of GPUs, at the size of a toy on a CPU: so that it can't rot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from gpu.models import compiled
from scripts.benchmarks import gpu as benchmark
from scripts.benchmarks.gpu import TOY, WORKS
from scripts.benchmarks.random_models import KINDS

if TYPE_CHECKING:
    from scripts.benchmarks.random_models import Kind

SMALLEST = TOY._replace(sides=(64,))


@pytest.mark.parametrize("kind", KINDS)
def test_the_benchmark_of_gpus_measures_us_and_the_stock_pipeline(kind: Kind) -> None:
    figures = benchmark.measure([kind], SMALLEST, torch.device("cpu"), compiles=False)

    assert figures["toy"] is True
    found = figures[kind]["64"]
    assert found["forward_s"].keys() == {"1", "2"}
    assert "compiled_forward_s" not in found
    for work in WORKS:
        assert found[work.name]["eta"] > 0
        ours, theirs = (found[work.name][f"{who}_pictures_per_s"] for who in ("ours", "stock"))
        assert found[work.name]["times_stock"] == pytest.approx(ours / theirs)
    assert "sdxl.64." in benchmark._lines(figures) or kind != "sdxl"


def test_the_benchmark_of_gpus_measures_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled.Denoiser, "compile", lambda _self: None)

    figures = benchmark.measure(["sd1"], SMALLEST, torch.device("cpu"), compiles=True)

    assert figures["sd1"]["64"]["compiled_forward_s"].keys() == {"1", "2"}
    torch.compiler.set_stance("default")
