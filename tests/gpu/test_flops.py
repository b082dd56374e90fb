"""Arithmetic told from configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpu.models import controls, flops
from gpu.models.unet_controls import control_cost


@pytest.mark.parametrize(("kind", "cells", "part"), [("sd1", 64, 0.334), ("sdxl", 128, 0.438)])
def test_f1_a_control_costs_what_its_arithmetic_is_beside_the_model_s(
    kind: str, cells: int, part: float
) -> None:
    from diffusers import ControlNetModel, UNet2DConditionModel

    folder = Path(controls.__file__).parent / kind / "unet"
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder))
        network: Any = ControlNetModel.from_unet(unet, load_weights_from_unet=False)

    assert unet.config.sample_size == cells
    assert control_cost(unet, network) == pytest.approx(part, abs=0.001)


def test_f1_arithmetic_is_counted_as_torch_counts_it() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(2), torch.nn.Linear(36, 5)
    )
    with torch.no_grad(), flops._Counter() as ours:
        layers(torch.ones(2, 3, 8, 8))
    with FlopCounterMode(display=False) as theirs:
        layers(torch.ones(2, 3, 8, 8))

    assert ours.flops == theirs.get_total_flops() > 0
