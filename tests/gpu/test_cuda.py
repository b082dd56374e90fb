"""On a real GPU: the pictures that a CPU makes, whatever is switched on and whoever else is busy.

Needs nothing of the server: `python3 -m pytest tests/gpu/test_cuda.py` in a minute. Where there is
no GPU, one line says so.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gpu.api import Cancelled, Done, Load, Loaded, Preview, Ready, Submit
from gpu.models import compiled
from gpu.models.compiled import EAGER_BEFORE_GRAPH, Graphs, capture_on_cuda
from gpu.models.family import LoadOptions
from gpu.models.load import load
from gpu.warmup import compile_forwards
from gpu.worker import EMBEDDED
from tests.gpu.families import runner_of
from tests.gpu.kinds import FLOWS, UNETS
from tests.gpu.on_device import (
    TOO_MUCH,
    Fussy,
    Hungry,
    Running,
    active_bytes,
    assert_alike,
    batches,
    drawn,
    fail_if_impossible,
    graphs_of,
    latents,
    latents_each,
    psnr_db,
    runner_on,
    use_in_two_streams,
    various,
)
from tests.gpu.parity import TASKS, relative_error, run, task
from tests.gpu.pictures import job
from tests.gpu.tiny_unets import save_like_embedded, save_like_sd1
from tests.gpu.worker_process import ROOT, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("default")]

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SAVES: dict[str, Callable[[Path], None]] = {
    "like-embedded": save_like_embedded,
    "like-sd1": save_like_sd1,
    **UNETS,
    **FLOWS,
}
KINDS = ("like-embedded", "like-sd1", "sdxl", "sd3", "flux-dev", "z-image")
NEAR = 1e-3
"""The relative error that fp32 on a GPU may have beside a CPU."""
_NEVER_S = 1e9


@pytest.fixture(autouse=True)
def _in_full_precision() -> Iterator[None]:
    """Convolutions use TF32 unless they are told not to, which a CPU doesn't have."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def _only_traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile with torch's frontend alone: what is recorded is what runs without it."""
    torch._dynamo.reset()
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    yield
    torch._dynamo.reset()
    torch.compiler.set_stance("default")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("kinds")

    def saved(kind: str) -> Path:
        if not (root / kind).is_dir():
            SAVES[kind](root / kind)
        return root / kind

    return saved


@pytest.mark.parametrize(
    "kind", ["like-embedded", "like-sd1", "sdxl", "sd3", "flux-dev", "z-image"]
)
def test_g2_a_seed_s_picture_is_that_of_a_cpu(folder: Callable[[str], Path], kind: str) -> None:
    on_cpu, on_gpu = (runner_on(device, folder(kind)) for device in (CPU, CUDA))
    for name in TASKS:
        request = task(name, sampler="euler", steps=4)
        (ours,), (theirs,) = latents(on_gpu, [request]), latents(on_cpu, [request])
        assert relative_error(ours, theirs) < NEAR, name


def test_g2_batch_mates_on_a_gpu_do_not_change_a_picture(folder: Callable[[str], Path]) -> None:
    on_cpu, on_gpu = (runner_on(device, folder("like-sd1")) for device in (CPU, CUDA))
    jobs = [job(seed=seed, steps=5, sampler="euler_a", guidance=2.0) for seed in range(5)]

    together = latents(on_gpu, jobs)

    for ours, request in zip(together, jobs, strict=True):
        assert relative_error(ours, latents(on_gpu, [request])[0]) < 1e-4
        assert relative_error(ours, latents(on_cpu, [request])[0]) < NEAR


@pytest.mark.parametrize(("dtype", "least_db"), [("bfloat16", 25), ("float16", 30)])
def test_p6_half_precision_draws_nearly_the_same(dtype: str, least_db: float) -> None:
    on_cpu = runner_on(CPU, EMBEDDED)
    on_gpu = runner_on(CUDA, EMBEDDED, dtype=getattr(torch, dtype))
    request = job(prompt="a red boat at sunset", width=256, height=256, steps=6)

    assert psnr_db(drawn(on_gpu, request), drawn(on_cpu, request)) > least_db


@pytest.mark.parametrize(
    ("kind", "dtype", "expected"),
    [
        ("like-sd1", torch.bfloat16, torch.bfloat16),
        ("like-sd1", torch.float16, torch.float16),
        ("sdxl", torch.bfloat16, torch.bfloat16),
        ("sdxl", torch.float16, torch.float32),
        ("sd3", torch.bfloat16, torch.bfloat16),
    ],
)
def test_p6_an_autoencoder_in_half_precision_decodes_nearly_the_same(
    folder: Callable[[str], Path], kind: str, dtype: torch.dtype, expected: torch.dtype
) -> None:
    full, half = (
        runner_on(CUDA, folder(kind), dtype=dtype)._family for dtype in (torch.float32, dtype)
    )
    latents = torch.randn(1, full.latent_channels, 16, 16, device=CUDA)

    family: Any = half
    assert family._autoencoder._vae.dtype == expected
    assert relative_error(half.decode(latents), full.decode(latents)) < 0.05


def test_g2_the_embedded_model_draws_what_it_draws_on_a_cpu() -> None:
    on_cpu, on_gpu = (runner_on(device, EMBEDDED) for device in (CPU, CUDA))
    request = job(prompt="a blue cat", width=256, height=256, steps=6)

    assert psnr_db(drawn(on_gpu, request), drawn(on_cpu, request)) > 40


@pytest.mark.usefixtures("_only_traced")
@pytest.mark.parametrize("kind", ["like-embedded", "like-sd1", "sdxl", "flux-dev"])
def test_m16_a_graph_draws_what_the_forward_draws(folder: Callable[[str], Path], kind: str) -> None:
    plain, recorded = (runner_on(CUDA, folder(kind)) for _ in range(2))
    compile_forwards(recorded._family, 4, fail_if_impossible)
    jobs = [task("txt2img", sampler="euler", steps=6, seed=seed) for seed in range(2)]

    for ours, theirs in zip(latents(recorded, jobs), latents(plain, jobs), strict=True):
        assert relative_error(ours, theirs) < 1e-5
    assert graphs_of(recorded)._works
    assert len(graphs_of(recorded)) > 0


def test_m16_what_is_compiled_draws_the_same(folder: Callable[[str], Path]) -> None:
    torch._dynamo.reset()
    plain, quick = (runner_on(CUDA, folder("like-embedded")) for _ in range(2))
    compile_forwards(quick._family, 4, fail_if_impossible)
    jobs = various()

    for ours, theirs in zip(latents_each(quick, jobs), latents_each(plain, jobs), strict=True):
        assert relative_error(ours, theirs) < NEAR
    torch._dynamo.reset()
    torch.compiler.set_stance("default")


@pytest.mark.usefixtures("_only_traced")
def test_m16_graphs_are_recorded_beside_a_model_that_is_being_compiled(
    folder: Callable[[str], Path],
) -> None:
    """CUDA forbids to wait for the device while another thread records."""
    first, second = (runner_on(CUDA, folder(kind)) for kind in ("like-embedded", "like-sd1"))
    compile_forwards(first._family, 2, fail_if_impossible)
    before = len(graphs_of(first))
    errors: list[Exception] = []

    def compile_again() -> None:
        try:
            for _ in range(3):
                compile_forwards(second._family, 2, fail_if_impossible)
        except Exception as error:
            errors.append(error)

    other = threading.Thread(target=compile_again)
    other.start()
    width = 64
    while other.is_alive():
        width += 32
        run(first, [job(steps=4, width=64 + width % 512, height=128)])
    other.join()
    run(first, [job(steps=4, width=608, height=160)])

    assert not errors
    assert len(graphs_of(first)) > before
    assert graphs_of(first)._works


def test_m16_a_recording_that_fails_leaves_everything_as_it_was() -> None:
    lines: list[str] = []
    stream = torch.cuda.current_stream()
    graphs = Graphs(Fussy(lambda sample: sample.sum().item()), capture_on_cuda(), lines.append)

    for _ in range(EAGER_BEFORE_GRAPH + 3):
        assert graphs({"sample": torch.ones(3, device=CUDA)}).tolist() == [2.0] * 3

    assert torch.cuda.current_stream() == stream
    assert len(graphs) == 0
    (line,) = lines
    assert line.startswith("CUDA graphs can't be used here (")
    before = active_bytes()
    for _ in range(3):
        use_in_two_streams()
    assert active_bytes() <= before
    other = Graphs(Fussy(lambda _: None), capture_on_cuda(), lines.append)
    for value in range(EAGER_BEFORE_GRAPH + 3):
        assert other({"sample": torch.full((2,), value, device=CUDA)}).tolist() == [2 * value] * 2
    assert len(other) == 1


def test_m16_a_recording_without_memory_is_done_without_and_others_work() -> None:
    module = Fussy(lambda _: torch.empty(TOO_MUCH, device=CUDA))
    graphs = Graphs(module, capture_on_cuda(), fail_if_impossible)

    def forward(rows: int) -> list[float]:
        made: list[float] = graphs({"sample": torch.ones(rows, device=CUDA)}).tolist()
        return made

    for _ in range(EAGER_BEFORE_GRAPH + 3):
        assert forward(1) == [2.0]
    assert len(graphs) == 0
    module.fail = None
    for _ in range(EAGER_BEFORE_GRAPH + 3):
        assert forward(2) == [2.0, 2.0]

    assert len(graphs) == 1


@pytest.mark.parametrize(("dtype", "most"), [("float32", NEAR), ("bfloat16", 0.1)])
def test_m5_xformers_attention_draws_what_torch_s_does(
    folder: Callable[[str], Path], dtype: str, most: float
) -> None:
    pytest.importorskip("xformers.ops")
    options = {"dtype": getattr(torch, dtype)}
    plain = runner_on(CUDA, folder("like-sd1"), **options)
    lines: list[str] = []
    wanted = LoadOptions(folder("like-sd1"), CUDA, attention="xformers", **options)
    other = runner_of(load(wanted, lines.append))
    if refused := [line for line in lines if line.startswith("xformers attention can't")]:
        assert "\n" not in refused[0]
        pytest.skip(refused[0])
    jobs = various(3)

    for ours, theirs in zip(latents_each(other, jobs), latents_each(plain, jobs), strict=True):
        assert relative_error(ours, theirs) < most


@pytest.mark.parametrize(("weights", "most"), [("int8", 0.05), ("int4", 0.3)])
def test_m15_weights_in_fewer_bits_draw_nearly_the_same(
    folder: Callable[[str], Path], weights: str, most: float
) -> None:
    pytest.importorskip("torchao")
    full = runner_on(CUDA, folder("sdxl"), dtype=torch.bfloat16)
    small = runner_on(CUDA, folder("sdxl"), dtype=torch.bfloat16, weights=weights)
    request = task("txt2img", sampler="euler", steps=3)

    assert relative_error(latents(small, [request])[0], latents(full, [request])[0]) < most


def test_m5_low_vram_draws_the_same_and_puts_its_parts_away(folder: Callable[[str], Path]) -> None:
    plain = runner_on(CUDA, folder("like-sd1"))
    frugal = runner_on(CUDA, folder("like-sd1"), low_vram=True)
    request = task("inpaint", steps=4)

    assert_alike(drawn(frugal, request), drawn(plain, request))
    family: Any = frugal._family
    parts = (family._autoencoder._vae, family._reader._encoder)
    assert {weight.device.type for part in parts for weight in part.parameters()} == {"cpu"}
    assert family._unet.device.type == "cuda"


def test_g8_previews_are_those_of_their_step_however_late_they_are_looked_at(
    folder: Callable[[str], Path],
) -> None:
    on_cpu, on_gpu = (runner_on(device, folder("like-embedded")) for device in (CPU, CUDA))
    jobs = [job(seed=seed, steps=12, guidance=1.0) for seed in range(3)]

    ours, theirs = (batches(runner, jobs) for runner in (on_gpu, on_cpu))

    for our, their in zip(ours, theirs, strict=True):
        assert (our.jobs, our.steps) == (their.jobs, their.steps)
        assert_alike(our.wait().numpy(), their.wait().numpy())


@pytest.mark.usefixtures("_only_traced")
@pytest.mark.parametrize("with_graphs", [False, True])
def test_g6_threads_beside_the_steps_spoil_no_picture(
    folder: Callable[[str], Path], with_graphs: bool
) -> None:
    alone = runner_on(CUDA, folder("like-embedded"))
    runner = runner_on(CUDA, folder("like-embedded"))
    if with_graphs:
        compile_forwards(runner._family, 4, fail_if_impossible)
    jobs = [*various(24), *(task(name, steps=5, seed=n) for n, name in enumerate(TASKS))]

    with Running(runner, preview_interval_s=0.0) as running:
        made = running.pictures(jobs)

    assert sum(isinstance(event, Preview) for event in running.seen) > len(jobs)
    for request in jobs:
        assert_alike(made[request.id], drawn(alone, request))
    with Running(alone, preview_interval_s=_NEVER_S) as silent:
        unseen = silent.pictures(jobs)
    for request in jobs:
        assert_alike(made[request.id], unseen[request.id])


def test_g7_a_batch_that_finds_no_memory_on_a_gpu_is_split(folder: Callable[[str], Path]) -> None:
    plain = runner_on(CUDA, folder("like-embedded"))
    hungry = Hungry(plain._family, plain._preparation._tables, plain._previews)
    jobs = [job(seed=seed, steps=20) for seed in range(6)]

    with Running(hungry) as running:
        made = running.pictures(jobs)

    for request in jobs:
        assert_alike(made[request.id], drawn(plain, request))


def test_f10_a_job_is_cancelled_and_the_next_one_is_drawn(folder: Callable[[str], Path]) -> None:
    runner = runner_on(CUDA, folder("like-embedded"))
    endless, following = job(steps=150, sampler="ddim"), job(steps=4)

    with Running(runner) as running:
        running.engine.submit(endless)
        running.until(Preview)
        running.engine.cancel(endless.id)
        assert running.until(Cancelled) == Cancelled(endless.id, "asked")
        made = running.pictures([following])

    assert_alike(made[following.id], drawn(runner, following))


def test_p7_a_lost_device_is_told_from_a_failed_step() -> None:
    """In a process of its own: the device answers it nothing afterwards."""
    script = """if True:
        import torch
        from gpu.errors import is_fatal
        try:
            torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")].cpu()
        except Exception as error:
            print("fatal" if is_fatal(error) else type(error))
    """
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "fatal", ended.stderr[-2000:]


def test_m12_a_worker_on_a_gpu_switches_models_and_draws(
    folder: Callable[[str], Path], tmp_path: Path
) -> None:
    registry = tmp_path / "models.toml"
    lines = (f"[models.{name}]\npath = '{folder(name)}'\n" for name in ("like-sd1", "sdxl"))
    registry.write_text("".join(lines))
    worker = Worker(None, "--models", str(registry), "--device", "cuda")
    try:
        ready = worker.until(Ready)
        assert isinstance(ready, Ready)
        assert (ready.model.device, ready.model.dtype) == ("cuda", "bf16")
        worker.send(Load("embedded"))
        assert isinstance(worker.until(Loaded), Loaded)
        jobs = [job(steps=3, model=name) for name in ("embedded", "sdxl", "like-sd1", "")]
        worker.send(*map(Submit, jobs))
        done = [worker.until(Done) for _ in jobs]
    finally:
        worker.close()
    assert {end.job for end in done if isinstance(end, Done)} == {request.id for request in jobs}
