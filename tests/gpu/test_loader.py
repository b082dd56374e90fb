"""From a registry's entry to a model that takes steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpu.loader import Loader
from gpu.models.family import LoadOptions
from gpu.models.registry import Registry
from gpu.sched.work import Shape
from tests.gpu.parity import run, task
from tests.gpu.tiny_flows import save_sd3

if TYPE_CHECKING:
    from pathlib import Path


def test_m12_a_loaded_model_tells_what_it_is_and_what_it_costs(
    tmp_path: Path, tiny_folder: Path
) -> None:
    save_sd3(tmp_path / "flow", has_t5=True)
    (tmp_path / "flow" / "studio.json").write_text('{"steps": 12}')
    registry = Registry(
        {"tiny": tiny_folder, "flow": tmp_path / "flow"}, {"tiny": "Tiny", "flow": "Flow"}, "tiny"
    )
    options = LoadOptions(tiny_folder, torch.device("cpu"), torch.float32)
    loader = Loader(registry, options, 2, lambda _line: None, chooses_threads=False)

    loaded = loader.load("flow")

    info = loaded.info
    assert (info.id, info.name, info.multiple_px) == ("flow", "Flow", 16)
    assert (info.steps, info.guidance, info.sampler) == (12, 7.0, "euler")
    assert info.samplers == ("euler",)
    assert 0.5 < loaded.num_bytes / loader.num_bytes("flow") < 1.5
    assert [timing.shape for timing in loaded.timings] == [Shape(16, 16, "flow")] * 2
    (latents,) = run(loaded.runner, [task("txt2img", sampler="euler", steps=1)])
    assert latents.shape == (16, 8, 8)
