"""One GPU worker's process and its pipes: started, fed, listened to, and buried.

`run_worker` lives as long as the process and ends by saying what it died of. Which jobs there
are, and whether to start another one, is `client`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from gpu import api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

worker_logger = logging.getLogger("atelier.worker")

EMBEDDED = "embedded"
_READ_BYTES = 8192
_MAX_LOG_LINE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the client waits for the worker, in seconds, and how often it tries."""

    silence_while_loading_s: float = 600.0
    """Without a word of progress for so long, a starting worker counts as stuck."""
    unread_input_s: float = 60.0
    """A worker that doesn't take its input for so long counts as stuck."""
    shutdown_s: float = 5.0
    backoff_s: float = 0.5
    """Before the first restart in a row; doubled for each one after."""
    max_backoff_s: float = 30.0
    proven_after_s: float = 60.0
    """A worker that was ready for so long starts the count of restarts anew."""
    max_starts_in_vain: int = 3
    """So many deaths in a row before "ready", and the client gives up."""


def worker_command(model: str, flags: Sequence[str] = ()) -> list[str]:
    """How to start a worker: `model` is "embedded", a diffusers folder or a .safetensors file, or
    with a registry among the flags a key of it; "embedded" is then the registry's own default.

    `flags` are further options of `python -m gpu.worker`.
    """
    command = [sys.executable, "-m", "gpu.worker", *flags]
    return command if model == EMBEDDED else [*command, "--model", model]


class Death(Exception):
    """A worker is gone. `ready_at` is the loop time at which it became ready, if it did;
    `fatal` means that another one would fare no better."""

    def __init__(self, reason: str, *, fatal: bool = False, ready_at: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fatal = fatal
        self.ready_at = ready_at


async def spawn(command: Sequence[str]) -> asyncio.subprocess.Process:
    """Start a worker, in a session of its own. Raises Death if it can't be started."""
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise Death(f"the GPU worker can't be started: {error}") from error


async def run_worker(
    process: asyncio.subprocess.Process,
    patience: Patience,
    heard: Callable[[api.Event], None],
    next_command: Callable[[], Awaitable[bytes]],
) -> NoReturn:
    """Serve one worker until it is gone; always raises Death.

    `next_command` waits for a frame to send; `heard` takes each event but Fatal.
    """
    assert process.stderr
    life = _Life(process, patience, heard, next_command)
    writer = asyncio.create_task(life.write())
    log = asyncio.create_task(_forward_log(process.stderr))
    reader = asyncio.create_task(life.read())
    try:
        done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (reader, writer):
            task.cancel()
        await asyncio.gather(reader, writer, return_exceptions=True)
        await _bury(process, log)
    raise life.death(next((task.exception() for task in done), None), process.returncode)


async def close_worker(process: asyncio.subprocess.Process, patience: Patience) -> None:
    """Ask a worker to end, and see to it that it does."""
    assert process.stdin
    with contextlib.suppress(OSError, RuntimeError):
        process.stdin.write(api.encode(api.Shutdown()))
        process.stdin.close()
    try:
        async with asyncio.timeout(patience.shutdown_s):
            await process.wait()
    except TimeoutError:
        worker_logger.warning("it didn't end within %g s and is killed", patience.shutdown_s)
        kill(process)


class _Life:
    """The two pipes of one worker."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        patience: Patience,
        heard: Callable[[api.Event], None],
        next_command: Callable[[], Awaitable[bytes]],
    ) -> None:
        assert process.stdin
        assert process.stdout
        self._to_worker = process.stdin
        self._from_worker = process.stdout
        self._patience = patience
        self._heard = heard
        self._next_command = next_command
        self._ready_at: float | None = None
        self._fatal: str | None = None

    async def read(self) -> None:
        """Pass on events until the worker closes its output."""
        while True:
            silence_s = self._patience.silence_while_loading_s if self._ready_at is None else None
            try:
                async with asyncio.timeout(silence_s):
                    body = await self._read_frame()
            except TimeoutError:
                raise Death(f"the GPU worker said nothing for {silence_s:g} s") from None
            if body is None:
                return
            event = api.decode_event(body)
            if isinstance(event, api.Ready):
                self._ready_at = asyncio.get_running_loop().time()
            if isinstance(event, api.Fatal):
                self._fatal = event.reason
            else:
                self._heard(event)

    async def write(self) -> None:
        """Feed commands as fast as the worker takes them."""
        limit_s = self._patience.unread_input_s
        try:
            while True:
                self._to_worker.write(await self._next_command())
                # Not wait_for: before Python 3.12 it can swallow a cancellation.
                async with asyncio.timeout(limit_s):
                    await self._to_worker.drain()
        except TimeoutError:
            raise Death(f"the GPU worker took no input for {limit_s:g} s") from None
        except OSError:
            # Its last words are perhaps still to be read: leave the end to `read`, for a while.
            await asyncio.sleep(1)

    def death(self, cause: BaseException | None, returncode: int | None) -> Death:
        if self._fatal is not None:
            return Death(self._fatal, fatal=self._ready_at is None, ready_at=self._ready_at)
        if isinstance(cause, Death):
            reason = cause.reason
        elif isinstance(cause, api.FrameError):
            reason = f"the GPU worker sent something that is no message ({cause})"
        elif cause is not None:
            raise cause
        else:
            reason = f"the GPU worker stopped ({_exit(returncode)})"
        return Death(reason, ready_at=self._ready_at)

    async def _read_frame(self) -> bytes | None:
        try:
            header = await self._from_worker.readexactly(api.HEADER_BYTES)
            return await self._from_worker.readexactly(api.body_length(header))
        except asyncio.IncompleteReadError:
            return None


def _exit(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the worker and whatever it started: its session is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _bury(process: asyncio.subprocess.Process, log: asyncio.Task[None]) -> None:
    """Make sure that the process is gone, and that its last words are in the log."""
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await process.wait()
    if process.returncode is None:
        kill(process)
        await process.wait()
    process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await process.stdout.read()
    await asyncio.wait((log,), timeout=1)
    log.cancel()


async def _forward_log(stream: asyncio.StreamReader) -> None:
    """Log what the worker writes to its standard error, line by line."""
    line = b""
    while chunk := await stream.read(_READ_BYTES):
        *lines, line = (line + chunk).split(b"\n")
        if len(line) > _MAX_LOG_LINE:
            lines, line = [*lines, line], b""
        for text in lines:
            worker_logger.info("%s", text[:_MAX_LOG_LINE].decode(errors="replace").rstrip())
    if line:
        worker_logger.info("%s", line[:_MAX_LOG_LINE].decode(errors="replace").rstrip())
