"""The benchmark of GPUs, at the size of a toy on a CPU: so that it can't rot."""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gpu.models import compiled
from scripts.benchmarks import gpu as benchmark
from scripts.benchmarks.gpu import PARTS, TOY, Part, plan
from scripts.benchmarks.gpu_works import WORKS
from scripts.benchmarks.random_models import KINDS

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.benchmarks.gpu_arms import Arms
    from scripts.benchmarks.random_models import Kind

CPU = torch.device("cpu")


def measured(parts: list[Part], seconds: float = math.inf) -> dict[str, Any]:
    kept: list[str] = []
    figures = benchmark.measure(
        parts, TOY, CPU, time.perf_counter() + seconds, lambda found: kept.append(json.dumps(found))
    )
    assert not kept or json.loads(kept[-1])["left_out"] == []
    return figures


@pytest.mark.parametrize("kind", KINDS)
def test_the_benchmark_of_gpus_measures_us_and_the_stock_pipeline(kind: Kind) -> None:
    parts = [
        Part(kind, 64, what) for what in ("stock", "eager", "eager_pictures", "decoding", "engine")
    ]

    figures = measured(parts)

    assert figures["toy"] is True
    found = figures[kind]["64"]
    assert not any("error" in part for part in found.values()), found
    assert found["eager"]["forward_s"].keys() == {"1", "2"}
    for work in WORKS:
        ours = found["eager_pictures"][work.name]
        assert ours["eta"] > 0
        assert ours["times_stock"] == pytest.approx(
            ours["pictures_per_s"] / found["stock"][work.name]
        )
        assert found["engine"][work.name] > 0
    assert f"{kind}.64.eager." in benchmark._lines(figures)


def compiled_as_it_is(denoiser: compiled.Denoiser) -> None:
    denoiser._compiled = denoiser._module


def test_the_benchmark_of_gpus_measures_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is compiled is what is there: tracing a U-Net takes long.
    monkeypatch.setattr(compiled.Denoiser, "compile", compiled_as_it_is)

    figures = measured([Part("sd1", 64, "compiled")])

    found = figures["sd1"]["64"]["compiled"]
    assert found["forward_s"].keys() == {"1", "2"}
    assert found["ready_s"] > 0
    assert "problems" not in found
    torch.compiler.set_stance("default")


def test_a_part_that_fails_says_why_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_arms: Arms, _side: int) -> dict[str, Any]:
        raise RuntimeError("no kernel")

    monkeypatch.setitem(PARTS, "stock", broken)

    figures = measured([Part("sd1", 64, "stock"), Part("sd1", 64, "decoding")])

    assert figures["sd1"]["64"]["stock"]["error"] == "RuntimeError: no kernel"
    assert figures["sd1"]["64"]["decoding"]["ours_s"] > 0


def test_a_model_that_cannot_be_built_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("no folder")

    monkeypatch.setattr(benchmark, "build", broken)

    figures = measured([Part("sd1", 64, "stock"), Part("sd1", 64, "eager")])

    assert figures["sd1"].keys() == {"build"}
    assert figures["sd1"]["build"]["error"] == "ValueError: no folder"


def test_what_there_is_no_time_for_is_named() -> None:
    figures = measured([Part("sd1", 512, "stock")], seconds=-1)

    assert figures["left_out"] == ["sd1 512 stock"]
    assert "sd1" not in figures


def test_figures_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    kept = tmp_path / "figures.json"
    words = ["--json", "--kinds", "sd1", "--only", "decoding", "--keep", str(kept)]

    assert benchmark.run(parser.parse_args(words)) == 0

    figures = json.loads(capsys.readouterr().out)
    assert figures["sd1"]["64"]["decoding"]["took_s"] > 0
    assert json.loads(kept.read_text()) == figures


def test_on_cuda_the_most_important_comes_first_and_nothing_twice() -> None:
    parts = plan(KINDS, torch.device("cuda"), toy=False)

    assert parts[:3] == [Part("sd1", 512, what) for what in ("stock", "eager", "graphs")]
    assert parts.index(Part("sdxl", 512, "graphs")) < parts.index(Part("sd1", 512, "compiled"))
    assert Part("sdxl", 1024, "compiled") in parts
    assert len(set(parts)) == len(parts)
    assert {part.what for part in plan(KINDS, CPU, toy=True)} == {
        "stock", "eager", "eager_pictures", "decoding", "engine",
    }  # fmt: skip
