"""Large pictures in two passes, against both passes by hand with diffusers' own pipelines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gpu.api import Control
from gpu.hires import composed_at
from gpu.inpaint import Region
from gpu.sched.work import Seat, StepPlan
from tests.gpu.kinds import TOLERANCE, model_of
from tests.gpu.parity import opened, relative_error, stock
from tests.gpu.pictures import gradient, job, open_png, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpu.api import Job
    from gpu.painting import Painting
    from gpu.runner import Runner
    from tests.gpu.kinds import Model

SMALL, LARGE = 128, 192
STRENGTH = 0.6


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Models of 128 pixels."""
    root = tmp_path_factory.mktemp("hires")

    def model(kind: str) -> Model:
        made = model_of(kind, root / kind)
        # FLUX.1 doesn't say its own, and the real ones would take long.
        made.family.native_px = SMALL
        return made

    return cache(model)


def large(**fields: Any) -> Job:
    fields = {"width": LARGE, "height": LARGE, "hires_strength": STRENGTH, **fields}
    return job(**{"steps": 5, "sampler": "euler_a", **fields})


def paint(runner: Runner, jobs: Sequence[Job]) -> list[Painting]:
    """Take all jobs' steps of both passes, those of one shape together; returns the last passes,
    released."""
    live = {request.id: runner.prepare(request) for request in jobs}
    for painting in live.values():
        runner.admit(painting)
    done: dict[str, Painting] = {}
    while live:
        shape = next(iter(live.values())).demand.shape
        seats = [Seat(id, p.demand.rows) for id, p in live.items() if p.demand.shape == shape]
        runner.step(StepPlan(shape, tuple(seats)))
        for id in [
            seat.id for seat in seats if live[seat.id].step == live[seat.id].table.num_steps
        ]:
            painting = runner.release(id)
            request = next(request for request in jobs if request.id == id)
            if painting.refinement is None:
                done[id] = painting
                del live[id]
            else:
                live[id] = runner.refine(painting, request)
                runner.admit(live[id])
    return [done[request.id] for request in jobs]


def enlarged(pixels: Tensor) -> Tensor:
    """What a pipeline returned as `pt`, as large as the picture is to be."""
    return functional.interpolate(pixels, (LARGE, LARGE), mode="bicubic").clamp(0, 1)


def by_hand(model: Model, names: tuple[str, str], request: Job, **more: Any) -> Tensor:
    """Text to image at the native size, then image to image of the enlarged picture."""
    first = msgspec.structs.replace(request, width=SMALL, height=SMALL)
    pixels = stock(model.pipeline(names[0], request), first, output_type="pt", **more)
    given = {"image": enlarged(pixels[None]), "strength": STRENGTH}
    return stock(model.pipeline(names[1], request), request, **given, **more)


@pytest.mark.parametrize(
    ("kind", "sampler"), [("sd2-v", "euler_a"), ("sd2-v", "heun"), ("sdxl", "dpmpp_2m")]
)
def test_g49_two_passes_are_text_to_image_and_then_image_to_image(
    models: Callable[[str], Model], kind: str, sampler: Any
) -> None:
    model, xl = models(kind), "XL" if kind == "sdxl" else ""
    request = large(sampler=sampler, negative="fog")

    (ours,) = paint(model.runner, [request])

    names = f"StableDiffusion{xl}Pipeline", f"StableDiffusion{xl}Img2ImgPipeline"
    theirs = by_hand(model, names, request, negative_prompt="fog")
    assert ours.latents.shape[1:] == (LARGE // 8, LARGE // 8)
    assert relative_error(ours.latents, theirs) < TOLERANCE


def test_g49_flow_matching_shifts_the_steps_of_each_pass_by_its_size(
    models: Callable[[str], Model],
) -> None:
    model = models("flux-dev")
    request = large(sampler="euler")

    (ours,) = paint(model.runner, [request])

    theirs = by_hand(model, ("FluxPipeline", "FluxImg2ImgPipeline"), request)
    pipeline = model.pipeline("FluxPipeline", request)
    (unpacked,) = pipeline._unpack_latents(theirs[None], LARGE, LARGE, 8)
    assert relative_error(ours.latents, unpacked) < TOLERANCE


def test_g49_a_picture_to_begin_from_is_composed_small_too(models: Callable[[str], Model]) -> None:
    model = models("sdxl")
    pixels = gradient(LARGE)
    request = large(image=picture(pixels), strength=0.8)

    (ours,) = paint(model.runner, [request])

    small = Image.fromarray(pixels[..., :3]).resize((SMALL, SMALL), Image.Resampling.BICUBIC)
    pipeline = model.pipeline("StableDiffusionXLImg2ImgPipeline", request)
    first = stock(pipeline, request, image=small, output_type="pt")
    pipeline = model.pipeline("StableDiffusionXLImg2ImgPipeline", request)
    theirs = stock(pipeline, request, image=enlarged(first[None]), strength=STRENGTH)
    assert relative_error(ours.latents, theirs) < TOLERANCE


@pytest.mark.parametrize("kind", ["sdxl", "sd-fill"])
def test_g49_a_mask_is_painted_twice_and_nothing_else_changes(
    models: Callable[[str], Model], kind: str
) -> None:
    model = models(kind)
    pixels, mask = gradient(LARGE), np.zeros((LARGE, LARGE), np.uint8)
    mask[:, LARGE // 2 :] = 255
    request = large(image=picture(pixels), mask=picture(mask), strength=0.9)

    (ours,) = paint(model.runner, [request])

    sharp, hole = Image.fromarray(pixels[..., :3]), Image.fromarray(mask)
    small = [each.resize((SMALL, SMALL), Image.Resampling.BICUBIC) for each in (sharp, hole)]
    name = f"StableDiffusion{'XL' if kind == 'sdxl' else ''}InpaintPipeline"
    size = {"width": SMALL, "height": SMALL}
    first = stock(
        model.pipeline(name, request),
        msgspec.structs.replace(request, **size),
        image=small[0],
        mask_image=small[1],
        output_type="pt",
    )
    original = torch.from_numpy(pixels[..., :3].copy()).permute(2, 0, 1)[None].float() / 255
    both = torch.where(torch.from_numpy(mask > 0), enlarged(first[None]), original)
    theirs = stock(model.pipeline(name, request), request, image=both, strength=STRENGTH)
    assert relative_error(ours.latents, theirs) < TOLERANCE
    finished = open_png(model.runner.finish(ours, request))
    assert finished.shape == (LARGE, LARGE, 4)
    assert finished[:, : LARGE // 2].max() == 0


def test_g49_empty_parts_that_the_first_pass_filled_are_painted_over(
    models: Callable[[str], Model],
) -> None:
    pixels = gradient(LARGE)
    pixels[:, LARGE // 2 :, 3] = 0
    request = large(image=picture(pixels))

    (ours,) = paint(models("sd2-v").runner, [request])

    assert ours.blend is not None
    known = ours.blend.free_from[0, 0] > 0
    assert known.tolist() == [True] * 12 + [False] * 12
    assert torch.equal(ours.latents[..., known], ours.blend.known[..., known])
    assert not torch.allclose(ours.latents[..., ~known], ours.blend.known[..., ~known])


def test_g49_adapters_and_a_control_of_each_size_go_along(models: Callable[[str], Model]) -> None:
    import diffusers

    model = models("sdxl")
    seen = picture(np.ascontiguousarray(gradient(LARGE)[..., :3]))
    control = Control(name="controlnet", image=seen, strength=0.8)
    request = large(control=control, loras={"kohya": 1.0}, steps=4)

    (ours,) = paint(model.runner, [request])

    network = diffusers.ControlNetModel.from_pretrained(model.folder / "controlnet")

    def pipeline(task: str) -> Any:
        name = f"StableDiffusionXLControlNet{task}Pipeline"
        return model.pipeline(name, request, controlnet=network)

    scale = {"controlnet_conditioning_scale": 0.8}
    small = opened(seen).resize((SMALL, SMALL), Image.Resampling.BICUBIC)
    first = msgspec.structs.replace(request, width=SMALL, height=SMALL)
    pixels = stock(pipeline(""), first, image=small, output_type="pt", **scale)
    given = {"image": enlarged(pixels[None]), "control_image": opened(seen)}
    theirs = stock(pipeline("Img2Img"), request, **given, strength=STRENGTH, **scale)
    assert relative_error(ours.latents, theirs) < TOLERANCE


def test_g49_each_pass_shares_forwards_with_others_of_its_size(
    models: Callable[[str], Model],
) -> None:
    runner = models("sd2-v").runner
    jobs = [
        large(seed=1),
        large(seed=2, hires_strength=0.3, guidance=1.0),
        large(seed=3, hires_strength=0.0),
        large(seed=4, width=SMALL, height=SMALL),
    ]

    together = paint(runner, jobs)

    for request, mixed in zip(jobs, together, strict=True):
        (alone,) = paint(runner, [request])
        assert relative_error(mixed.latents, alone.latents) < 1e-5


@pytest.mark.parametrize("fields", [{"hires_strength": 0.0}, {"width": SMALL, "height": SMALL}])
def test_g49_what_is_not_larger_than_the_model_or_does_not_ask_takes_one_pass(
    models: Callable[[str], Model], fields: dict[str, Any]
) -> None:
    painting = models("sd2-v").runner.prepare(large(**fields))

    assert painting.refinement is None
    assert painting.region.size == (painting.latents.shape[2] * 8, painting.latents.shape[1] * 8)
    assert painting.demand.later == 0


def test_g49_the_second_pass_is_charged_by_its_pixels(models: Callable[[str], Model]) -> None:
    runner = models("sd2-v").runner
    control_free = runner.prepare(large(width=256, height=256, hires_strength=0.6))

    assert control_free.demand.cost == 2 * 16 * 16
    assert control_free.demand.later == 3 * 2 * 32 * 32
    assert control_free.num_steps == 5 + 3
    (last,) = paint(runner, [large(width=256, height=256, hires_strength=0.6)])
    assert (last.demand.cost, last.demand.later, last.num_steps) == (2 * 32 * 32, 0, 8)


def test_a_picture_is_composed_at_its_own_proportions() -> None:
    def size(width: int, height: int) -> tuple[int, int] | None:
        small = composed_at(Region((0, 0, width, height), (width, height)), 512, 64)
        return None if small is None else small.size

    assert size(1024, 1024) == (512, 512)
    assert size(1536, 768) == (704, 384)
    assert size(512, 512) is None
    assert size(576, 512) is None
    assert size(2048, 64) is None
