"""The runner against diffusers' own pipelines, and its rows against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gpu.api import Job, Sampler
from gpu.painting import turned
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from gpu.sched.work import Seat, Shape, StepPlan
from tests.gpu.parity import relative_error, run
from tests.gpu.pictures import gradient, job, open_png, picture, square_mask

if TYPE_CHECKING:
    from pathlib import Path

    from gpu.models.stable_diffusion import StableDiffusion

SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)


@pytest.fixture(scope="module")
def runner(tiny: StableDiffusion) -> Runner:
    return Runner(tiny, Tables(tiny.scheduler_config), fit(tiny, 4)[0])


@pytest.fixture(scope="module")
def kl_runner(kl: StableDiffusion) -> Runner:
    return Runner(kl, Tables(kl.scheduler_config), fit(kl, 4)[0])


def stock(folder: Path, family: StableDiffusion, request: Job, pipeline_name: str) -> Tensor:
    """The latents that diffusers' own pipeline makes of the same request."""
    import diffusers

    scheduler = Tables(family.scheduler_config).scheduler(request.sampler, request.steps)
    pipeline = getattr(diffusers, pipeline_name).from_pretrained(
        folder, scheduler=scheduler, safety_checker=None, feature_extractor=None
    )
    pipeline.set_progress_bar_config(disable=True)
    if request.clip_skip:
        # Where transformers has the layers in the encoder itself, diffusers looks one level lower.
        vars(pipeline.text_encoder).setdefault("text_model", pipeline.text_encoder)
    if request.loras:
        for name in request.loras:
            pipeline.load_lora_weights(folder / "loras" / f"{name}.safetensors", adapter_name=name)
        pipeline.set_adapters(list(request.loras), list(request.loras.values()))
    # Pipelines switch TCD's noise off unless they are told its scheduler's own default.
    eta = 0.3 if request.sampler == "tcd" else 0.0
    arguments: dict[str, Any] = {"height": request.height, "width": request.width}
    if request.image is not None:
        pixels = np.frombuffer(request.image.data, np.uint8).reshape(request.height, -1, 4)
        arguments = {"image": Image.fromarray(pixels[..., :3]), "strength": request.strength}
    result = pipeline(
        prompt=request.prompt,
        negative_prompt=request.negative,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator().manual_seed(request.seed),
        clip_skip=request.clip_skip or None,
        eta=eta,
        output_type="latent",
        **arguments,
    )
    return result.images[0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_g2_a_seed_gives_the_picture_that_diffusers_gives(
    runner: Runner, tiny: StableDiffusion, tiny_folder: Path, sampler: Sampler
) -> None:
    request = job(sampler=sampler, steps=10, negative="fog")

    (ours,) = run(runner, [request])

    theirs = stock(tiny_folder, tiny, request, "StableDiffusionPipeline")
    assert relative_error(ours, theirs) < 2e-5


def test_g41_clip_skip_is_what_diffusers_does(
    runner: Runner, tiny: StableDiffusion, tiny_folder: Path
) -> None:
    # Diffusers reads the negative prompt with all layers; ours reads both in the same way.
    request = job(clip_skip=1, steps=3, guidance=1.0)

    (ours,) = run(runner, [request])

    theirs = stock(tiny_folder, tiny, request, "StableDiffusionPipeline")
    assert relative_error(ours, theirs) < 2e-5
    (usual,) = run(runner, [job(steps=3, guidance=1.0)])
    assert relative_error(ours, usual) > 1e-3


def test_g40_a_picture_does_not_depend_on_how_long_the_others_prompts_are(runner: Runner) -> None:
    long = "a red house, a blue tree, a green hill"
    jobs = [
        job(prompt=long, seed=1),
        job(seed=2),
        job(negative=long, seed=3),
        job(prompt=long, guidance=1.0, seed=4),
    ]

    together = run(runner, jobs)

    for request, latents in zip(jobs, together, strict=True):
        (alone,) = run(runner, [request])
        assert relative_error(latents, alone) < 1e-5


def test_g40_both_prompts_of_a_row_have_equally_many_windows(
    runner: Runner, tiny: StableDiffusion
) -> None:
    painting = runner.prepare(job(prompt="a", negative="bbbbb, bbbbbbbb, ccccccccc"))

    assert painting.negative is not None
    assert painting.prompt.tokens.shape == painting.negative.tokens.shape
    window = tiny.encode_prompt("").tokens.shape[0]
    assert torch.equal(painting.prompt.tokens[:window], tiny.encode_prompt("a").tokens)
    assert torch.equal(painting.prompt.tokens[window : 2 * window], tiny.encode_prompt("").tokens)


@pytest.mark.parametrize("guidance", [1.0, 0.0])
def test_g4_guidance_off_takes_one_row_and_is_what_diffusers_does(
    runner: Runner, tiny: StableDiffusion, tiny_folder: Path, guidance: float
) -> None:
    request = job(guidance=guidance, sampler="ddim", steps=4)
    assert runner.prepare(request).demand.rows == 1

    (ours,) = run(runner, [request])

    theirs = stock(tiny_folder, tiny, request, "StableDiffusionPipeline")
    assert relative_error(ours, theirs) < 2e-5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_g3_image_to_image_is_what_diffusers_does_with_sd1(
    kl_runner: Runner, kl: StableDiffusion, kl_folder: Path, sampler: Sampler
) -> None:
    pixels = picture(gradient(64))
    request = job(sampler=sampler, steps=8, image=pixels, strength=0.6, width=64, height=64)

    (ours,) = run(kl_runner, [request])

    theirs = stock(kl_folder, kl, request, "StableDiffusionImg2ImgPipeline")
    assert relative_error(ours, theirs) < 2e-5


def test_g2_a_seeds_picture_does_not_depend_on_its_batch_mates(runner: Runner) -> None:
    jobs = [
        job(sampler=sampler, steps=4 + n, seed=n, guidance=1.0 if n == 2 else 3.0 + n)
        for n, sampler in enumerate(SAMPLERS)
    ]
    jobs.append(job(image=picture(gradient()), strength=0.5, steps=8, seed=9))

    together = run(runner, jobs)

    for request, latents in zip(jobs, together, strict=True):
        (alone,) = run(runner, [request])
        assert relative_error(latents, alone) < 1e-5


def test_g45_a_variation_lies_between_two_seeds(runner: Runner) -> None:
    def noise(**fields: Any) -> Tensor:
        return runner.prepare(job(sampler="ddim", **fields)).latents

    one, other = noise(seed=1), noise(seed=2)

    assert torch.equal(noise(seed=1, variation_seed=2), one)
    torch.testing.assert_close(noise(seed=1, variation_seed=2, variation=1.0), other)
    half = noise(seed=1, variation_seed=2, variation=0.5)
    torch.testing.assert_close(half.norm(), one.norm(), rtol=0.05, atol=0)
    torch.testing.assert_close((half * one).sum(), (half * other).sum(), rtol=0.25, atol=0)
    torch.testing.assert_close(turned(one, one, 0.3), one)


def test_g1_a_mask_over_a_sampler_that_remembers_keeps_what_it_should(runner: Runner) -> None:
    pixels = gradient()
    pixels[:, 96:, 3] = 0
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    for sampler in ("heun", "unipc", "dpmpp_sde"):
        request = job(
            image=picture(pixels), mask=picture(mask), steps=6, strength=0.5, sampler=sampler
        )
        painting = runner.prepare(request)
        assert painting.blend is not None

        (final,) = run(runner, [request])

        assert torch.equal(final[:, :, :4], painting.blend.known[:, :, :4])
        assert bool(torch.isfinite(final).all())


def test_g2_a_step_that_failed_and_is_tried_again_draws_the_same_noise(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tiny: StableDiffusion
) -> None:
    request = job(sampler="euler_a", steps=3)
    (expected,) = run(runner, [request])
    painting = runner.prepare(request)
    runner.admit(painting)
    plan = StepPlan(painting.demand.shape, (Seat(request.id, 2),))
    runner.step(plan)
    with monkeypatch.context() as patch:
        patch.setattr("gpu.runner.advance", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runner.step(plan)
    runner.step(plan)
    runner.step(plan)

    assert torch.equal(runner.release(request.id).latents, expected)


def test_g5_outside_of_the_mask_the_latents_stay_what_they_were(runner: Runner) -> None:
    pixels, mask = gradient(), np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255
    request = job(image=picture(pixels), mask=picture(mask), steps=4, strength=1.0)
    painting = runner.prepare(request)
    assert painting.region.box == (0, 0, 128, 128)
    assert painting.blend is not None

    (final,) = run(runner, [request])

    known = painting.blend.known
    assert torch.equal(final[:, :, :4], known[:, :, :4])
    assert not torch.allclose(final[:, :, 4:], known[:, :, 4:])


def test_g5_a_masked_picture_is_transparent_where_nothing_was_to_change(runner: Runner) -> None:
    mask = square_mask()
    request = job(image=picture(gradient()), mask=picture(mask), steps=2)
    painting = runner.prepare(request)
    runner.admit(painting)
    for _ in range(2):
        runner.step(StepPlan(painting.demand.shape, (Seat(request.id, 2),)))

    pixels = open_png(runner.finish(runner.release(request.id), request))

    assert pixels.shape == (128, 128, 4)
    assert pixels[mask == 0].max() == 0
    assert pixels[60:68, 60:68, 3].min() == 255


def test_g5_transparent_parts_are_painted_from_the_first_step_and_opaque_ones_kept(
    runner: Runner,
) -> None:
    pixels = gradient()
    pixels[:, 64:, 3] = 0
    request = job(image=picture(pixels), steps=6, strength=0.5)
    painting = runner.prepare(request)

    assert painting.table.num_steps == 6
    assert painting.blend is not None
    assert painting.blend.free_from[0, :, 4:].max() == 0
    (final,) = run(runner, [request])
    assert torch.equal(final[:, :, :4], painting.blend.known[:, :, :4])


def test_g8_previews_show_the_predicted_picture_at_latent_size(runner: Runner) -> None:
    jobs = [job(), job(), job()]
    for request in jobs:
        runner.admit(runner.prepare(request))
    plan = StepPlan(Shape(8, 8), tuple(Seat(request.id, 2) for request in jobs))

    batch = runner.step(plan, {jobs[0].id, jobs[2].id})

    assert batch is not None
    assert batch.jobs == (jobs[0].id, jobs[2].id)
    assert batch.steps == (1, 1)
    assert batch.wait().shape == (2, 32, 32, 3)
    for request in jobs:
        runner.drop(request.id)


def test_sizes_that_the_model_cannot_make_are_refused_with_the_multiple(runner: Runner) -> None:
    with pytest.raises(ValueError, match="multiples of 32 pixels, got 144x128"):
        runner.prepare(job(width=144))


def test_numbers_out_of_range_are_reported_not_painted(runner: Runner) -> None:
    request = job()
    painting = runner.prepare(request)
    painting.latents = torch.full_like(painting.latents, float("nan"))

    with pytest.raises(ValueError, match="--dtype fp32"):
        runner.finish(painting, request)
