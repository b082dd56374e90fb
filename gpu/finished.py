"""Finished pictures by what was asked for: the same request again costs nothing.

Knows nothing of models: a worker has one, and its pictures go with it.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import msgspec

from gpu.api import Job, JobId

MAX_BYTES = 64 * 1024 * 1024
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def fingerprint(job: Job, adapters: tuple[object, ...] = ()) -> bytes:
    """Of all that decides a job's pixels: everything but whose it is and when it is wanted.

    `adapters` tell what those that the job names hold now.
    """
    nobody = {"id": JobId(""), "room": "", "person": "", "slot": "", "live": False}
    content = _encoder.encode((msgspec.structs.replace(job, **nobody), adapters))
    return hashlib.blake2b(content, digest_size=16).digest()


class FinishedPictures:
    """PNGs by fingerprint, those used last, within a bound. Safe to share between threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            png = self._held.get(key)
            if png is not None:
                self._held.move_to_end(key)
            return png

    def put(self, key: bytes, png: bytes) -> None:
        with self._lock:
            self._num_bytes += len(png) - len(self._held.pop(key, b""))
            self._held[key] = png
            while self._num_bytes > self._max_bytes:
                _, oldest = self._held.popitem(last=False)
                self._num_bytes -= len(oldest)
