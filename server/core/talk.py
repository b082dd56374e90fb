"""What people say in a room, the chat and the comments: who may say it, and where it is found.

It is stamped with its author's name and its time, isn't taken back by undo, and only its author
or a host deletes it; so it is with named versions. Pure.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from server.core import undo
from server.core.errors import Refusal
from server.core.records import (
    STAMPED,
    TALK,
    Change,
    Chat,
    Comment,
    Delete,
    Patch,
    Put,
    Record,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Author(msgspec.Struct, frozen=True):
    """Who says something, as the server knows it."""

    person: str
    name: str
    is_host: bool
    at_ms: int


class Talk:
    """Which records are talk, so that a long line or a thread is found without a search."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._answers: dict[str, dict[str, None]] = {}

    def answers(self, thread: str) -> list[str]:
        """The ids of the answers in a thread, oldest first."""
        return list(self._answers.get(thread, ()))

    def oldest_lines(self, beyond: int) -> list[str]:
        """The ids of the oldest lines of the chat, without which `beyond` are left."""
        return list(islice(self._lines, max(0, len(self._lines) - beyond)))

    def replace(self, before: Record | None, after: Record | None) -> None:
        """A record became another, came (`before` is None) or went (`after` is None)."""
        if before is not None and after is None:
            self._remove(before)
        elif after is not None:
            self.add(after)

    def add(self, record: Record) -> None:
        if isinstance(record, Chat):
            self._lines[record.id] = None
        elif isinstance(record, Comment) and record.thread is not None:
            self._answers.setdefault(record.thread, {})[record.id] = None

    def _remove(self, record: Record) -> None:
        if isinstance(record, Chat):
            self._lines.pop(record.id, None)
        elif isinstance(record, Comment) and record.thread is not None:
            answers = self._answers[record.thread]
            del answers[record.id]
            if not answers:
                del self._answers[record.thread]


def is_talk(changes: Iterable[Change], records: Mapping[str, Record]) -> bool:
    """Whether an op is nothing but talk: viewers may be allowed that."""
    return all(
        isinstance(c.record if isinstance(c, Put) else records.get(c.id), TALK) for c in changes
    )


def stamped(change: Change, author: Author, seq: int) -> Change:
    """The change, part of op number `seq`, with what the server alone says of its record."""
    if not isinstance(change, Put) or not isinstance(change.record, STAMPED):
        return change
    by_server = {"seq": seq} if isinstance(change.record, Version) else {"name": author.name}
    return Put(msgspec.structs.replace(change.record, at_ms=author.at_ms, **by_server))


def check_may(change: Change, record: Record | None, author: Author) -> None:
    """Refuse to change what was said, and to delete what another has said."""
    if not isinstance(record, STAMPED):
        return
    if isinstance(change, Patch) and not change.fields.keys() <= _open_fields(record):
        raise Refusal("read_only", "what was said stays as it is: delete it, or say something new")
    if isinstance(change, Delete) and record.by != author.person and not author.is_host:
        raise Refusal("not_yours", "only its author or a host may delete what was said")


def _open_fields(record: Chat | Comment | Version) -> set[str]:
    """Which fields may be changed."""
    match record:
        case Version():
            return {"name"}
        case Comment(thread=None):
            return {"resolved"}
        case _:
            return set()


def undoable(moves: Iterable[undo.Move], find: Callable[[str], Record | None]) -> list[undo.Move]:
    """What undo takes back: not what was said in between. `find` has the records after it."""

    def record_of(move: undo.Move) -> Record | None:
        return move.record if isinstance(move, undo.Deleted) else find(move.id)

    return [move for move in moves if not isinstance(record_of(move), STAMPED)]
