"""The GPU worker's process: `python -m gpu.worker --model FOLDER_OR_FILE`.

Reads commands from its standard input and writes events to its standard output, in the frames
of gpu.api. It ends when its input does: a worker never outlives its server. Whatever a library
prints goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from gpu.api import (
    Cancel,
    Fatal,
    FrameError,
    Load,
    Loading,
    Ready,
    Shutdown,
    Submit,
    decode_command,
    read_frame,
)
from gpu.outbox import Outbox

if TYPE_CHECKING:
    from types import FrameType

    from gpu.engine import Engine
    from gpu.models.registry import Registry

EMBEDDED = Path(__file__).parent / "models" / "embedded"
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# OpenMP threads that spin while they wait take the cores from whoever they wait for: with two
# cores and anything else running, one forward then takes seconds instead of 30 ms.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
_FLUSH_TIMEOUT_S = 2.0


class _Stopped(BaseException):
    """A signal asked the process to end."""


def main(arguments: list[str] | None = None) -> NoReturn:
    options = _parse(arguments)
    os.environ.update(_OFFLINE)
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    commands, events = _take_pipes()
    outbox = Outbox(events, broken=lambda: os._exit(1))
    code = 0
    try:
        _serve(options, commands, outbox)
    except _Stopped:
        pass
    except Exception as error:
        traceback.print_exc()
        outbox.put(Fatal(_fatal_reason(error)))
        code = 1
    outbox.close(_FLUSH_TIMEOUT_S)
    sys.stderr.flush()
    # Threads may be deep in a native call, and nothing is left to lose.
    os._exit(code)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.worker", description="Atelier's GPU worker.")
    parser.add_argument("--model", help="diffusers folder, .safetensors file, or a registry's id")
    parser.add_argument("--models", type=Path, help="registry of models, a TOML file")
    parser.add_argument(
        "--model-memory-gb", type=float, default=0, help="for loaded models; 0: as much as is wise"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("auto", "bf16", "fp16", "fp32"), default="auto")
    parser.add_argument("--max-batch", type=int, default=16, help="most rows in one forward")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: as many as CPUs")
    parser.add_argument("--attention", choices=("sdpa", "xformers"), default="sdpa")
    parser.add_argument("--weights", choices=("full", "int8", "int4"), default="full")
    parser.add_argument("--compile", action="store_true", help="compile the denoiser first")
    parser.add_argument(
        "--low-vram", action="store_true", help="keep text encoder and autoencoder in main memory"
    )
    return parser.parse_args(arguments)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for ourselves: what libraries print must not end up between frames."""
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb")
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)
    os.dup2(2, 1)
    return commands, events


def _serve(options: argparse.Namespace, commands: BinaryIO, outbox: Outbox) -> None:
    engine = _load(options, outbox)
    engine.start()
    try:
        _obey(commands, engine)
    finally:
        engine.close()


def _load(options: argparse.Namespace, outbox: Outbox) -> Engine:
    begun = time.perf_counter()

    def log(detail: str) -> None:
        print(f"{time.perf_counter() - begun:6.2f} s  {detail}", file=sys.stderr, flush=True)

    def report(detail: str) -> None:
        log(detail)
        outbox.put(Loading(detail))

    report("importing torch")
    import torch

    from gpu.device import choose_device, choose_dtype, model_memory_bytes, num_cpus, num_finishing
    from gpu.models.family import LoadOptions

    registry = _registry(options)
    torch.set_num_threads(options.threads or num_cpus())
    device = choose_device(options.device)
    wanted = LoadOptions(
        path=registry.paths[registry.default],
        parts=registry.parts.get(registry.default),
        device=device,
        dtype=choose_dtype(options.dtype, device),
        attention=options.attention,
        low_vram=options.low_vram,
        weights=options.weights,
        compiles=options.compile,
    )
    from gpu.engine import Engine
    from gpu.library import Library
    from gpu.loader import Loader
    from gpu.sched.cost import CostModel

    loader = Loader(registry, wanted, options.max_batch, report, options.threads == 0)
    budget_bytes = int(options.model_memory_gb * 1e9) or model_memory_bytes(device)
    default = loader.load(registry.default)
    costs = CostModel(options.max_batch)
    for timing in default.timings:
        costs.calibrate(timing.shape, timing.rows, timing.seconds)
    library = Library(loader, default, budget_bytes)
    engine = Engine(
        library,
        costs,
        outbox.put,
        crashed=lambda trace: _crash(trace, outbox),
        num_finishing=num_finishing(device),
    )
    # What is said from here on is of other models, and only the log's business.
    loader.report = log
    report("ready")
    outbox.put(Ready(default.info, registry.listings))
    return engine


def _registry(options: argparse.Namespace) -> Registry:
    from gpu.models.registry import only, read_registry

    if options.models is not None:
        return read_registry(options.models, EMBEDDED, options.model)
    return only(Path(options.model) if options.model else EMBEDDED, EMBEDDED)


def _obey(commands: BinaryIO, engine: Engine) -> None:
    """Pass commands on until the server says stop or is gone."""
    while (body := read_frame(commands)) is not None:
        match decode_command(body):
            case Submit(job=job):
                engine.submit(job)
            case Cancel(job=job_id):
                engine.cancel(job_id)
            case Load(model=model):
                engine.load(model)
            case Shutdown():
                return


def _crash(trace: str, outbox: Outbox) -> None:
    print(trace, file=sys.stderr, flush=True)
    outbox.put(Fatal(f"the worker crashed: {trace.strip().splitlines()[-1]}"))
    outbox.close(_FLUSH_TIMEOUT_S)
    os._exit(1)


def _fatal_reason(error: Exception) -> str:
    if isinstance(error, FrameError):
        return f"the server sent something that is no command: {error}"
    return str(error) or type(error).__name__


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    main()
