"""Muon: the update is orthogonal; averages and checkpoints restore what they took."""

from __future__ import annotations

import copy

import torch
from torch import nn

from scripts.train.muon import Average, Muon, Optimiser, orthogonalise


def test_orthogonalise_brings_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((24, 64), (64, 24), (32, 32)):
        matrices = torch.randn(3, rows, columns, generator=generator)
        values = torch.linalg.svdvals(orthogonalise(matrices))

        # The quintic iteration trades exactness for speed: it ends between about 0.5 and 1.2.
        assert values.shape == (3, min(rows, columns))
        assert 0.75 < values.mean() < 1.1
        assert values.max() < 1.3


def test_muon_step_moves_a_convolution_by_an_orthogonal_matrix() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn_like(weight)
    Muon([weight], weight_decay=0.0).step(0.1)

    moved = weight.detach().reshape(16, 72) / (0.1 * 0.2 * 72**0.5)
    values = torch.linalg.svdvals(moved)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_optimiser_fits_a_line_and_resumes_alike() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 8)
    targets = inputs @ torch.randn(8, 4)

    def run(model: nn.Linear, optimiser: Optimiser, steps: int) -> float:
        loss = torch.tensor(0.0)
        for _ in range(steps):
            loss = (model(inputs) - targets).square().mean()
            loss.backward()
            optimiser.step(0.05)
        return loss.item()

    model = nn.Linear(8, 4)
    optimiser = Optimiser(model, ())
    first = run(model, optimiser, 1)
    run(model, optimiser, 100)
    twin = nn.Linear(8, 4)
    twin.load_state_dict(model.state_dict())
    twin_optimiser = Optimiser(twin, ())
    twin_optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))

    last = run(model, optimiser, 5)
    assert last < 0.2 * first
    assert run(twin, twin_optimiser, 5) == last


def test_average_swaps_and_swaps_back() -> None:
    model = nn.Linear(2, 2, bias=False)
    trained = model.weight.detach().clone()
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    average.swap()
    assert torch.equal(model.weight, trained)
    average.swap()
    assert torch.equal(model.weight, trained + 1.0)
