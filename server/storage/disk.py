"""What an error of the database says about the disk. Knows nothing of rooms."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.core.messages import DiskState


def state_after(error: Exception) -> DiskState | None:
    """How the disk is, going by a write that failed with `error`; None: it's not the disk's fault.

    A constraint that doesn't hold, say, is the fault of what was written.
    """
    cause = getattr(error, "orig", None) or error
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return "full"
    # The driver raises these two themselves for the disk and what lies on it; the classes
    # below DatabaseError are for what was asked.
    is_of_the_disk = type(cause) in (sqlite3.OperationalError, sqlite3.DatabaseError)
    return "failing" if is_of_the_disk or isinstance(cause, OSError) else None
