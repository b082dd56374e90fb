"""One room's journal in memory, and people with copies of the room on lines of their own.

For tests that move each message, commit and failure by hand. Nothing here waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from server.client import Request, RoomClient
from server.core import polls, snapshots
from server.core.access import STRANGER
from server.core.ids import Epoch, PersonId, RoomId
from server.core.limits import RoomLimits
from server.core.messages import Ack, Applied, Generate, JoinReady, Resume
from server.core.room import Room, RoomState
from server.storage.base import Opened

if TYPE_CHECKING:
    from server.core.entries import Entry
    from server.core.messages import DiskState, ServerMessage
    from server.core.records import Record
    from server.core.replica import Replica
    from server.seats import Seat
    from tests.support.kept_sender import KeptSender

ROOM = RoomId("r" * 22)
LIMITS = RoomLimits(undo_steps=6, text_edits=8)
KEPT = 3


class Journal:
    """One room's journal: what is durable, and what has still to be written."""

    def __init__(self) -> None:
        self.epoch = Epoch("e1")
        self.history: list[Entry] = []
        """All that ever was durable."""
        self.moments: list[dict[str, Record]] = [{}]
        """The records after each of them, by a replay that goes along."""
        self._replay = Room(ROOM, self.epoch, LIMITS)
        self.entries: list[Entry] = []
        self._parts: list[bytes] = []
        self._waiting: deque[Entry | RoomState] = deque()

    @property
    def seq(self) -> int:
        return len(self.history)

    def shown(self, seq: int, person: PersonId) -> dict[str, Record]:
        """What somebody may have seen after entry `seq`: all but others' ballots."""
        return {record.id: record for record in polls.shown(self.moments[seq], person)}

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def open(self) -> Opened:
        """As after a start of the server: what wasn't written is gone."""
        self._waiting.clear()
        return Opened(self, self.epoch, self.state(), list(self.entries))

    def state(self) -> RoomState | None:
        return snapshots.decode_parts(self._parts) if self._parts else None

    def append(self, entry: Entry) -> None:
        self._waiting.append(entry)

    def snapshot(self, state: RoomState) -> None:
        self._waiting.append(state)

    def close(self) -> None:
        pass

    def commit(self, num: int) -> int:
        """Write some of what waits; the last entry that is durable."""
        for _ in range(min(num, len(self._waiting))):
            written = self._waiting.popleft()
            if isinstance(written, RoomState):
                self._parts = list(snapshots.encode_parts(written))
            else:
                self.entries.append(written)
                self.history.append(written)
                self._replay.replay(written)
                self.moments.append(dict(self._replay.records))
        return self.seq

    def compact(self) -> None:
        """Delete what the snapshot has, but for the last entries."""
        state = self.state()
        if state is not None:
            self.entries = [entry for entry in self.entries if entry.seq > state.seq - KEPT]


class Line:
    """What is on its way between a person and the room, over one connection."""

    def __init__(self, seat: Seat, sender: KeptSender) -> None:
        self.seat = seat
        self.sender = sender
        self.up: deque[Request | Generate] = deque()
        self.num_read = 0

    @property
    def has_news(self) -> bool:
        return self.num_read < len(self.sender.sent)

    def read(self) -> ServerMessage:
        self.num_read += 1
        return self.sender.sent[self.num_read - 1]


class Member:
    """A person with the copy of the room that the Python client keeps, on lines moved by hand."""

    def __init__(self, name: str) -> None:
        self.person = PersonId(name)
        self.grant = STRANGER
        self._client = RoomClient("", ROOM, name=name)
        self._unsent: deque[Request] = deque()
        self.asked: list[str] = []
        self.answered: list[Request] = []
        self.acknowledged: dict[str, int] = {}
        self.line: Line | None = None
        self.is_ready = False

    @property
    def replica(self) -> Replica:
        return self._client._replica

    @property
    def resume(self) -> Resume | None:
        return self._client._resume

    @property
    def disk(self) -> DiskState:
        return self._client.disk

    @property
    def pending(self) -> dict[str, Request]:
        """What was asked and not answered, oldest first."""
        return self._client._pending

    def forget_copy(self) -> None:
        """As a page that is opened anew, with the edits that were left."""
        left = self.pending
        self._client = RoomClient("", ROOM, name=self.person)
        self.pending.update(left)

    def connected(self, line: Line) -> None:
        self.line = line
        self.is_ready = False
        self._client.disk = "ok"

    def ask(self, request: Request) -> None:
        self.asked.append(request.id)
        self.pending[request.id] = request
        self._unsent.append(request)
        self._send_unsent()

    def hear(self, message: ServerMessage) -> None:
        if isinstance(message, Applied | Ack) and message.id in self.pending:
            self.answered.append(self.pending[message.id])
            self.acknowledged[message.id] = message.seq
        self._client._hear(message)
        if isinstance(message, JoinReady):
            self.is_ready = True
            self._unsent = deque(self.pending.values())
        self._send_unsent()

    def _send_unsent(self) -> None:
        """Never twice over one line: a second copy could be taken after the first was refused."""
        if self.line is not None and self.is_ready and self.disk == "ok":
            self.line.up.extend(self._unsent)
            self._unsent.clear()
