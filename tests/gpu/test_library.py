"""Which models are loaded, who borrows them, and what has to go for another."""

from __future__ import annotations

import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from gpu.api import JobId
from gpu.errors import ModelError
from tests.gpu.shelves import Models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpu.library import Arrival, Library

TIMEOUT_S = 30
SIZES = {"small": 2, "other": 2, "large": 5}
ANN, BOB, CARL = JobId("ann"), JobId("bob"), JobId("carl")


class Shelf:
    """A library of nothing but sizes, and what arrived in it."""

    def __init__(self, budget_bytes: int) -> None:
        self.source = Models(SIZES, lambda: Tied())  # type: ignore[arg-type, return-value]
        self.library: Library = self.source.library(budget_bytes)
        self.arrivals: queue.Queue[Arrival] = queue.Queue()
        self.library.start(self.arrivals.put)

    def next(self) -> Arrival:
        return self.arrivals.get(timeout=TIMEOUT_S)

    def has(self, *models: str) -> bool:
        return all(self.library.find(model) for model in models)


class Tied:
    """Stands for a runner; like a model with hooks it is tied to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def tight() -> Iterator[Shelf]:
    """Room for two small models, or for the large one."""
    shelf = Shelf(5)
    yield shelf
    shelf.library.close()


def test_m13_a_model_that_is_asked_for_is_lent_to_all_who_waited(tight: Shelf) -> None:
    assert tight.library.borrow("other", ANN) is None
    tight.library.ask("other", ANN)

    arrival = tight.next()

    assert (arrival.model, arrival.jobs) == ("other", (ANN,))
    assert arrival.loaded is tight.library.borrow("other", BOB)
    assert tight.has("small", "other")


def test_m13_the_least_recently_borrowed_goes_and_its_memory_is_free(tight: Shelf) -> None:
    tight.library.ask("other")
    tight.next()
    for model, job in (("other", ANN), ("small", BOB)):
        tight.library.borrow(model, job)
        tight.library.give_back(job)
    found = tight.library.find("other")
    assert found is not None
    gone = weakref.ref(found.runner)
    del found
    tight.source.sizes = {**SIZES, "large": 3}

    tight.library.ask("large")
    tight.next()

    assert tight.has("small", "large")
    assert tight.library.find("other") is None
    assert gone() is None


def test_m13_a_model_in_use_goes_only_when_its_last_job_is_over(tight: Shelf) -> None:
    tight.library.borrow("small", ANN)
    asked = threading.Event()
    size_of = tight.source.num_bytes

    def num_bytes(model: str) -> int:
        asked.set()
        return size_of(model)

    tight.source.num_bytes = num_bytes  # type: ignore[method-assign]
    tight.library.ask("large", BOB)
    assert asked.wait(TIMEOUT_S)
    assert tight.arrivals.empty()

    tight.library.give_back(ANN)

    assert tight.next().jobs == (BOB,)
    assert tight.library.find("small") is None
    assert tight.source.loads == ["small", "large"]


def test_m13_models_that_do_not_fit_side_by_side_take_turns(tight: Shelf) -> None:
    """Whoever comes while a model is about to go waits for its next turn, with the others."""
    tight.library.borrow("small", ANN)
    tight.library.ask("large", BOB)
    while tight.library.borrow("small", CARL) is not None:
        tight.library.give_back(CARL)
    tight.library.ask("small", CARL)
    tight.library.give_back(ANN)

    assert tight.next().model == "large"
    assert tight.arrivals.empty()
    tight.library.give_back(BOB)

    arrival = tight.next()
    assert (arrival.model, arrival.jobs) == ("small", (CARL,))


def test_m13_one_model_is_kept_however_large_it_is() -> None:
    shelf = Shelf(1)

    shelf.library.ask("large")

    assert shelf.next().loaded is not None
    assert shelf.has("large")
    assert not shelf.has("small")
    shelf.library.close()


def test_m13_a_model_that_took_more_than_its_files_said_makes_others_go(tight: Shelf) -> None:
    tight.source.num_bytes = lambda model: 0  # type: ignore[method-assign]

    tight.library.ask("large")
    tight.next()

    assert tight.has("large")
    assert not tight.has("small")


def test_m12_a_model_that_cannot_be_loaded_says_why_and_the_next_one_can(tight: Shelf) -> None:
    tight.source.faults = {"other": ModelError("other has no weights: get them")}
    tight.library.ask("other", ANN)

    arrival = tight.next()

    assert arrival.loaded is None
    assert isinstance(arrival.error, ModelError)
    assert arrival.jobs == (ANN,)
    tight.library.ask("large", BOB)
    assert tight.next().loaded is not None


@pytest.mark.parametrize("model", ["../../etc/passwd", "nothing", "Small"])
def test_m12_only_keys_of_the_registry_are_models(tight: Shelf, model: str) -> None:
    with pytest.raises(ValueError, match="expected one of the models large, other, small"):
        tight.library.id_of(model)


def test_m12_no_name_is_the_default_model(tight: Shelf) -> None:
    assert tight.library.id_of("") == "small"


def test_a_library_that_is_closed_waits_for_nobody(tight: Shelf) -> None:
    tight.library.borrow("small", ANN)
    tight.library.ask("large", BOB)
    thread: Any = tight.library._thread

    tight.library.close()

    thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    assert tight.source.loads == ["small"]
