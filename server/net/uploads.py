"""What is on its way in over HTTP: few at a time, and given up where nothing comes any more.

A picture waits in memory and a room's file on the disk until it is whole, so what is begun and
never ended would take both from everybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request


class Uploads:
    """Those that are under way, counted by whose they are and from where."""

    def __init__(self, *, most_person: int, most_address: int, stall_s: float) -> None:
        self._most = {"person": most_person, "address": most_address}
        self._stall_s = stall_s
        self._num: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one(self, person: str, address: str) -> Iterator[bool]:
        """Count one while this lasts; False where there are too many already."""
        holders = [("person", person), ("address", address)]
        if any(self._num[holder] >= self._most[holder[0]] for holder in holders):
            yield False
            return
        self._num.update(holders)
        try:
            yield True
        finally:
            self._num.subtract(holders)
            # Else whoever was ever here would be remembered.
            self._num = +self._num

    def num_of(self, person: str) -> int:
        return self._num["person", person]

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """The body as it comes; it ends where the client is gone, or nothing comes in time."""
        stream = request.stream()
        while True:
            try:
                async with asyncio.timeout(self._stall_s):
                    piece = await anext(stream)
            except (StopAsyncIteration, ClientDisconnect, TimeoutError):
                return
            yield piece
