"""What a room and a connection may use. Numbers only: no clock, no I/O."""

from __future__ import annotations

import msgspec


class RoomLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one room may hold. Nothing here ever stops a deletion."""

    max_records: int = 50_000
    max_bytes: int = 64 * 1024 * 1024
    """Of records, counted roughly: geometry and text as they are, 256 bytes for the rest."""
    frame_area_px: int = 2048 * 2048
    op_ids: int = 20_000
    """How many op ids are remembered, so that an op that comes again isn't applied again."""
    text_edits: int = 4_000
    """How many edits of texts are kept for edits made on an older text."""
    text_edit_parts: int = 400_000
    """Of all kept edits together: their counts and their inserted characters."""
    undo_steps: int = 200
    """Of one person."""
    undo_people: int = 256
    undo_bytes: int = 16 * 1024 * 1024
    """Of all steps in a room together; the oldest are forgotten first."""


class Rate(msgspec.Struct, frozen=True):
    """So many a second, and so many at once after a pause."""

    per_s: float
    burst: float


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How fast one connection may send; the bursts are those of a hand coming back online."""

    messages: Rate = Rate(2_000, 20_000)
    """Of any kind: beyond it the connection is closed."""
    ops: Rate = Rate(200, 4_000)
    ink: Rate = Rate(300, 600)
    presence: Rate = Rate(120, 240)
    generate: Rate = Rate(10, 60)


class TokenBucket:
    """Says yes `rate.burst` times at once and `rate.per_s` times a second in the long run."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token if there is one; `now` is in seconds and never goes back."""
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._rate.burst, self._tokens + elapsed * self._rate.per_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
