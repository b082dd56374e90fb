"""Errors by whose fault they are: the peer's message, the peer's request, or the store's."""

from __future__ import annotations


class Refusal(Exception):
    """A well-formed request that changes nothing; the connection lives on.

    `code` is a short name for programs, `reason` a sentence for people. PROTOCOL.md lists
    the codes.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class ProtocolError(Exception):
    """The peer broke the protocol: its connection is closed with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class StoreError(Exception):
    """The disk or the database failed: nothing more is promised until a room is loaded again."""
