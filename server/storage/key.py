"""The key of a data folder: 32 random bytes that prove what its server made up."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from server.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32


def load_key(path: Path) -> bytes:
    """Read the key, making it if there is none; raises StoreError."""
    try:
        if not path.exists():
            _write(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(f"can't read the key {path} ({error.strerror})") from error
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"expected {KEY_BYTES} bytes in the key {path}, got {len(key)}: put back a copy, or "
            "delete it (rooms stay; addresses that nobody has opened yet don't)"
        )
    return key


def _write(path: Path, key: bytes) -> None:
    """All of it or nothing, and only for whom the server runs as."""
    young = path.with_suffix(".new")
    young.unlink(missing_ok=True)
    file = os.open(young, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, key)
        os.fsync(file)
    finally:
        os.close(file)
    young.replace(path)
