"""ControlNets: what fits, and what they do to a picture and to nobody else's."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from gpu.api import (
    HEADER_BYTES,
    Control,
    ControlInfo,
    Job,
    ModelListing,
    Ready,
    Sampler,
    decode_event,
    encode,
)
from gpu.models import controls
from gpu.models.advice import Advice
from gpu.models.controls import kind_of
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.samplers.table import Tables
from gpu.warmup import model_info
from tests.gpu.families import loaded, runner_of
from tests.gpu.parity import relative_error, run, steering
from tests.gpu.parity import stock as latents_of
from tests.gpu.pictures import gradient, job, picture, square_mask
from tests.gpu.tiny_controls import save_control

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from gpu.models.stable_diffusion import StableDiffusion
    from gpu.runner import Runner


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controlled") / "model"
    shutil.copytree(tiny_folder, folder)
    save_control(folder / "controlnet", 1)
    save_control(folder / "controlnets" / "fine-canny", 2)
    return folder


@pytest.fixture(scope="module")
def family(folder: Path) -> StableDiffusion:
    return loaded(folder)


@pytest.fixture(scope="module")
def runner(family: StableDiffusion) -> Runner:
    return runner_of(family)


def with_control(tiny_folder: Path, tmp_path: Path, **changes: Any) -> Path:
    """A model's folder with one control of these settings."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    save_control(folder / "controlnet", 1, **changes)
    return folder


def drawing(side: int = 128) -> np.ndarray:
    lines = np.zeros((side, side), np.uint8)
    lines[side // 4 : side // 4 + 6, 10:-10] = 255
    lines[20:-20, side // 2 : side // 2 + 4] = 255
    return lines


def control(name: str = "controlnet", **fields: Any) -> Control:
    return Control(name=name, image=picture(drawing()), **fields)


def stock(folder: Path, family: StableDiffusion, request: Job, kind: str = "") -> Tensor:
    """The latents of diffusers' own ControlNet pipeline."""
    import diffusers

    steer = request.control
    assert steer is not None
    path = folder / ("controlnet" if steer.name == "controlnet" else f"controlnets/{steer.name}")
    pipeline = getattr(diffusers, f"StableDiffusionControlNet{kind}Pipeline").from_pretrained(
        folder,
        controlnet=diffusers.ControlNetModel.from_pretrained(path),
        scheduler=Tables(family.scheduler_config).scheduler(request.sampler, request.steps),
        safety_checker=None,
        feature_extractor=None,
    )
    # Its image processors go by the autoencoder's count of blocks, which the tiny one hides.
    pipeline.vae_scale_factor = 16
    name = "image" if request.image is None else "control_image"
    given = steering(steer, name) | {"negative_prompt": request.negative}
    return latents_of(pipeline, request, **given)


def test_m9_controls_are_listed_by_their_folders_and_the_word_in_their_names(
    family: StableDiffusion,
) -> None:
    assert family.controls == (
        ControlInfo("controlnet", "scribble"),
        ControlInfo("fine-canny", "canny"),
    )
    assert kind_of("My-Depth-v2") == "depth"


def test_m9_the_server_hears_of_controls_and_adapters_when_the_worker_is_ready(
    family: StableDiffusion,
) -> None:
    listing = ModelListing(id="model", title="Model")
    ready = decode_event(encode(Ready(model_info(family, Advice(), listing)))[HEADER_BYTES:])

    assert isinstance(ready, Ready)
    assert ready.model.controls == family.controls
    assert ready.model.loras == ()


@pytest.mark.parametrize(
    "steer",
    [
        control(),
        control("fine-canny", strength=0.5),
        control(start=0.2, end=0.7),
    ],
    ids=["whole", "half", "part"],
)
def test_g43_a_control_makes_the_picture_that_diffusers_makes(
    folder: Path, family: StableDiffusion, runner: Runner, steer: Control
) -> None:
    request = job(control=steer, steps=6, negative="fog")

    (ours,) = run(runner, [request])

    assert relative_error(ours, stock(folder, family, request)) < 1e-4
    (without,) = run(runner, [job(steps=6, negative="fog")])
    assert relative_error(without, ours) > 1e-3


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "heun"])
def test_g43_a_control_over_image_to_image_makes_the_picture_that_diffusers_makes(
    folder: Path, family: StableDiffusion, runner: Runner, sampler: Sampler
) -> None:
    request = job(
        control=control(start=0.1, end=0.8),
        image=picture(gradient()),
        strength=0.6,
        sampler=sampler,
        steps=8,
        negative="fog",
    )

    (ours,) = run(runner, [request])

    assert relative_error(ours, stock(folder, family, request, "Img2Img")) < 1e-4


def test_g43_rows_with_and_without_a_control_share_a_forward_undisturbed(
    runner: Runner, family: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        job(seed=1),
        job(seed=2, control=control()),
        job(seed=3, control=control("fine-canny", strength=0.6), guidance=1.0),
        job(seed=4, control=control(end=0.5)),
        job(seed=5, image=picture(gradient()), strength=0.9, control=control(), steps=5),
    ]
    forwards: list[int] = []
    denoise = family.denoise

    def counted(latents: Tensor, *rest: Any) -> Tensor:
        forwards.append(len(latents))
        return denoise(latents, *rest)

    alone = [run(runner, [request])[0] for request in jobs]
    monkeypatch.setattr(family, "denoise", counted)
    together = run(runner, jobs)

    assert forwards == [9] * 4
    for mixed, single in zip(together, alone, strict=True):
        assert relative_error(mixed, single) < 1e-5


def test_g43_a_control_that_goes_wrong_spoils_only_its_own_rows(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = with_control(tiny_folder, tmp_path)
    family = loaded(folder)
    network = family.take_control("controlnet").module
    with torch.no_grad():
        next(network.controlnet_mid_block.parameters()).fill_(torch.nan)
    runner = runner_of(family)

    good, bad = run(runner, [job(steps=2), job(steps=2, control=control())])

    assert bool(torch.isfinite(good).all())
    assert not bool(torch.isfinite(bad).all())


def test_f1_a_control_counts_for_the_part_of_the_steps_that_it_steers(runner: Runner) -> None:
    def cost(**fields: Any) -> float:
        return runner.prepare(job(steps=10, **fields)).demand.cost

    steered = runner.prepare(job(steps=10, control=control())).control
    assert steered is not None
    more = steered.steering.control.cost
    assert 0 < more < 10
    assert cost(control=control()) == pytest.approx((1 + more) * cost())
    assert cost(control=control(start=0.2, end=0.6)) == pytest.approx((1 + 0.4 * more) * cost())
    assert cost(control=control(end=0.0)) == cost()


def test_g43_a_masked_picture_is_steered_by_the_same_part_of_the_control(runner: Runner) -> None:
    mask = square_mask(512, 200, 260)
    lines = drawing(512)
    request = job(
        width=512,
        height=512,
        image=picture(gradient(512)),
        mask=picture(mask),
        control=Control(name="controlnet", image=picture(lines)),
        steps=1,
    )

    painting = runner.prepare(request)

    x, y, width, height = painting.region.box
    assert (width, height) != (512, 512)
    assert painting.control is not None
    steering = painting.control.steering
    cut = Image.fromarray(lines).convert("RGB").crop((x, y, x + width, y + height))
    resized = np.array(cut.resize(painting.region.size, Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        torch.testing.assert_close(steering.seen, steering.control.see(pixels, None)[0])


def test_g43_what_steers_is_encoded_once_for_all_steps(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding

    folder = with_control(tiny_folder, tmp_path)
    family = loaded(folder)
    runner = runner_of(family)
    family.take_control("controlnet")
    seen: list[tuple[int, ...]] = []
    embed = ControlNetConditioningEmbedding.forward

    def noted(self: Any, conditioning: Tensor) -> Tensor:
        seen.append(tuple(conditioning.shape))
        return embed(self, conditioning)

    monkeypatch.setattr(ControlNetConditioningEmbedding, "forward", noted)
    run(runner, [job(steps=4, control=control())])

    assert seen == [(1, 3, 128, 128)]


def test_g43_a_control_that_takes_blue_first_is_given_it_so(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = with_control(tiny_folder, tmp_path, controlnet_conditioning_channel_order="bgr")
    family = loaded(folder)
    runner = runner_of(family)
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[40:60, :, 0] = 255
    request = job(control=Control(name="controlnet", image=picture(lines)), steps=3)

    (ours,) = run(runner, [request])

    assert relative_error(ours, stock(folder, family, request)) < 1e-4


def test_g43_loading_a_control_leaves_the_number_format_of_others_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = load(LoadOptions(folder, torch.device("cpu"), torch.bfloat16), lambda _line: None)
    meanwhile: list[torch.dtype] = []
    change = torch.set_default_dtype

    def noted(dtype: torch.dtype) -> None:
        change(dtype)
        meanwhile.append(torch.get_default_dtype())

    monkeypatch.setattr(torch, "set_default_dtype", noted)
    module = family.take_control("controlnet").module

    assert set(meanwhile) <= {torch.float32}
    assert module.dtype == torch.bfloat16


def test_m9_only_controls_that_were_listed_are_known(runner: Runner) -> None:
    with pytest.raises(ValueError, match=r"this model's controls \(controlnet, fine-canny\)"):
        runner.prepare(job(control=control("../controlnet")))


def test_m9_a_control_that_a_job_still_uses_is_not_loaded_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "_MAX_HELD_BYTES", 1)
    family = loaded(folder)
    used = family.take_control("controlnet")
    family.take_control("fine-canny")
    assert [*family._controls._held] == ["fine-canny"]

    assert family.take_control("controlnet") is used
    assert [*family._controls._held] == ["controlnet"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"in_channels": 4}, "expected its in_channels to be 16, got 4"),
        ({"conditioning_channels": 1}, "expected its conditioning_channels to be 3, got 1"),
        ({"global_pool_conditions": True}, "expected its global_pool_conditions to be False"),
        ({"cross_attention_dim": 64}, "expected its cross_attention_dim to be 32, got 64"),
        (
            {"conditioning_embedding_out_channels": (8, 8, 8, 8)},
            "expected it to shrink its picture 16 times as this model's latents, got 8 times",
        ),
    ],
)
def test_m9_a_control_for_another_model_says_what_was_expected(
    tiny_folder: Path, tmp_path: Path, change: dict[str, Any], expected: str
) -> None:
    folder = with_control(tiny_folder, tmp_path, **change)
    lines: list[str] = []

    assert loaded(folder, lines).controls == ()

    assert any(expected in line for line in lines)


def test_m9_a_control_that_is_no_controlnet_or_has_only_a_pickle_is_left_out(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    shutil.copytree(tiny_folder / "unet", folder / "controlnet")
    save_control(folder / "controlnets" / "depth", 1)
    weights = folder / "controlnets" / "depth" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    weights.with_suffix(".bin").write_bytes(b"\x80\x04.")
    (folder / "controlnets" / "empty").mkdir()
    (folder / "controlnets" / "list").mkdir()
    (folder / "controlnets" / "list" / "config.json").write_text(json.dumps([1]))
    lines: list[str] = []

    assert loaded(folder, lines).controls == ()

    said = "\n".join(lines)
    assert "expected its _class_name to be ControlNetModel" in said
    assert "holds a pickle" in said
    assert said.count("left out") == 4


def test_m9_a_control_whose_config_is_no_object_is_left_out(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = with_control(tiny_folder, tmp_path)
    (folder / "controlnet" / "config.json").write_text("[1]")
    lines: list[str] = []

    assert loaded(folder, lines).controls == ()

    assert any("is no JSON object" in line for line in lines)
