"""The bounded cache behind the renderer."""

from __future__ import annotations

from server.render.cache import ByteLru


def test_v12_what_was_used_longest_ago_is_forgotten_first() -> None:
    cache: ByteLru[str, int] = ByteLru(10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 4)
    assert cache.get("a") == 1
    cache.put("c", 3, 4)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]
    assert cache.held_bytes == 8


def test_v12_what_is_too_large_is_not_kept_and_nothing_is_lost_for_it() -> None:
    cache: ByteLru[str, int] = ByteLru(10)
    cache.put("a", 1, 4)
    cache.put("huge", 2, 11)
    assert (cache.get("a"), cache.get("huge")) == (1, None)


def test_replacing_and_dropping_free_what_was_held() -> None:
    cache: ByteLru[str, int] = ByteLru(10)
    cache.put("a", 1, 4)
    cache.put("a", 2, 6)
    assert (cache.get("a"), cache.held_bytes) == (2, 6)
    cache.drop("a")
    cache.drop("a")
    assert (list(cache), cache.held_bytes) == ([], 0)
