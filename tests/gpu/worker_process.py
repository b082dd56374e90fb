"""A real worker process for tests, spoken to over its pipes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gpu.api import Command, Event, decode_event, encode, read_frame

ROOT = Path(__file__).parents[2]
EXIT_TIMEOUT_S = 30


class Worker:
    def __init__(self, model: Path | None = None, *flags: str) -> None:
        chosen = [] if model is None else ["--model", str(model)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpu.worker", *chosen, *flags, "--threads", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert self._process.stdin
        assert self._process.stdout
        self.stdin, self.stdout = self._process.stdin, self._process.stdout

    def send(self, *commands: Command) -> None:
        self.stdin.write(b"".join(map(encode, commands)))
        self.stdin.flush()

    def next(self) -> Event | None:
        body = read_frame(self.stdout)  # type: ignore[arg-type]
        return None if body is None else decode_event(body)

    def until(self, kind: type[Event]) -> Event:
        while not isinstance(event := self.next(), kind):
            assert event is not None, "the worker ended early"
        return event

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(EXIT_TIMEOUT_S)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self.stdout.close()
        # What was not flushed yet has nobody to go to.
        self.stdin.close()
