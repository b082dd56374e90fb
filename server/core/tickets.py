"""Tickets: what a link or a token is exchanged for, to be shown once when the socket opens. Pure.

A socket's address ends up in logs, so what it carries must be worth nothing afterwards.
"""

from __future__ import annotations

import msgspec

from server.core import ids
from server.core.access import Grant

MAX_TICKETS = 10_000


class _Ticket(msgspec.Struct, frozen=True):
    room: str
    grant: Grant
    until: float


class Tickets:
    """Those that were issued and neither used nor expired; the oldest make room for new ones."""

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._tickets: dict[str, _Ticket] = {}

    def issue(self, room: str, grant: Grant, now: float) -> str:
        secret = ids.new_secret()
        self._tickets[ids.digest(secret)] = _Ticket(room, grant, now + self._lasts_s)
        if len(self._tickets) > MAX_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        return secret

    def redeem(self, room: str, secret: str, now: float) -> Grant | None:
        """What the ticket is good for in this room; it is used up, whatever comes of it."""
        ticket = self._tickets.pop(ids.digest(secret), None)
        if ticket is None or ticket.room != room or now >= ticket.until:
            return None
        return ticket.grant
