"""What a room's log consists of."""

from __future__ import annotations

from typing import Literal

import msgspec

from server.core.records import Change

EntryKind = Literal["op", "undo", "redo", "made", "sweep"]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One op as the journal keeps it: the changes that had an effect, and how they came."""

    seq: int
    id: str
    by: str
    kind: EntryKind
    at_ms: int
    changes: list[Change]
