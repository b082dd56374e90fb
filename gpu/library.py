"""The models that are loaded: borrowed by jobs, loaded when asked for, let go of by least use.

What doesn't fit within the budget goes, the least recently borrowed first, and not before its
last job has given it back. Meanwhile new jobs of what is to go wait with the others: so models
that don't fit side by side take turns, and each turn serves all who waited for it (M13). One
model is kept however large it is. Knows nothing of tensors, or of what jobs ask for.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gpu.api import JobId, ModelInfo, ModelListing
    from gpu.pacing import Timing
    from gpu.runner import Runner


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can take steps, what a forward of it took, and what its weights take."""

    runner: Runner
    info: ModelInfo
    timings: Sequence[Timing]
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came of loading a model: it, or why not; `jobs` had waited for it.

    With a model that came, each of the jobs has borrowed it.
    """

    model: str
    jobs: tuple[JobId, ...]
    loaded: Loaded | None = None
    error: Exception | None = None


class Source(Protocol):
    """Where models come from; blocking."""

    default: str
    listings: tuple[ModelListing, ...]

    def num_bytes(self, model: str) -> int:
        """About what the model's weights will take."""
        ...

    def load(self, model: str) -> Loaded:
        """Raises ModelError, or what torch raises without memory."""
        ...


class Library:
    """Safe to use from any thread; one of its own loads."""

    def __init__(self, source: Source, default: Loaded, budget_bytes: int) -> None:
        """`default` is the source's default model, loaded."""
        self._source = source
        self._budget_bytes = budget_bytes
        self.listings = source.listings
        self._ids = frozenset(listing.id for listing in source.listings)
        self._shelf = OrderedDict({source.default: default})
        self._borrowers: dict[str, set[JobId]] = {}
        self._asked: OrderedDict[str, list[JobId]] = OrderedDict()
        self._leaving: frozenset[str] = frozenset()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, arrived: Callable[[Arrival], None]) -> None:
        """From now on models are loaded; `arrived` hears of each, on another thread."""
        self._thread = threading.Thread(
            target=self._serve, args=(arrived,), name="library", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Load nothing more; what is being loaded is not waited for."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # --- borrowing -------------------------------------------------------------------------

    def id_of(self, model: str) -> str:
        """A model's id, "" being the default one's; raises ValueError for one that isn't there."""
        if model and model not in self._ids:
            raise ValueError(
                f"expected one of the models {', '.join(sorted(self._ids))}, got {model}: "
                "choose another in the frame's settings"
            )
        return model or self._source.default

    def find(self, model: str) -> Loaded | None:
        """A model that is loaded, for a look at it."""
        with self._changed:
            return self._shelf.get(model)

    def borrow(self, model: str, job: JobId) -> Loaded | None:
        """A model for a job, until it is given back; None: it has to be asked for."""
        with self._changed:
            if model in self._leaving or model not in self._shelf:
                return None
            return self._lend(model, job)

    def ask(self, model: str, job: JobId | None = None) -> None:
        """Have a model loaded, for a job that waits for it or for a look at it.

        What waits is bounded by the number of models and of open jobs.
        """
        with self._changed:
            waiting = self._asked.setdefault(model, [])
            waiting += [] if job is None else [job]
            self._changed.notify_all()

    def give_back(self, job: JobId) -> None:
        """The job is over; nothing happens if it has borrowed nothing."""
        with self._changed:
            for borrowers in self._borrowers.values():
                borrowers.discard(job)
            self._changed.notify_all()

    def _lend(self, model: str, job: JobId) -> Loaded:
        self._shelf.move_to_end(model)
        self._borrowers.setdefault(model, set()).add(job)
        return self._shelf[model]

    # --- loading ---------------------------------------------------------------------------

    def _serve(self, arrived: Callable[[Arrival], None]) -> None:
        while (model := self._next()) is not None:
            try:
                if self.find(model) is None:
                    self._load(model)
            except Exception as error:
                arrived(Arrival(model, self._waiting_for(model), error=error))
            else:
                if not self._closed:
                    arrived(self._hand_out(model))

    def _next(self) -> str | None:
        """The model asked for first; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._asked)
            return None if self._closed else next(iter(self._asked))

    def _load(self, model: str) -> None:
        more_bytes = self._source.num_bytes(model)
        with self._changed:
            self._leaving = frozenset(self._to_go(model, more_bytes))
            self._changed.wait_for(lambda: self._closed or not self._in_use(self._leaving))
            if self._closed:
                return
            self._drop(self._leaving)
            self._leaving = frozenset()
        loaded = self._source.load(model)
        with self._changed:
            self._shelf[model] = loaded
            # Files tell only about what a model takes.
            over = self._to_go(model, 0)
            self._drop([other for other in over if not self._in_use([other])])

    def _hand_out(self, model: str) -> Arrival:
        with self._changed:
            jobs = self._waiting_for(model)
            for job in jobs:
                self._lend(model, job)
            return Arrival(model, jobs, loaded=self._shelf[model])

    def _waiting_for(self, model: str) -> tuple[JobId, ...]:
        with self._changed:
            return tuple(self._asked.pop(model, ()))

    def _to_go(self, model: str, more_bytes: int) -> list[str]:
        """What has to go so that `model` fits, which takes `more_bytes` that it hasn't yet."""
        total = sum(loaded.num_bytes for loaded in self._shelf.values()) + more_bytes
        going = []
        for other, loaded in self._shelf.items():
            if total <= self._budget_bytes:
                break
            if other != model:
                going.append(other)
                total -= loaded.num_bytes
        return going

    def _in_use(self, models: Collection[str]) -> bool:
        return any(self._borrowers.get(model) for model in models)

    def _drop(self, models: Collection[str]) -> None:
        for model in models:
            self._shelf.pop(model)
        if models:
            # Hooks tie a model to itself: counting references alone doesn't free it.
            gc.collect()
