"""Commands for one thread from all others, run in the order in which they came.

Knows nothing of what they do.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Inbox:
    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._commands: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self.closed = False

    def post(self, command: Callable[[], None]) -> None:
        """Queue a command; never waits."""
        with self._changed:
            self._commands.append(command)
            self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Wait until fewer commands than the bound are queued, or it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._commands) < self._bound or self.closed)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a command; false where none came in time, or no time is left."""
        if timeout_s is not None and timeout_s <= 0:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._commands) or self.closed, timeout_s)

    def run(self) -> None:
        """Run what is queued on this thread, until it is closed."""
        while self._commands and not self.closed:
            self._commands.popleft()()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing is run any more, and nobody waits."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
