"""The rooms that are loaded, and the way of a connection's messages into one of them.

A room is loaded once, however many people come at the same moment, and stays until it has been
idle for a while: nobody in it, nothing being made for it, everything on the disk (R20). A room
whose journal fails is dropped from memory and read again when somebody comes next (J3); while
the disk fails it is read-only (J8).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from server.copying import as_of, found, history
from server.core.access import STRANGER, Grant
from server.core.closings import FULL, NO_ROOM, NOT_SAVED, NOT_SAVED_REASON
from server.core.errors import StoreError
from server.core.ids import PersonId, RoomId, SessionId, is_proven, new_id, new_room_id
from server.core.limits import Buckets, FlowLimits, Meter, RoomLimits
from server.core.messages import Engine, Limits
from server.core.session import (
    Ask,
    Close,
    Decide,
    Drop,
    Effect,
    Enter,
    Make,
    Relay,
    Rename,
    Reply,
    Session,
)
from server.hosted import HostedRoom
from server.ledger import rebuild
from server.seats import Seat, packed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from server.core.messages import DiskState, Moment, Snapshot
    from server.core.records import Record
    from server.net.senders import Sender
    from server.ports import GenerationPort
    from server.settings import Settings
    from server.storage.base import Journal

SWEEP_S = 5.0
MIN_EACH = 4
"""Connections of one person in a room for few: a lost one is noticed after the next has come."""

logger = logging.getLogger(__name__)


class Connection:
    """One socket: its session, and its place in a room once it has said hello."""

    def __init__(
        self, session: Session, room: RoomId, sender: Sender, grant: Grant, meter: Meter
    ) -> None:
        self.session = session
        self.room = room
        self.sender = sender
        self.grant = grant
        self.meter = meter
        self.hosted: HostedRoom | None = None
        self.seat: Seat | None = None


class Hub:
    """All rooms of this server. Everything runs on one event loop."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        generation: GenerationPort,
        key: bytes,
        *,
        room_limits: RoomLimits | None = None,
        flow_limits: FlowLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`key` proves which room ids are this server's own."""
        self._settings = settings
        self._journal = journal
        self._generation = generation
        self._key = key
        self._room_limits = room_limits or settings.room_limits
        self.buckets = Buckets(flow_limits or settings.flow_limits)
        self.clock = clock
        self.clock_ms = now_ms
        self.sleep = sleep
        self._rooms: dict[RoomId, HostedRoom] = {}
        self._loading: dict[RoomId, asyncio.Task[HostedRoom]] = {}
        self._idle_since: dict[RoomId, float] = {}
        self._resting: set[RoomId] = set()
        """Loaded while nothing could be saved: nothing is made for them until that has passed."""
        journal.watch_disk(self.tell_disk)
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def room_limits(self) -> RoomLimits:
        return self._room_limits

    @property
    def rooms(self) -> list[HostedRoom]:
        """Those that are loaded."""
        return list(self._rooms.values())

    async def start(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep_forever())

    async def stop(self) -> None:
        """Unload every room; whoever opened the journal closes it, which writes what waits."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        self._rooms.clear()
        self._resting.clear()

    def tell_disk(self, state: DiskState) -> None:
        """The journal's disk has failed, or works again: everybody hears it."""
        for hosted in self.rooms:
            hosted.tell_disk(state)
        if state == "ok":
            resting, self._resting = self._resting, set()
            for id in resting:
                self._generation.opened(self._rooms[id])

    def tell_engine(self, engine: Engine) -> None:
        """The GPU worker's state has changed: everybody sees it."""
        for hosted in self._rooms.values():
            hosted.tell_engine(engine)

    def now(self) -> float:
        """Seconds, monotonic."""
        return self.clock()

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return self.clock_ms()

    def new_room_id(self) -> RoomId:
        """An id under which somebody may make a room."""
        return new_room_id(self._key)

    async def found(self, id: RoomId, records: Sequence[Record]) -> None:
        """Make a room, under a new id, that begins with these; raises Refusal and StoreError."""
        if self._journal.disk != "ok":
            raise StoreError(NOT_SAVED_REASON)
        await found(self._journal, id, records, self._room_limits, self.now_ms())

    async def as_of(self, room: RoomId, seq: int) -> list[Record]:
        """The records as a durable op left them; raises Refusal and StoreError."""
        return await as_of(self._journal, room, seq)

    def history(self, room: RoomId, last: int) -> AsyncIterator[Snapshot | Moment]:
        """All that can be gone back over, up to op number `last`; raises StoreError."""
        return history(self._journal, room, last)

    # --- who comes in --------------------------------------------------------------------------

    async def invited_by(self, room: RoomId, link: str) -> Grant | None:
        """What a link to this room is good for; None if it isn't, or there is no such room."""
        hosted = await self._find(room)
        return None if hosted is None else hosted.invited_by(link)

    async def keep_waiting(self, since: float) -> None:
        """Wait for as long as every refusal takes, whether or not there was a room to look into.

        A search that takes longer than that ends at the next multiple of it.
        """
        if (whole := self._settings.refusal_s) > 0:
            await self.sleep(whole - (self.clock() - since) % whole)

    def seat_of(self, room: RoomId, badge: str) -> tuple[HostedRoom, Seat] | None:
        """Whose badge this is, if they are in the room now."""
        hosted = self._rooms.get(room)
        seat = hosted.seats.with_badge(badge) if hosted is not None else None
        return None if hosted is None or seat is None else (hosted, seat)

    # --- connections ---------------------------------------------------------------------------

    def connect(
        self, room: RoomId, sender: Sender, grant: Grant = STRANGER, address: str = ""
    ) -> Connection:
        id = SessionId(new_id())
        meter = Meter(self.buckets, connection=id, room=room, address=address, now=self.clock())
        session = Session(id, room, meter, grant)
        connection = Connection(session, room, sender, grant, meter)
        loop = asyncio.get_running_loop()
        # Later, because whoever closes may be on the way through the members of a room.
        sender.on_close = partial(_soon, loop, self.disconnect, connection)
        return connection

    def relay(self, connection: Connection, data: bytes) -> bool:
        """Pass on a message at once that is only to be passed on; False: `receive` it."""
        effect = connection.session.relay(data, self.clock())
        if effect is None:
            return False
        if not isinstance(effect, Drop):
            self._act(connection, effect)
        return True

    async def receive(self, connection: Connection, data: bytes) -> None:
        """Act on one message. Waits only to load a room, or while the journal is overloaded."""
        if self.relay(connection, data):
            return
        await self._journal.has_space()
        for effect in connection.session.receive(data, self.clock()):
            if isinstance(effect, Enter):
                await self._enter(connection, effect)
            else:
                self._act(connection, effect)

    def disconnect(self, connection: Connection) -> None:
        connection.session.close()
        if connection.hosted is not None and connection.seat is not None:
            connection.hosted.seats.leave(connection.seat)

    def _act(self, connection: Connection, effect: Effect) -> None:
        if isinstance(effect, Close):
            connection.sender.close(effect.code, effect.reason)
            return
        hosted, seat = connection.hosted, connection.seat
        if hosted is None or seat is None:
            return
        match effect:
            case Relay():
                hosted.relay(seat, effect)
            case Ask(request):
                hosted.ask(seat, request)
            case Decide(request):
                hosted.decide(seat, request)
            case Make(request):
                hosted.make(seat, request)
            case Rename(person):
                hosted.rename(seat, person)
            case Reply(message):
                connection.sender.send(packed(message))

    async def _enter(self, connection: Connection, enter: Enter) -> None:
        begun = self.clock()
        try:
            hosted = await self._find(connection.room, may_make=True)
        except StoreError:
            logger.exception("room %s can't be loaded", connection.room)
            connection.sender.close(*NOT_SAVED)
            return
        person = PersonId(enter.person.person)
        standing = hosted.standing(person, connection.grant) if hosted is not None else None
        if hosted is None or standing is None:
            await self.keep_waiting(begun)
            connection.sender.close(*NO_ROOM)
        elif not standing.is_host and self._is_full(hosted, person):
            connection.sender.close(*FULL)
        elif connection.sender.is_open:
            seat = Seat(
                enter.person, connection.sender, connection.grant, standing, connection.meter
            )
            connection.hosted, connection.seat = hosted, seat
            hosted.enter(seat, enter.hello)

    def _is_full(self, hosted: HostedRoom, person: PersonId) -> bool:
        """For this person: one may have a third of what a room has, as with all else (L5)."""
        most = self._settings.max_people
        return len(hosted.seats) >= most or hosted.seats.num_of(person) >= max(MIN_EACH, most // 3)

    # --- loading and unloading ---------------------------------------------------------------

    async def _find(self, room: RoomId, *, may_make: bool = False) -> HostedRoom | None:
        """The room, loaded; None if there is none and it may not be made; raises StoreError."""
        may_be = room in self._rooms or (may_make and is_proven(room, self._key))
        if not may_be and not await self._journal.exists(room):
            return None
        hosted = await self._load(room)
        while self._rooms.get(room) is not hosted:
            # It failed or was unloaded before this task had its turn.
            hosted = await self._load(room)
        return hosted

    async def _load(self, room: RoomId) -> HostedRoom:
        """The room, loaded if need be, by one task for all who wait."""
        if (hosted := self._rooms.get(room)) is not None:
            return hosted
        if (task := self._loading.get(room)) is None:
            task = self._loading[room] = asyncio.create_task(self._read(room))
        # Someone who gives up waiting doesn't stop it for the others.
        return await asyncio.shield(task)

    async def _read(self, room: RoomId) -> HostedRoom:
        try:
            return await self._open(room)
        finally:
            # Not by a callback of the task: until that had its turn, who looks for a room that
            # was unloaded again would be given this one for ever.
            del self._loading[room]

    async def _open(self, room_id: RoomId) -> HostedRoom:
        heard = _Heard()
        opened = await self._journal.open(room_id, heard.on_durable, heard.on_failed)
        room = await asyncio.to_thread(rebuild, room_id, opened, self._room_limits)
        hosted = HostedRoom(
            room,
            opened,
            self._generation,
            self._limits(),
            self.now_ms,
            self._journal.disk,
            keep_entries=self._settings.keep_entries,
            snapshot_every=self._settings.snapshot_every,
        )
        heard.hosted = hosted
        heard.drop = self._drop
        self._rooms[room_id] = hosted
        if hosted.is_read_only:
            self._resting.add(room_id)
        else:
            self._generation.opened(hosted)
        return hosted

    def _drop(self, hosted: HostedRoom, reason: str) -> None:
        logger.error("room %s is dropped: it can't be written: %s", hosted.id, reason)
        # First: nothing that ends now may change it, or be said.
        hosted.on_failed()
        if self._rooms.get(hosted.id) is hosted:
            self._remove(hosted.id)

    def _remove(self, id: RoomId) -> None:
        del self._rooms[id]
        self._idle_since.pop(id, None)
        if id in self._resting:
            self._resting.remove(id)
        else:
            self._generation.closed(id)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Unload the rooms that have been idle for long enough; end what has expired."""
        now = self.clock()
        for id, hosted in list(self._rooms.items()):
            hosted.review()
            if not hosted.is_idle or self._generation.busy(id):
                self._idle_since.pop(id, None)
            elif now - self._idle_since.setdefault(id, now) >= self._settings.idle_s:
                self._remove(id)
                hosted.close()

    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            message_bytes=settings.max_message_bytes,
            blob_bytes=settings.max_blob_bytes,
            blob_px=settings.max_blob_px,
        )


def _soon(
    loop: asyncio.AbstractEventLoop, act: Callable[[Connection], None], on: Connection
) -> None:
    loop.call_soon(act, on)


class _Heard:
    """What the journal tells of a room that may still be on its way into memory."""

    def __init__(self) -> None:
        self.hosted: HostedRoom | None = None
        self.drop: Callable[[HostedRoom, str], None] | None = None

    def on_durable(self, seq: int) -> None:
        if self.hosted is not None:
            self.hosted.on_durable(seq)

    def on_failed(self, reason: str) -> None:
        if self.hosted is not None and self.drop is not None:
            self.drop(self.hosted, reason)
