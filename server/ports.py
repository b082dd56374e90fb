"""The seams inside the server: what generation needs of a room, and rooms of generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.core.ids import PersonId, RoomId
    from server.core.messages import Cancel, Engine, Generate, Preview
    from server.core.records import Change, Record


class RoomPort(Protocol):
    """A loaded room, as generation sees it."""

    @property
    def id(self) -> RoomId: ...

    @property
    def records(self) -> Mapping[str, Record]:
        """The live records by id, for the event loop only; don't keep it over an await."""
        ...

    def append(self, changes: Sequence[Change], by: PersonId) -> None:
        """Apply a server-made op: it is journaled and then sent to everybody as `applied`.

        Not on anybody's undo stack. Changes to deleted records are dropped.
        """
        ...

    def relay_preview(self, preview: Preview) -> None:
        """Send to everybody at once, conflated by (frame, index); never journaled."""
        ...


class GenerationPort(Protocol):
    """Makes pictures; the hub calls it on the event loop. No method blocks or awaits."""

    @property
    def engine(self) -> Engine:
        """The state of the worker as of now, for `welcome`."""
        ...

    def generate(self, room: RoomPort, by: PersonId, request: Generate) -> None:
        """Start making pictures. Raises `server.core.errors.Refusal` if it can't."""
        ...

    def cancel(self, room: RoomPort, by: PersonId, request: Cancel) -> None: ...

    def withdraw(self, room: RoomPort, person: PersonId | None) -> None:
        """Stop all that is being made for this person, or (None) for anybody: a host says so."""
        ...

    def changed(
        self,
        room: RoomPort,
        changes: Sequence[Change],
        before: Mapping[str, Record | None],
        by: PersonId,
    ) -> None:
        """An op was applied and is durable; `before` holds each touched record as it was."""
        ...

    def previews(self, room: RoomId) -> Sequence[Preview]:
        """The latest preview of each picture in the making, for somebody who joins now."""
        ...

    def opened(self, room: RoomPort) -> None:
        """A room was loaded from the journal: take up the jobs that it left unfinished."""
        ...

    def closed(self, room: RoomId) -> None:
        """A room was unloaded (nobody is in it and nothing is being made), or it has failed."""
        ...

    def busy(self, room: RoomId) -> bool:
        """Whether something is being made for this room, so that it must stay loaded."""
        ...


class BlobStore(Protocol):
    """Immutable bytes named by their SHA-256 (hex), kept per room. Calls run off the event loop."""

    async def put(self, room: RoomId, data: bytes) -> str:
        """Store durably and return the name; storing the same bytes twice is no error."""
        ...

    async def get(self, room: RoomId, name: str) -> bytes | None: ...
