"""What a room and a connection may use. Numbers only: no clock, no I/O."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

MIN_TIDIED = 4_096


class RoomLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one room may hold. Nothing here ever stops a deletion."""

    max_records: int = 50_000
    max_bytes: int = 64 * 1024 * 1024
    """Of records, counted roughly: geometry and text as they are, 256 bytes for the rest."""
    frame_area_px: int = 2048 * 2048
    chat_lines: int = 2_000
    """The oldest make room for what is said beyond that."""
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
    """So many a second, and so many at once after a pause; written `per_s/burst`."""

    per_s: float
    burst: float

    def __str__(self) -> str:
        return f"{self.per_s:g}/{self.burst:g}"

    @classmethod
    def parse(cls, text: str) -> Rate:
        """The inverse of `str`; raises ValueError."""
        per_s, burst = map(float, text.split("/"))
        if not (0 < per_s < math.inf and 1 <= burst < math.inf):
            raise ValueError(f"expected a rate above 0 and a burst of 1 or more, got {text}")
        return cls(per_s, burst)


class Rates(msgspec.Struct, frozen=True):
    """Of one kind of work: for one connection, person, room and address."""

    connection: Rate
    person: Rate
    room: Rate
    address: Rate

    def __str__(self) -> str:
        return " ".join(map(str, msgspec.structs.astuple(self)))

    @classmethod
    def parse(cls, text: str) -> Rates:
        """`Rate`s in the order of the fields, with spaces between; raises ValueError."""
        rates = [Rate.parse(part) for part in text.split()]
        if len(rates) != len(cls.__struct_fields__):
            raise ValueError(
                f"expected a rate for each of connection, person, room and address, got {text}"
            )
        return cls(*rates)


Kind = Literal["ops", "ink", "cursors", "blobs", "pictures"]


class FlowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How fast people may send; the bursts are those of a hand coming back online.

    One person may have less than a room, so that nobody can use up what the others need.
    """

    messages: Rate = Rate(2_000, 20_000)
    """Of any kind, of one connection: beyond it, it is closed."""
    links: Rate = Rate(20, 600)
    """Links and tokens that one address tries."""
    ops: Rates = Rates(Rate(200, 4_000), Rate(300, 6_000), Rate(3_000, 60_000), Rate(1_500, 30_000))
    ink: Rates = Rates(Rate(300, 600), Rate(450, 900), Rate(9_000, 18_000), Rate(4_500, 9_000))
    cursors: Rates = Rates(Rate(120, 240), Rate(180, 360), Rate(9_000, 18_000), Rate(4_500, 9_000))
    blobs: Rates = Rates(Rate(2, 60), Rate(3, 90), Rate(15, 450), Rate(10, 300))
    pictures: Rates = Rates(Rate(10, 60), Rate(15, 90), Rate(50, 300), Rate(50, 300))


class TokenBucket:
    """Says yes `rate.burst` times at once and `rate.per_s` times a second in the long run."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._per_s = rate.per_s
        self._burst = self._tokens = rate.burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token if there is one; `now` is in seconds and never goes back."""
        if not self.has(now):
            return False
        self.spend()
        return True

    def has(self, now: float) -> bool:
        # Asked five times for each message that comes: as few calls as can be.
        if now > self._at:
            tokens = self._tokens + (now - self._at) * self._per_s
            self._tokens = tokens if tokens < self._burst else self._burst
            self._at = now
        return self._tokens >= 1

    def spend(self) -> None:
        self._tokens -= 1

    def is_full(self, now: float) -> bool:
        """A full one is as good as a new one."""
        return self.has(now) and self._tokens >= self._burst


class Buckets:
    """The buckets of all connections, people, rooms and addresses of one server.

    Those that have filled up again are forgotten, so that there are no more of them than have
    been used lately.
    """

    def __init__(self, limits: FlowLimits) -> None:
        self.limits = limits
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._tidy_at = MIN_TIDIED
        self.num_tidied = 0
        """How often buckets were forgotten: whoever holds one looks again after that."""

    @property
    def num_buckets(self) -> int:
        return len(self._buckets)

    def of(self, kind: str, whose: str, id: str, rate: Rate, now: float) -> TokenBucket:
        key = (kind, whose, id)
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._tidy_at:
                self._tidy(now)
            bucket = self._buckets[key] = TokenBucket(rate, now)
        return bucket

    def take_link(self, address: str, now: float) -> bool:
        """Whether this address may try another link or token."""
        return self.of("links", "address", address, self.limits.links, now).take(now)

    def _tidy(self, now: float) -> None:
        self._buckets = {k: b for k, b in self._buckets.items() if not b.is_full(now)}
        self._tidy_at = max(MIN_TIDIED, 2 * len(self._buckets))
        self.num_tidied += 1


class Meter:
    """What one connection uses up: its own, and what it shares with others."""

    def __init__(
        self, buckets: Buckets, *, connection: str, room: str, address: str, now: float
    ) -> None:
        self._buckets = buckets
        self._messages = TokenBucket(buckets.limits.messages, now)
        self._holders = {"connection": connection, "person": "", "room": room, "address": address}

        self._needed: dict[Kind, list[TokenBucket]] = {}
        self._num_tidied = 0

    def belongs_to(self, person: str) -> None:
        self._holders["person"] = person
        self._needed.clear()

    def take_message(self, now: float) -> bool:
        return self._messages.take(now)

    def take(self, kind: Kind, now: float) -> bool:
        """Take one from all four, or from none of them."""
        if self._num_tidied != self._buckets.num_tidied:
            self._needed.clear()
        needed = self._needed.get(kind) or self._find(kind, now)
        # Its own come first: whoever is over those leaves the shared ones alone.
        for bucket in needed:
            if not bucket.has(now):
                return False
        for bucket in needed:
            bucket.spend()
        return True

    def _find(self, kind: Kind, now: float) -> list[TokenBucket]:
        rates: Rates = getattr(self._buckets.limits, kind)
        self._num_tidied = -1
        while self._num_tidied != self._buckets.num_tidied:
            # Making one may have made the server forget another.
            self._num_tidied = self._buckets.num_tidied
            needed = [
                self._buckets.of(kind, whose, id, getattr(rates, whose), now)
                for whose, id in self._holders.items()
            ]
        self._needed[kind] = needed
        return needed
