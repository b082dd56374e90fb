"""A denoiser's forward: as it is, or compiled, and on CUDA replayed as a graph.

What is compiled is a copy of the module that shares its weights. Adapters hang hooks on the module
itself, which would be traced, and compiled anew whenever one comes; so forwards that have more to
do than plain ones go through the module as it is. On CUDA the repeated blocks are compiled, which
takes seconds where the whole would take minutes; on a CPU, whose models are small, the whole is.

Knows nothing of jobs, of rows, or of what the inputs mean.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gpu.models.family import Report

    Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
    """Records what a call does on the device; what comes back does it again."""
    Key = tuple[object, ...]

_BLOCKS = {"SD3Transformer2DModel": ["JointTransformerBlock"]}
"""Repeated blocks of classes that don't name their own."""
_BACKEND = "inductor"
EAGER_BEFORE_GRAPH = 2
"""Forwards of a shape before it is worth a graph; the first of them may compile."""
_MAX_GRAPHS = 64
_MAX_SEEN = 256
"""So many shapes that have no graph are remembered: people choose sizes and prompts freely."""
_FORWARDS_WITHOUT = 1000
"""Forwards of a shape before another try, where there was no memory for its graph."""
_MAX_VARIANTS = 128
"""Dynamo counts what it compiled of a class of blocks, of whatever width and model."""
_alone = threading.RLock()
"""Held while something is compiled or recorded. Both wait for the whole device, and CUDA lets
nobody do that while another thread records."""
_warming = 0


@contextmanager
def warming() -> Iterator[None]:
    """Within this, forwards may compile; at any other time a shape that nobody compiled for runs
    as it is, rather than holding up everybody's steps.

    Torch has one such switch for the process: while a model is warmed up, it is on for all. One
    thread at a time; others record no graphs meanwhile.
    """
    global _warming
    with _alone:
        _warming += 1
        torch.compiler.set_stance("default")
        try:
            yield
        finally:
            _warming -= 1
            if not _warming:
                torch.compiler.set_stance("eager_on_recompile")


class Denoiser:
    """Calls a denoiser with named inputs; each is a tensor, a dict of tensors, a list or None."""

    def __init__(self, module: Any, report: Report) -> None:
        self._module = module
        self._report = report
        self._compiled: Any = None
        self._graphs: Graphs | None = None

    def compile(self) -> None:
        """From now on plain forwards are compiled when they first run."""
        weights = (*self._module.parameters(), *self._module.buffers())
        shared = copy.deepcopy(self._module, {id(tensor): tensor for tensor in weights})
        on_cuda = any(weight.is_cuda for weight in weights)
        regions = _regions(shared) if on_cuda else [shared]
        torch._dynamo.config.recompile_limit = _MAX_VARIANTS
        for region in regions:
            region.compile(backend=_BACKEND, dynamic=True)
        self._compiled = shared
        if on_cuda:
            self._graphs = Graphs(shared, capture_on_cuda(), self._report)

    def record(self) -> None:
        """From now on plain forwards on CUDA are recorded as graphs, and not compiled."""
        self._compiled = self._module
        self._graphs = Graphs(self._module, capture_on_cuda(), self._report)

    def __call__(self, *, plain: bool, **inputs: Any) -> Tensor:
        """The module's first output. A forward that is not `plain` is never compiled."""
        if self._compiled is None or not plain:
            return first_output(self._module, inputs)
        try:
            if self._graphs is not None:
                return self._graphs(inputs)
            return first_output(self._compiled, inputs)
        except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
            self._compiled = self._graphs = None
            cause = getattr(error, "inner_exception", error)
            reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            self._report(f"the model can't be compiled here ({reason}); it runs as it is")
            return first_output(self._module, inputs)


def _regions(module: Any) -> list[Any]:
    """The blocks that a denoiser is made of mostly; itself if it has none."""
    names = _BLOCKS.get(type(module).__name__) or getattr(module, "_repeated_blocks", None) or ()
    return [part for part in module.modules() if type(part).__name__ in names] or [module]


def first_output(module: Any, inputs: Mapping[str, Any]) -> Tensor:
    output: Tensor = module(**inputs, return_dict=False)[0]
    return output


@dataclass(frozen=True, slots=True)
class _Graph:
    """A recorded forward: it reads `inputs` where they lie."""

    inputs: Mapping[str, Any]
    replay: Callable[[], Tensor]


class Graphs:
    """A module's forwards, recorded once a shape comes again, the least recently used forgotten,
    be it a graph or a shape that hasn't come often enough for one.

    What a graph holds is in one pool that all share: they run one after another, and what one made
    is copied before the next runs.
    """

    def __init__(self, module: Any, capture: Capture, report: Report) -> None:
        self._module = module
        self._capture = capture
        self._report = report
        self._seen: OrderedDict[Key, int] = OrderedDict()
        self._graphs: OrderedDict[Key, _Graph] = OrderedDict()
        self._works = True

    def __len__(self) -> int:
        return len(self._graphs)

    def __call__(self, inputs: Mapping[str, Any]) -> Tensor:
        key = _key(inputs)
        if key is None or not self._works:
            return first_output(self._module, inputs)
        graph = self._graphs.get(key)
        if graph is None and self._is_worthwhile(key):
            graph = self._record(key, inputs)
        if graph is None:
            return first_output(self._module, inputs)
        self._graphs.move_to_end(key)
        _copy(inputs, graph.inputs)
        # Made for the caller to keep: the next replay overwrites what the graph made.
        return graph.replay().clone()

    def _is_worthwhile(self, key: Key) -> bool:
        """Count a shape; whether it has come often enough for a graph."""
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
        return self._seen[key] > EAGER_BEFORE_GRAPH

    def _record(self, key: Key, inputs: Mapping[str, Any]) -> _Graph | None:
        if not _alone.acquire(blocking=False):
            return None
        try:
            still = {name: _cloned(value) for name, value in inputs.items()}
            replay = self._capture(lambda: first_output(self._module, still))
        except torch.OutOfMemoryError:
            # A graph keeps what it computes with to itself: without one, the forward may fit.
            self._seen[key] = -_FORWARDS_WITHOUT
            return None
        except RuntimeError as error:
            self._works = False
            self._report(f"CUDA graphs can't be used here ({str(error).splitlines()[0]})")
            return None
        finally:
            _alone.release()
        del self._seen[key]
        self._graphs[key] = _Graph(still, replay)
        while len(self._graphs) > _MAX_GRAPHS:
            self._graphs.popitem(last=False)
        return self._graphs[key]


def capture_on_cuda() -> Capture:
    """Records on a stream of its own, as CUDA wants it, into one pool."""
    pool = torch.cuda.graph_pool_handle()
    stream = torch.cuda.Stream()

    def capture(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        # A recording that fails doesn't leave its stream; this does.
        with torch.cuda.stream(stream):
            # What is allocated or tuned once has no place in a graph.
            run()
            try:
                # Other threads encode and decode meanwhile: only what this one does is recorded.
                with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                    output = run()
            except RuntimeError:
                _end_recording(pool)
                raise

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay

    return capture


def _end_recording(pool: Any) -> None:
    """Torch stops halfway where it ends a recording that CUDA calls invalid: its allocator would
    believe that one goes on, and keep all memory that two streams have used."""
    # It raises where nothing was left to end.
    with suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)


def _key(inputs: Mapping[str, Any]) -> Key | None:
    """What has to be the same for a graph to serve; None for inputs that no graph can have."""
    parts: list[object] = []
    for name, value in inputs.items():
        if isinstance(value, dict):
            parts.append((name, _key(value)))
        elif value is None:
            parts.append(name)
        elif isinstance(value, Tensor):
            parts.append((name, tuple(value.shape), value.dtype))
        else:
            return None
    return tuple(parts)


def _cloned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cloned(part) for name, part in value.items()}
    return value if value is None else value.clone()


def _copy(inputs: Mapping[str, Any], still: Mapping[str, Any]) -> None:
    for name, value in inputs.items():
        if isinstance(value, dict):
            _copy(value, still[name])
        elif value is not None:
            still[name].copy_(value)
