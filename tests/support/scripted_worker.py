"""A GPU worker with faults on demand: plays one line of a script in each of its lives.

`python -m tests.support.scripted_worker LIVES STEP...`: LIVES is a folder that counts the
starts; each STEP is what one life does, the last one is repeated. A step is comma-separated:

  ready        say Ready            loading      say Loading
  serve        answer each job with Started, Preview and Done; Cancel ends a job that is held
  hold         like serve, but a job whose prompt is "hold" waits to be cancelled
  die          take one job, start it, and die       exit     exit at once with status 3
  garbage      write bytes that are no frame         fatal    say Fatal and exit
  deaf         read nothing and wait for the end     mute     say nothing and wait for the end
  stubborn     ignore Shutdown and the end of input
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import msgspec

from gpu import api

MODEL = api.ModelInfo(
    name="scripted", native_px=256, multiple_px=8, min_px=64, max_px=512, device="cpu", dtype="none"
)


def say(event: api.Event) -> None:
    sys.stdout.buffer.write(api.encode(event))
    sys.stdout.buffer.flush()


def commands() -> api.Command | None:
    body = api.read_frame(sys.stdin.buffer)
    return None if body is None else api.decode_command(body)


def wait_for_ever() -> None:
    while True:
        signal.pause()


def serve(*, hold: bool) -> None:
    while command := commands():
        if isinstance(command, api.Shutdown):
            return
        if isinstance(command, api.Load):
            say(look_up(command.model))
            continue
        if isinstance(command, api.Cancel):
            say(api.Cancelled(command.job, "asked"))
            continue
        job = command.job
        say(api.Started(job.id))
        if not (hold and job.prompt == "hold"):
            box = (0, 0, job.width, job.height)
            say(api.Preview(job=job.id, step=1, steps=job.steps, box=box, jpeg=b"jpeg"))
            say(api.Done(job=job.id, png=b"png", seconds=0.1))


def look_up(model: str) -> api.Event:
    """Each model is there but one."""
    if model == "broken":
        return api.NotLoaded(model, "it has no weights: get them")
    return api.Loaded(msgspec.structs.replace(MODEL, id=model, name=model))


def die() -> None:
    command = commands()
    if isinstance(command, api.Submit):
        say(api.Started(command.job.id))
        print("out of memory, or so", file=sys.stderr, flush=True)
        signal.raise_signal(signal.SIGKILL)


def act(verb: str) -> None:
    match verb:
        case "ready":
            say(api.Ready(MODEL))
        case "loading":
            say(api.Loading("reading the weights"))
        case "serve" | "hold":
            serve(hold=verb == "hold")
        case "die":
            die()
        case "exit":
            raise SystemExit(3)
        case "garbage":
            sys.stdout.buffer.write(b"\x00\x00\x00\x03abc")
            sys.stdout.buffer.flush()
            wait_for_ever()
        case "fatal":
            say(api.Fatal("expected a model, got a teapot: pass --model"))
            raise SystemExit(1)
        case "deaf" | "mute" | "stubborn":
            wait_for_ever()
        case _:
            raise ValueError(verb)


def main() -> None:
    lives, *script = sys.argv[1:]
    count = len(list(Path(lives).iterdir()))
    (Path(lives) / f"{count}").touch()
    for verb in script[min(count, len(script) - 1)].split(","):
        act(verb)


if __name__ == "__main__":
    main()
