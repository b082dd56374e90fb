"""ControlNets of the flow-matching families against diffusers' own pipelines."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gpu.api import Control
from gpu.models.family import LoadOptions
from gpu.models.load import load
from tests.gpu.kinds import CONTROLS, FLOWS, TOLERANCE, FlowModel
from tests.gpu.parity import SIDE, in_half, relative_error, run, task
from tests.gpu.pictures import picture
from tests.gpu.tiny_controls import save_flux_control, save_sd3_control, save_z_image_control

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from tests.gpu.kinds import Model

ALL = [(kind, name) for kind, controls in CONTROLS.items() for name in controls]


def control(name: str, **fields: Any) -> Control:
    lines = np.zeros((SIDE, SIDE), np.uint8)
    lines[10:16, 8:-8] = 255
    lines[8:-8, 40:44] = 255
    return Control(name=name, image=picture(lines), **fields)


@pytest.mark.parametrize(("model", "name"), ALL)
def test_g43_a_control_makes_the_picture_that_diffusers_makes(
    models: Callable[[str], Model], model: str, name: str
) -> None:
    steered = control(name, strength=0.7)
    request = task("txt2img", control=steered, sampler="euler", steps=4, negative="fog")

    (ours,) = run(models(model).runner, [request])

    assert relative_error(ours, models(model).stock(request)) < TOLERANCE
    (without,) = run(
        models(model).runner, [task("txt2img", sampler="euler", steps=4, negative="fog")]
    )
    assert relative_error(without, ours) > 1e-3


@pytest.mark.parametrize(("model", "name"), [("sd3", "told"), ("flux-dev", "guided")])
def test_g43_a_control_steers_its_part_of_the_steps(
    models: Callable[[str], Model], model: str, name: str
) -> None:
    steered = control(name, start=0.2, end=0.7)
    request = task("txt2img", control=steered, sampler="euler", steps=5)

    (ours,) = run(models(model).runner, [request])

    assert relative_error(ours, models(model).stock(request)) < TOLERANCE


@pytest.mark.parametrize("kind", ["img2img", "inpaint"])
def test_g43_all_that_a_seed_draws_is_drawn_in_diffusers_order(
    models: Callable[[str], Model], kind: str
) -> None:
    # FLUX.1 draws what a control sees from the autoencoder's posterior, before all else.
    request = task(kind, control=control("guided"), sampler="euler", steps=5)

    (ours,) = run(models("flux-dev").runner, [request])

    assert relative_error(ours, models("flux-dev").stock(request)) < TOLERANCE


@pytest.mark.parametrize("model", CONTROLS)
def test_g43_rows_with_different_controls_and_without_share_a_forward_undisturbed(
    models: Callable[[str], Model], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, runner = models(model).family, models(model).runner
    first, second, third = CONTROLS[model]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("txt2img", {}),
        ("txt2img", {"control": control(first)}),
        ("txt2img", {"control": control(second, strength=0.6), "guidance": 1.0}),
        ("inpaint", {"control": control(third, strength=1.4)}),
        ("img2img", {"control": control(first, end=0.5)}),
    ]
    jobs = [
        task(kind, seed=seed, sampler="euler", steps=4, **fields)
        for seed, (kind, fields) in enumerate(asked)
    ]
    alone = [run(runner, [request])[0] for request in jobs]
    forwards: list[int] = []
    denoise = family.denoise

    def counted(latents: Tensor, *rest: Any) -> Tensor:
        forwards.append(len(latents))
        return denoise(latents, *rest)

    monkeypatch.setattr(family, "denoise", counted)
    together = run(runner, jobs)

    # An empty negative prompt is a length of its own where texts are as long as they are.
    assert len(forwards) == (8 if model == "z-image" else 4)
    for mixed, single in zip(together, alone, strict=True):
        assert relative_error(mixed, single) < 1e-5


def test_g43_what_an_adapter_adds_to_blocks_that_a_control_shares_it_adds_there_too(
    models: Callable[[str], Model], tmp_path: Path
) -> None:
    folder = tmp_path / "z-image"
    shutil.copytree(models("z-image").folder, folder)
    generator = torch.Generator().manual_seed(1)
    tensors = {
        f"transformer.{refiner}.0.attention.to_v.{name}.weight": torch.randn(
            shape, generator=generator
        )
        for refiner in ("noise_refiner", "context_refiner")
        for name, shape in (("lora_A", (4, 32)), ("lora_B", (32, 4)))
    }
    (folder / "loras").mkdir()
    save_file(tensors, folder / "loras" / "bold.safetensors")
    model = FlowModel("z-image", folder)
    steered = {"control": control("refined"), "sampler": "euler", "steps": 3, "guidance": 1.0}
    request = task("txt2img", loras={"bold": 1.0}, **steered)

    ours, plain = run(model.runner, [request, task("txt2img", **steered)])

    assert relative_error(ours, model.stock(request)) < TOLERANCE
    assert relative_error(ours, plain) > 1e-2
    (alone,) = run(models("z-image").runner, [task("txt2img", **steered)])
    assert relative_error(plain, alone) < 1e-5


@pytest.mark.parametrize("model", CONTROLS)
def test_g43_only_the_rows_that_a_control_steers_go_through_it(
    models: Callable[[str], Model], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(CONTROLS[model]))
    module = models(model).family.take_control(name).module
    rows: list[int] = []

    def noted(*_: Any, **inputs: Any) -> None:
        rows.append(len(inputs["conditioning_scale"]))

    hook = module.register_forward_pre_hook(
        lambda _module, args, kwargs: noted(*args, **kwargs), with_kwargs=True
    )
    jobs = [task("txt2img", sampler="euler", steps=2, guidance=1.0) for _ in range(3)]
    jobs.append(
        task("txt2img", sampler="euler", steps=2, guidance=1.0, control=control(name, end=0.5))
    )
    run(models(model).runner, jobs)
    hook.remove()

    assert rows == [1]


@pytest.mark.parametrize("model", CONTROLS)
def test_f1_a_control_costs_a_part_of_what_its_model_does(
    models: Callable[[str], Model], model: str
) -> None:
    costs = [models(model).family.take_control(name).cost for name in CONTROLS[model]]

    assert all(0.05 < cost < 2 for cost in costs), costs
    assert len(set(costs)) > 1


@pytest.mark.parametrize("model", CONTROLS)
def test_m9_half_the_precision_makes_nearly_the_same(
    models: Callable[[str], Model], model: str
) -> None:
    whole = models(model)
    rough = in_half(whole.folder, whole.tables)
    for name in CONTROLS[model]:
        request = task("txt2img", control=control(name), sampler="euler", steps=3)
        assert relative_error(run(rough, [request])[0], run(whole.runner, [request])[0]) < 0.05


@pytest.mark.parametrize(
    ("model", "save", "change", "expected"),
    [
        ("sd3", save_sd3_control, {"extra_conditioning_channels": 1}, "channels to be 0, got 1"),
        ("sd3", save_sd3_control, {"joint_attention_dim": 40}, "to be 72 or None, got 40"),
        ("sd3", save_flux_control, {}, "_class_name to be SD3ControlNetModel, got FluxControlNet"),
        ("flux-dev", save_flux_control, {"num_mode": 3}, "num_mode to be None, got 3"),
        ("flux-dev", save_flux_control, {"pooled_projection_dim": 8}, "dim to be 32, got 8"),
        ("z-image", save_z_image_control, {"n_heads": 4}, "n_heads to be 2, got 4"),
        ("z-image", save_z_image_control, {"control_in_dim": 8}, "16 channels or more, got 8"),
        (
            "z-image",
            save_z_image_control,
            {"control_layers_places": [0, 2]},
            "to add to 2 blocks, got 3",
        ),
    ],
)
def test_m9_a_control_for_another_model_says_what_was_expected(
    tmp_path: Path,
    model: str,
    save: Callable[..., None],
    change: dict[str, Any],
    expected: str,
) -> None:
    FLOWS[model](tmp_path / "model")
    save(tmp_path / "model" / "controlnet", 1, **change)
    lines: list[str] = []

    family = load(LoadOptions(tmp_path / "model", torch.device("cpu"), torch.float32), lines.append)

    assert family.controls == ()
    (said,) = (line for line in lines if "left out" in line)
    assert expected in said
    with pytest.raises(ValueError, match=r"this model's controls \(none\), got controlnet"):
        family.take_control("controlnet")


def test_m9_older_configs_of_flux_controls_leave_out_what_is_usual(
    models: Callable[[str], Model], tmp_path: Path
) -> None:
    nets = models("flux-dev").family._nets  # type: ignore[attr-defined]
    save_flux_control(tmp_path / "old", 1)
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    for name in ("num_mode", "conditioning_embedding_channels"):
        del config[name]

    nets.check(tmp_path / "old", config)
