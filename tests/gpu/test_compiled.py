"""Compiled forwards, with torch's own frontend and no code generator; graphs, without CUDA."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch._dynamo.utils import counters

from gpu.models import compiled
from gpu.models.compiled import EAGER_BEFORE_GRAPH, Denoiser, Graphs, warming
from gpu.previews import fit
from gpu.runner import Runner
from gpu.samplers.table import Tables
from gpu.warmup import compile_forwards
from tests.gpu.families import loaded
from tests.gpu.parity import relative_error, run
from tests.gpu.pictures import job
from tests.gpu.test_adapters import ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpu.models.family import Family
    from gpu.models.stable_diffusion import StableDiffusion


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled, "_BACKEND", "eager")
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    torch.compiler.set_stance("default")


def runner_of(family: StableDiffusion | Family) -> Runner:
    return Runner(family, Tables(family.scheduler_config), fit(family, 2)[0])


def with_adapter(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    (folder / "loras").mkdir()
    save_file(ADAPTERS["one"], folder / "loras" / "one.safetensors")
    return folder


class Doubler(nn.Module):
    """Stands for a denoiser; counts how often Python runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.calls = 0

    def forward(self, sample: Tensor, added: Any = None, *, return_dict: bool) -> tuple[Tensor]:
        self.calls += 1
        more = added["size"] if isinstance(added, dict) else 0.0
        return (sample * self.weight + more,)


class Small(nn.Module):
    """A denoiser of two layers: tracing a real one takes long."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(8, 8)

    def forward(self, sample: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        return (self.second(self.first(sample).relu()),)


class Spy:
    """Stands for what was compiled, and counts its calls."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.calls = 0

    def __call__(self, *arguments: Any, **inputs: Any) -> Any:
        self.calls += 1
        return self.module(*arguments, **inputs)


def test_m16_nothing_is_compiled_after_the_start_whatever_shapes_come() -> None:
    module = Small()
    denoiser = Denoiser(module, lambda _: None)
    denoiser.compile()
    with warming(), torch.inference_mode():
        for rows in (2, 1):
            denoiser(plain=True, sample=torch.ones(rows, 3, 8, 8))
    num_graphs = counters["stats"]["unique_graphs"]
    # One for a row alone, which is special to torch, and one for all other numbers.
    assert num_graphs == 2

    with torch.inference_mode():
        for shape in ((1, 3, 8, 8), (3, 3, 8, 8), (7, 3, 8, 8), (2, 3, 1, 8)):
            sample = torch.randn(shape)
            ours = denoiser(plain=True, sample=sample)
            assert relative_error(ours, module(sample, return_dict=False)[0]) < 1e-6

    assert counters["stats"]["unique_graphs"] == num_graphs


def test_m16_rows_with_adapters_go_through_the_model_as_it_is(
    tiny_folder: Path, tmp_path: Path
) -> None:
    family = loaded(with_adapter(tiny_folder, tmp_path))
    spy = Spy(family._unet)
    family._denoiser._compiled = spy
    adapted, plain = job(loras={"one": 1.0}, guidance=1.0, steps=2), job(guidance=1.0, steps=3)
    runner = runner_of(family)

    run(runner, [adapted, plain])

    # Two steps are shared, and the last one is of the plain picture alone.
    assert spy.calls == 1
    run(runner, [plain])
    assert spy.calls == 4


def test_m16_usual_numbers_of_rows_are_run_before_the_first_request(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = loaded(tiny_folder)
    spy = Spy(family._unet)
    monkeypatch.setattr(family, "compile", lambda: setattr(family._denoiser, "_compiled", spy))
    lines: list[str] = []

    compile_forwards(family, 3, lines.append)

    assert lines == [f"compiling the forward of {rows}" for rows in ("2 rows", "3 rows", "1 row")]
    assert spy.calls == 3 * (EAGER_BEFORE_GRAPH + 1)


def test_m16_blocks_that_repeat_are_what_is_compiled_on_cuda(tiny_folder: Path) -> None:
    unet = loaded(tiny_folder)._unet

    regions = compiled._regions(unet)

    assert {type(region).__name__ for region in regions} == {"BasicTransformerBlock"}
    assert len(regions) == 4
    small = Small()
    assert compiled._regions(small) == [small]


def test_m16_what_is_compiled_shares_the_weights() -> None:
    module = Doubler()
    denoiser = Denoiser(module, lambda _: None)
    denoiser.compile()
    with torch.no_grad():
        module.weight.fill_(3.0)

    with warming(), torch.inference_mode():
        assert denoiser(plain=True, sample=torch.ones(2)).tolist() == [3.0, 3.0]
    assert denoiser._compiled.weight is module.weight


def test_m16_where_it_cannot_be_compiled_it_runs_as_it_is_and_a_line_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(compiled, "_BACKEND", broken)
    lines: list[str] = []
    module = Small()
    denoiser = Denoiser(module, lines.append)
    denoiser.compile()
    sample = torch.ones(2, 3, 8, 8)

    with warming(), torch.inference_mode():
        outputs = [denoiser(plain=True, sample=sample) for _ in range(2)]

    (line,) = lines
    assert line.startswith("the model can't be compiled here (")
    assert "no C++ compiler" in line
    assert "\n" not in line
    for output in outputs:
        assert torch.equal(output, module(sample, return_dict=False)[0])


class FakeCapture:
    """Stands for CUDA: a replay computes anew from the inputs where they lie."""

    def __init__(self, module: Doubler) -> None:
        self.module = module
        self.recorded = 0
        self.output = torch.empty(0)

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.recorded += 1

        def replay() -> Tensor:
            calls = self.module.calls
            self.output = run()
            self.module.calls = calls
            return self.output

        return replay


def test_m16_a_shape_that_comes_again_is_recorded_and_then_replayed() -> None:
    module = Doubler()
    capture = FakeCapture(module)
    graphs = Graphs(module, capture, lambda _: None)

    def forward(value: float, rows: int, size: float = 1.0) -> list[float]:
        inputs = {"sample": torch.full((rows,), value), "added": {"size": torch.tensor(size)}}
        return graphs(inputs).tolist()

    for _ in range(EAGER_BEFORE_GRAPH):
        assert forward(1.0, 2) == [3.0, 3.0]
    assert (len(graphs), module.calls) == (0, EAGER_BEFORE_GRAPH)
    assert forward(5.0, 2, 3.0) == [13.0, 13.0]
    assert forward(6.0, 2, 4.0) == [16.0, 16.0]
    assert (len(graphs), capture.recorded, module.calls) == (1, 1, EAGER_BEFORE_GRAPH)
    assert forward(1.0, 3) == [3.0, 3.0, 3.0]
    assert module.calls == EAGER_BEFORE_GRAPH + 1


def test_m16_what_a_graph_made_is_the_caller_s_to_keep() -> None:
    module = Doubler()
    capture = FakeCapture(module)
    graphs = Graphs(module, capture, lambda _: None)

    outputs = [graphs({"sample": torch.ones(1), "added": None}) for _ in range(4)]

    capture.output.fill_(-1.0)
    assert [output.tolist() for output in outputs] == [[2.0]] * 4


def test_m16_graphs_are_bounded_and_the_least_recently_used_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "_MAX_GRAPHS", 2)
    module = Doubler()
    capture = FakeCapture(module)
    graphs = Graphs(module, capture, lambda _: None)
    for rows in (1, 2, 1, 3, 1):
        for _ in range(EAGER_BEFORE_GRAPH + 1):
            graphs({"sample": torch.ones(rows)})

    assert len(graphs) == 2
    assert capture.recorded == 3


def test_m16_shapes_that_came_once_are_forgotten_when_many_others_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "_MAX_SEEN", 2)
    capture = FakeCapture(Doubler())
    graphs = Graphs(Doubler(), capture, lambda _: None)

    def forward(rows: int, times: int) -> None:
        for _ in range(times):
            graphs({"sample": torch.ones(rows)})

    forward(1, EAGER_BEFORE_GRAPH)
    for rows in (2, 3):
        forward(rows, 1)
    forward(1, 1)
    assert (len(graphs), capture.recorded, len(graphs._seen)) == (0, 0, 2)
    forward(1, EAGER_BEFORE_GRAPH)

    assert (len(graphs), capture.recorded) == (1, 1)


def test_m16_inputs_that_no_graph_can_have_run_as_they_are() -> None:
    class Lists(nn.Module):
        def forward(self, x: list[Tensor], *, return_dict: bool) -> tuple[Tensor]:
            return (torch.stack(x),)

    graphs = Graphs(Lists(), FakeCapture(Doubler()), lambda _: None)

    for _ in range(4):
        assert graphs({"x": [torch.ones(1)]}).tolist() == [[1.0]]
    assert len(graphs) == 0


def test_m16_where_graphs_do_not_work_a_line_says_so_once() -> None:
    def broken(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    lines: list[str] = []
    graphs = Graphs(Doubler(), broken, lines.append)

    for _ in range(6):
        assert graphs({"sample": torch.ones(1)}).tolist() == [2.0]
    assert lines == [
        "CUDA graphs can't be used here (operation not permitted when stream is capturing)"
    ]


def test_m16_a_shape_whose_graph_finds_no_memory_runs_as_it_is_for_a_long_time() -> None:
    module = Doubler()
    tries = []

    def full(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        tries.append(run)
        raise torch.OutOfMemoryError("no")

    lines: list[str] = []
    graphs = Graphs(module, full, lines.append)

    for _ in range(100):
        assert graphs({"sample": torch.ones(1)}).tolist() == [2.0]

    assert (len(tries), len(graphs), lines) == (1, 0, [])
    graphs._capture = FakeCapture(module)
    for _ in range(EAGER_BEFORE_GRAPH + 1):
        assert graphs({"sample": torch.ones(2)}).tolist() == [2.0, 2.0]
    assert len(graphs) == 1


def test_m16_nothing_is_recorded_while_another_thread_compiles() -> None:
    module = Doubler()
    capture = FakeCapture(module)
    graphs = Graphs(module, capture, lambda _: None)

    def forward_often() -> None:
        for _ in range(EAGER_BEFORE_GRAPH + 3):
            assert graphs({"sample": torch.ones(1)}).tolist() == [2.0]

    with warming():
        other = threading.Thread(target=forward_often)
        other.start()
        other.join()
        assert capture.recorded == 0
    forward_often()

    assert capture.recorded == 1


def test_m16_blocks_of_many_widths_are_all_compiled() -> None:
    """Dynamo counts what it compiled by the code that all blocks of a class share."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = nn.Linear(width, width)

        def forward(self, sample: Tensor, *, return_dict: bool) -> tuple[Tensor]:
            return (self.layer(sample),)

    widths = range(4, 16)
    denoisers = [Denoiser(Block(width), lambda _: None) for width in widths]
    for denoiser, width in zip(denoisers, widths, strict=True):
        denoiser.compile()
        with warming(), torch.inference_mode():
            denoiser(plain=True, sample=torch.ones(2, width))

    assert counters["stats"]["unique_graphs"] == len(widths)
