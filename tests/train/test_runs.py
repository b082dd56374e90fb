"""A run that was cut off goes on as if it had not been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from scripts.train.devices import Progress
from scripts.train.muon import Average, Optimiser
from scripts.train.runs import resume_run, save_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def learn(model: nn.Module, optimiser: Optimiser, average: Average, steps: range) -> None:
    for step in steps:
        model(torch.full((2, 4), float(step + 1))).square().mean().backward()
        optimiser.step(0.01)
        average.update(step)


def fresh() -> tuple[nn.Module, Optimiser, Average]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    return model, Optimiser(model, ()), Average(model, 0.9)


def test_resumed_run_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    whole = fresh()
    learn(*whole, range(6))

    first = fresh()
    learn(*first, range(3))
    save_run(tmp_path / "run.pt", *first, step=3, samples=96)
    second = fresh()
    counts = resume_run(tmp_path / "run.pt", *second)
    learn(*second, range(counts["step"], 6))

    assert counts == {"step": 3, "samples": 96}
    for (name, value), other in zip(
        whole[0].named_parameters(), second[0].parameters(), strict=True
    ):
        assert torch.equal(value, other), name
        assert torch.equal(whole[2].values[name], second[2].values[name]), name


def test_without_a_checkpoint_nothing_is_touched(tmp_path: Path) -> None:
    model, optimiser, average = fresh()
    before = [p.clone() for p in model.parameters()]

    assert resume_run(tmp_path / "none.pt", model, optimiser, average) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_resumed_run_reports_as_often(capsys: pytest.CaptureFixture[str]) -> None:
    # No multiple of 48 beyond 7 is a multiple of 100.
    progress = Progress("unet", 295, 100, 7)
    for done in range(7 + 48, 296, 48):
        progress.report(done, loss=0.5)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["151/295", "295/295"]
