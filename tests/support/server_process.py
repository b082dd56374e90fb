"""A real Atelier server as a child process, for tests that kill it and start it again."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
READY = "Atelier is ready at "


class ServerProcess:
    """`python -m server` on a free loopback port; `start` returns when a page can be opened."""

    def __init__(self, data: Path, *arguments: str, deadline_s: float = 60.0) -> None:
        self.data = data
        self.url = ""
        self.log = data / "server.log"
        self._arguments = arguments
        self._deadline_s = deadline_s
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "start() first"
        return self._process.pid

    def start(self) -> Self:
        """Start it, the second time on the port of the first."""
        self.data.mkdir(parents=True, exist_ok=True)
        address = ["--host", "127.0.0.1", "--port", str(self._port), "--data", str(self.data)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server", *address, *self._arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.url = self._ready_line().removeprefix(READY).strip().rstrip("/")
        self._port = int(self.url.rsplit(":", 1)[1])
        return self

    def break_disk(self) -> None:
        """From now on each write of this server fails (EFBIG), as if the disk were broken."""
        self._limit_files(1)

    def mend_disk(self) -> None:
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, most_bytes: int) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as a person or a service manager would; the exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        self._process = None
        process.send_signal(sign)
        status = process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()
        return status

    def _ready_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        end = time.monotonic() + self._deadline_s
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            readable, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            piece = os.read(self._process.stdout.fileno(), 4096) if readable else b""
            if not piece:
                self._end(signal.SIGKILL)
                raise RuntimeError(
                    f"the server didn't become ready:\n{self.log.read_text()[-4000:]}"
                )
            line += piece
        text = line.decode().splitlines()[0]
        assert text.startswith(READY), text
        return text

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)
