"""Weights in int8 and in 4 bits: how far pictures differ, and how much memory they save."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from gpu.api import Control
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.models.quantised import kept_bytes
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from tests.gpu.kinds import CONTROLS
from tests.gpu.parity import SIDE, relative_error, run, task
from tests.gpu.pictures import gradient, picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpu.models.family import Weights
    from tests.gpu.kinds import Model

KINDS = ("sdxl", "flux-dev", "z-image")
MOST: dict[Weights, float] = {"int8": 0.02, "int4": 0.2}
"""How far latents may differ from those of full weights: tiny layers have few to average over."""


def loaded(folder: Path, weights: Weights, lines: list[str] | None = None) -> Runner:
    report = (lambda _line: None) if lines is None else lines.append
    options = LoadOptions(folder, torch.device("cpu"), torch.float32, weights=weights)
    family = load(options, report)
    return Runner(family, Tables(family.scheduler_config, family.pace), fit(family, 2)[0])


@pytest.mark.parametrize("weights", MOST)
@pytest.mark.parametrize("kind", KINDS)
def test_m15_weights_in_fewer_bits_make_nearly_the_same_picture(
    models: Callable[[str], Model], kind: str, weights: Weights
) -> None:
    full, small = (loaded(models(kind).folder, each) for each in ("full", weights))
    request = task("inpaint", sampler="euler", steps=3)

    (exact,), (rough,) = (run(runner, [request]) for runner in (full, small))

    error = relative_error(rough, exact)
    print(f"{kind} {weights}: {error:.3f}")
    assert 1e-4 < error < MOST[weights]
    assert small._family.num_bytes < full._family.num_bytes
    together = run(small, [request, task("txt2img", sampler="euler", steps=2, seed=3)])
    assert relative_error(together[0], rough) < 1e-4


@pytest.mark.parametrize(("weights", "part"), [("int8", 1 / 4), ("int4", 1 / 8)])
def test_m15_linear_layers_take_a_part_of_the_memory_that_they_took(
    models: Callable[[str], Model], weights: Weights, part: float
) -> None:
    family: Any = loaded(models("sdxl").folder, weights)._family
    layers = [m for m in family._unet.modules() if isinstance(m, nn.Linear)]

    kept = sum(kept_bytes(layer.weight) for layer in layers)
    full = sum(layer.weight.numel() * 4 for layer in layers)

    # Scales come on top, which weigh more the smaller a layer is.
    assert part * full < kept < (part + 0.1) * full


@pytest.mark.parametrize("weights", MOST)
@pytest.mark.parametrize("kind", CONTROLS)
def test_m15_controls_of_transformers_are_kept_in_few_bits_too(
    models: Callable[[str], Model], kind: str, weights: Weights
) -> None:
    lines = np.zeros((SIDE, SIDE), np.uint8)
    lines[10:16, 8:-8] = 255
    full, small = (loaded(models(kind).folder, each) for each in ("full", weights))
    for name in CONTROLS[kind]:
        steered = Control(name=name, image=picture(lines))
        request = task("txt2img", control=steered, sampler="euler", steps=2)

        (exact,), (rough,) = (run(runner, [request]) for runner in (full, small))

        assert 0 < relative_error(rough, exact) < MOST[weights]
        sizes = [runner._family.take_control(name).num_bytes for runner in (full, small)]
        assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize("weights", MOST)
def test_m15_adapters_and_controls_work_on_small_weights_too(
    models: Callable[[str], Model], weights: Weights
) -> None:
    full, small = (loaded(models("sdxl").folder, each) for each in ("full", weights))
    seen = picture(np.ascontiguousarray(gradient(SIDE)[..., :3]))
    control = Control(name="controlnet", image=seen, strength=0.8)
    request = task("txt2img", sampler="euler", steps=3, loras={"kohya": 1.0}, control=control)

    (exact,), (rough,) = (run(runner, [request]) for runner in (full, small))
    (plain,) = run(small, [task("txt2img", sampler="euler", steps=3)])

    assert relative_error(rough, exact) < MOST[weights]
    assert relative_error(rough, exact) < relative_error(plain, rough)


def test_m15_without_the_library_weights_stay_whole_and_a_line_says_so(
    models: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = loaded(models("sdxl").folder, "full")
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    lines: list[str] = []
    whole = loaded(models("sdxl").folder, "int4", lines)
    request = task("txt2img", sampler="euler", steps=2)

    (line,) = [line for line in lines if "weights can't" in line]
    assert line.startswith("int4 weights can't be used here (")
    assert line.endswith("pip install .[torchao]); using full ones")
    assert torch.equal(run(whole, [request])[0], run(full, [request])[0])
