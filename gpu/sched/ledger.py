"""Who was served how much: the one idea behind every turn that is taken here.

The least-served goes first (start-time fair queueing, Goyal et al. 1996: deficit round-robin
with a quantum of one step). A newcomer joins level with the least-served of those present: it
may not claim the past, and its own past is not forgiven while others are still behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Ledger(Generic[K]):
    def __init__(self) -> None:
        self._served: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._served)

    def served(self, key: K) -> float:
        return self._served.get(key, 0.0)

    def join(self, key: K, present: Collection[K]) -> None:
        """Bring a newcomer level with the least-served of `present` (F3)."""
        floor = min((self.served(other) for other in present), default=0.0)
        self._served[key] = max(self.served(key), floor)

    def charge(self, key: K, amount: float) -> None:
        self._served[key] = self.served(key) + amount

    def forget(self, present: Collection[K]) -> None:
        """Drop the absent whom joining again would put where they stand: memory stays bounded."""
        if not present:
            self._served.clear()
            return
        floor = min(self.served(key) for key in present)
        self._served = {k: v for k, v in self._served.items() if k in present or v > floor}
