"""A disk that can be made to fail under a journal: each transaction that writes asks it first."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

if TYPE_CHECKING:
    from server.core.messages import DiskState
    from server.storage.journal import SqliteJournal

ERRORS: dict[DiskState, tuple[int, str]] = {
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "failing": (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
}


class FaultyDisk:
    """Works until `state` is set to something else than "ok". Reading always works."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.state: DiskState = "ok"
        self.num_refused = 0
        sa.event.listen(journal.engine, "begin", self._begin)
        sa.event.listen(journal.engine, "commit", self._commit)

    def _begin(self, connection: sa.Connection) -> None:
        connection.info["begun at"] = num_changes(connection)

    def _commit(self, connection: sa.Connection) -> None:
        if self.state == "ok" or num_changes(connection) == connection.info["begun at"]:
            return
        self.num_refused += 1
        code, text = ERRORS[self.state]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise sa.exc.OperationalError("COMMIT", {}, error)


def num_changes(connection: sa.Connection) -> int:
    raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return raw.total_changes
