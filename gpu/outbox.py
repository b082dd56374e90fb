"""Events on their way out of the worker: one thread writes them to the pipe, in order.

A server that reads slowly costs previews and nothing else: the newest preview of a job
replaces one that was not written yet, and a job's end drops it. Everything else is kept; it is
bounded by the number of open jobs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from gpu.api import Cancelled, Done, Event, Failed, Preview, encode

if TYPE_CHECKING:
    from collections.abc import Callable


class Outbox:
    def __init__(self, stream: BinaryIO, broken: Callable[[], None]) -> None:
        """`broken` is called once, from the writing thread, when the reader has gone."""
        self._stream = stream
        self._broken = broken
        self._events: dict[object, Event] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue an event; may be called from any thread, and never waits for the reader."""
        with self._changed:
            if isinstance(event, Preview):
                self._events[event.job] = event
            else:
                if isinstance(event, Done | Cancelled | Failed):
                    self._events.pop(event.job, None)
                self._events[object()] = event
            self._changed.notify()

    def close(self, timeout_s: float) -> None:
        """Write what is queued, as far as the reader takes it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (event := self._next()) is not None:
            try:
                self._stream.write(encode(event))
                self._stream.flush()
            except (OSError, ValueError):
                self._broken()
                return

    def _next(self) -> Event | None:
        with self._changed:
            while not self._events and not self._closing:
                self._changed.wait()
            key = next(iter(self._events), None)
            return None if key is None else self._events.pop(key)
