"""The Python client of a room: for bots, tests and load. The browser's has more.

`new_room(url)` gives the id of a room, which whoever joins it first makes. `async with
RoomClient(url, room) as client` joins; `submit` sends an op and waits until it is on the server's
disk. A lost connection is taken up again with `connect`: it resumes, and what was not acknowledged
is sent again under the same ids, so that nothing happens twice. While the server can't save
anything (`disk`), requests wait here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from typing import TYPE_CHECKING, Self

from server.core import codec
from server.core.errors import Refusal
from server.core.ids import new_id
from server.core.messages import (
    PROTOCOL_VERSION,
    Accept,
    Ack,
    Applied,
    Cancel,
    ClientMessage,
    Discard,
    Disk,
    DiskState,
    Engine,
    Generate,
    Hello,
    History,
    Ink,
    Invited,
    Joined,
    JoinReady,
    Left,
    Look,
    Moderate,
    Op,
    Person,
    Presence,
    Preview,
    Profile,
    Redo,
    Refused,
    Resume,
    ServerMessage,
    Snapshot,
    Undo,
    Vote,
    Welcome,
)
from server.core.records import PEOPLE, Change, Edit, Record
from server.core.replica import Replica
from server.dialing import Disconnected, as_disconnected, dial, new_room, ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.asyncio.client import ClientConnection

    from server.core.deeds import Deed, MakeInvite

__all__ = ["Disconnected", "Request", "RoomClient", "new_room"]

Request = Op | Undo | Redo | Accept | Discard | Moderate | Vote


class RoomClient:
    """One person's copy of a room, and what they ask of it.

    `url` is the server's, `http://…`. `key` says who it is; `link` (what an invite's address has
    behind `#link=`) or `token` (signed by another login) lets them in.
    """

    def __init__(
        self,
        url: str,
        room: str,
        *,
        key: bytes | None = None,
        name: str = "",
        link: str = "",
        token: str = "",
        on_message: Callable[[ServerMessage], None] | None = None,
    ) -> None:
        self.server = url.rstrip("/")
        self.room = room
        self.link = link
        self.token = token
        self.key = key or secrets.token_bytes(16)
        self.name = name
        self.people: dict[str, Person] = {}
        self.previews: dict[tuple[str, int], Preview] = {}
        self.history = History(undo=0, redo=0)
        self.welcome: Welcome | None = None
        self.engine: Engine | None = None
        self.disk: DiskState = "ok"
        self.closed: Disconnected | None = None
        self.on_message = on_message
        self._replica = Replica()
        self._epoch = ""
        self._joining: Replica | None = None
        """A snapshot that isn't here as a whole."""
        self._pending: dict[str, Request] = {}
        self._unsent: deque[Request] = deque()
        self._answers: dict[str, asyncio.Future[int]] = {}
        self._links: dict[str, str] = {}
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self._sending = asyncio.Lock()

    @property
    def records(self) -> dict[str, Record]:
        return self._replica.records

    @property
    def canvas(self) -> dict[str, Record]:
        """The records that are about the canvas, not about people."""
        return {id: record for id, record in self.records.items() if not isinstance(record, PEOPLE)}

    @property
    def seq(self) -> int:
        return self._replica.seq

    @property
    def person(self) -> str:
        assert self.welcome is not None, "connect() first"
        return self.welcome.person

    @property
    def badge(self) -> str:
        """For `Authorization: Bearer` of requests over HTTP."""
        assert self.welcome is not None, "connect() first"
        return self.welcome.badge

    # --- connecting ---------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Join, or resume; returns when the room is here. Raises Disconnected, OSError."""
        await self.close()
        self.closed = None
        uri = f"{self.server.replace('http', 'ws', 1)}/ws/{self.room}"
        if self.link or self.token:
            uri += f"?ticket={await ticket(self.server, self.room, self.link, self.token)}"
        socket = await dial(uri)
        hello = Hello(protocol=PROTOCOL_VERSION, key=self.key, name=self.name, resume=self._resume)
        # New ops wait until those of before are sent again: they may build on them.
        async with self._sending:
            with as_disconnected():
                await socket.send(codec.encode(hello))
                while not isinstance(await self._receive(socket), JoinReady):
                    pass
            self._socket = socket
            self._unsent = deque(self._pending.values())
            await self._send_unsent()
        self._reader = asyncio.create_task(self._read(socket))

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader
        self._socket = self._reader = None

    @property
    def _resume(self) -> Resume | None:
        return Resume(self._epoch, self._replica.seq) if self._epoch else None

    # --- asking -------------------------------------------------------------------------------

    async def submit(self, *changes: Change, id: str | None = None) -> int:
        """Send an op; its number once it is on the server's disk. Raises Refusal, Disconnected."""
        return await self._ask(Op(id=id or new_id(), changes=list(changes)))

    async def edit(self, record: str, field: str, delta: Sequence[int | str]) -> int:
        return await self.submit(Edit(record, field, self._replica.seq, list(delta)))

    async def undo(self) -> int:
        return await self._ask(Undo(id=new_id()))

    async def redo(self) -> int:
        return await self._ask(Redo(id=new_id()))

    async def accept(self, candidate: str) -> str:
        """Put a candidate onto the canvas; the id of the new image."""
        image = new_id()
        await self._ask(Accept(id=new_id(), candidate=candidate, image=image))
        return image

    async def discard(self, candidate: str) -> int:
        return await self._ask(Discard(id=new_id(), candidate=candidate))

    async def decide(self, deed: Deed) -> int:
        """Do what only a host may; raises Refusal, Disconnected."""
        return await self._ask(Moderate(id=new_id(), deed=deed))

    async def invite(self, deed: MakeInvite) -> str:
        """Make a link; what stands behind `#link=` in its address."""
        id = new_id()
        await self._ask(Moderate(id=id, deed=deed))
        await self.until(lambda _: id in self._links)
        return self._links.pop(id)

    async def vote(self, dots: dict[str, int]) -> int:
        """Give these dots in the poll, instead of those given before; raises Refusal."""
        return await self._ask(Vote(id=new_id(), dots=dots))

    async def generate(self, frame: str) -> str:
        """Ask for pictures of a frame; the id of the job, which appears among the records."""
        job = new_id()
        await self.send(Generate(id=job, frame=frame))
        return job

    async def cancel(self, frame: str) -> None:
        await self.send(Cancel(frame=frame))

    async def send(self, message: Presence | Look | Ink | Profile | Generate | Cancel) -> None:
        """Send what isn't answered; raises Disconnected."""
        async with self._sending:
            await self._send_now(message)

    async def until(self, condition: Callable[[RoomClient], bool]) -> None:
        """Wait until something holds of this copy of the room; raises Disconnected."""
        async with self._changed:
            while not condition(self):
                if self.closed is not None:
                    raise self.closed
                await self._changed.wait()

    async def _ask(self, request: Request) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with self._sending:
            self._pending[request.id] = request
            self._answers[request.id] = answer
            self._unsent.append(request)
            # Without a connection it is sent on the next one.
            with contextlib.suppress(Disconnected):
                await self._send_unsent()
        return await answer

    async def _send_unsent(self) -> None:
        """Send what waits, in order, unless the server couldn't save it."""
        while self._unsent and self.disk == "ok":
            await self._send_now(self._unsent[0])
            self._unsent.popleft()

    async def _send_now(self, message: ClientMessage) -> None:
        if self._socket is None:
            raise self.closed or Disconnected(1006, "not connected")
        with as_disconnected():
            await self._socket.send(codec.encode(message))

    # --- hearing ------------------------------------------------------------------------------

    async def _read(self, socket: ClientConnection) -> None:
        try:
            with as_disconnected():
                while True:
                    message = await self._receive(socket)
                    if isinstance(message, Disk):
                        async with self._sending:
                            await self._send_unsent()
        except Disconnected as closed:
            self.closed = closed
        async with self._changed:
            self._changed.notify_all()

    async def _receive(self, socket: ClientConnection) -> ServerMessage:
        message = codec.decode_server(await socket.recv(decode=False))
        self._hear(message)
        if self.on_message is not None:
            self.on_message(message)
        async with self._changed:
            self._changed.notify_all()
        return message

    def _hear(self, message: ServerMessage) -> None:
        match message:
            case Welcome():
                self._welcomed(message)
            case Snapshot():
                self._current.fill(message)
            case JoinReady():
                self._joined()
            case Applied():
                self._current.apply(message)
                self._answer(message.id, message.seq)
            case Ack():
                self._acknowledged(message)
            case Refused():
                self._refused(message)
            case History():
                self.history = message
            case Invited():
                self._links[message.id] = message.link
            case _:
                self._look(message)

    def _look(self, message: ServerMessage) -> None:
        """What others do, and what is being made."""
        match message:
            case Joined(person=person):
                self.people[person.session] = person
            case Left(session=session):
                self.people.pop(session, None)
            case Preview():
                self.previews[message.frame, message.index] = message
            case Engine():
                self.engine = message
            case Disk(state=state):
                self.disk = state

    def _welcomed(self, welcome: Welcome) -> None:
        self._joining = None
        if welcome.mode == "snapshot":
            self._joining = Replica()
            self._joining.reset(welcome.seq)
        self.welcome = welcome
        self.engine = welcome.engine
        self.disk = "ok"
        self.people = {person.session: person for person in welcome.people}

    @property
    def _current(self) -> Replica:
        return self._joining or self._replica

    def _joined(self) -> None:
        """All of it is here: where the line breaks before, one stands where one stood."""
        assert self.welcome is not None
        if self._epoch not in ("", self.welcome.epoch):
            self._refuse_edits()
        self._epoch = self.welcome.epoch
        self._replica, self._joining = self._current, None

    def _refuse_edits(self) -> None:
        """Edits of texts under way count from a log that is no more: they would land elsewhere."""
        reason = "the server has gone back to another copy of the room: look at it and type again"
        for request in list(self._pending.values()):
            if isinstance(request, Op) and any(isinstance(c, Edit) for c in request.changes):
                self._refused(Refused(id=request.id, code="stale_text", reason=reason))

    def _acknowledged(self, ack: Ack) -> None:
        request = self._pending.get(ack.id)
        if isinstance(request, Op):
            self._current.acknowledge(ack, request, self.person)
        self._answer(ack.id, ack.seq)

    def _answer(self, id: str, seq: int) -> None:
        self._pending.pop(id, None)
        answer = self._answers.pop(id, None)
        if answer is not None and not answer.done():
            answer.set_result(seq)

    def _refused(self, refused: Refused) -> None:
        self._pending.pop(refused.id, None)
        answer = self._answers.pop(refused.id, None)
        if answer is not None and not answer.done():
            answer.set_exception(Refusal(refused.code, refused.reason))
