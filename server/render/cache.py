"""A cache that forgets what was used longest ago once it holds too many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLru(Generic[K, V]):
    """Safe to share between threads. A value larger than the whole cache is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        return self._bytes

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._held.get(key)
            if entry is None:
                return None
            self._held.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V, size_bytes: int) -> None:
        with self._lock:
            self._forget(key)
            if size_bytes > self._max_bytes:
                return
            self._held[key] = (value, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self._max_bytes:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed

    def drop(self, key: K) -> None:
        with self._lock:
            self._forget(key)

    def __iter__(self) -> Iterator[K]:
        with self._lock:
            return iter(list(self._held))

    def _forget(self, key: K) -> None:
        _, freed = self._held.pop(key, (None, 0))
        self._bytes -= freed
