"""Tiny models made of the real classes, each made and loaded once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch

from gpu.previews import fit
from gpu.samplers.table import Tables
from tests.gpu.engines import Faulty, Harness
from tests.gpu.families import loaded
from tests.gpu.kinds import model_of
from tests.gpu.tiny_unets import save_like_embedded, save_like_sd1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gpu.models.stable_diffusion import StableDiffusion
    from tests.gpu.kinds import Model


def pytest_configure(config: pytest.Config) -> None:
    # diffusers hands torch tensors to numpy in a way that numpy 2 grumbles about.
    for line in (
        "ignore:__array__ implementation:DeprecationWarning",
        # Of FluxControlNetModel, which is made of what diffusers deprecates.
        "ignore:`FluxPosEmbed` is deprecated:FutureWarning",
        # Of peft, when diffusers loads a second adapter.
        "ignore:Already found a `peft_config` attribute:UserWarning",
    ):
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    # Threads of torch that wait for each other on a busy machine cost more than they bring.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_like_embedded(folder)
    return folder


@pytest.fixture(scope="session")
def kl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "kl"
    save_like_sd1(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> StableDiffusion:
    return loaded(tiny_folder)


@pytest.fixture(scope="session")
def kl(kl_folder: Path) -> StableDiffusion:
    return loaded(kl_folder)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Models by their kind, each made once."""
    root = tmp_path_factory.mktemp("kinds")
    return cache(lambda kind: model_of(kind, root / kind))


@pytest.fixture(scope="module")
def parts(tiny: StableDiffusion) -> tuple[StableDiffusion, Tables, object]:
    return tiny, Tables(tiny.scheduler_config), fit(tiny, 4)[0]


@pytest.fixture
def harness(parts: tuple[StableDiffusion, Tables, object]) -> Iterator[Harness]:
    harness = Harness(Faulty(*parts))  # type: ignore[arg-type]
    harness.engine.start()
    yield harness
    harness.engine.close()
    assert harness.crashes.empty()
