"""The key of a data folder. Rule A1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.core.errors import StoreError
from server.storage.key import KEY_BYTES, load_key

if TYPE_CHECKING:
    from pathlib import Path


def test_a1_the_key_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "rooms.key"
    (tmp_path / "rooms.new").write_bytes(b"half of one")
    key = load_key(path)
    assert len(key) == KEY_BYTES
    assert load_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert load_key(tmp_path / "other.key") != key


def test_a1_a_key_that_is_damaged_or_cant_be_made_is_told_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "rooms.key"
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match=r"expected 32 bytes .* got 5: put back a copy"):
        load_key(path)
    with pytest.raises(StoreError, match="can't read the key"):
        load_key(tmp_path / "nowhere" / "rooms.key")
