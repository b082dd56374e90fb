"""Whatever happens to a room, its people and its disk: all copies stay equal. Rules R1, R3, J1, S5.

A state machine over the server's own room (`HostedRoom`) with a journal in memory and people on
lines that hypothesis moves one message at a time. So messages of several people, commits, joins
and failures come in any order, and a line that a person has given up may still deliver.
`ATELIER_HISTORIES=1000` tries more of them.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, cast

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.core import snapshots
from server.core.access import STRANGER, Grant
from server.core.deeds import Deed, MakeInvite, Revoke, SetAccess, SetRole
from server.core.ids import Epoch, PersonId, RoomId
from server.core.limits import Buckets, FlowLimits, RoomLimits
from server.core.messages import (
    PROTOCOL_VERSION,
    Accept,
    Ack,
    Applied,
    Discard,
    Disk,
    Generate,
    Hello,
    JoinReady,
    Limits,
    Moderate,
    Op,
    Person,
    Redo,
    Refused,
    Resume,
    Snapshot,
    Undo,
    Welcome,
)
from server.core.records import Change, Edit, Invite
from server.core.replica import Replica
from server.core.room import Entry, Room, RoomState
from server.hosted import HostedRoom
from server.hub import rebuild
from server.seats import Seat
from server.settings import Settings
from server.storage.base import Opened
from tests.server.core.test_room import CHANGES, DELTAS, FRAMES
from tests.server.net.serving import FakeGeneration
from tests.support.kept_sender import KeptSender
from tests.support.sessions import new_meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.core.messages import DiskState, ServerMessage
    from server.core.records import Record
    from server.ports import BlobStore

ROOM = RoomId("r" * 22)
LIMITS = RoomLimits(undo_steps=6, text_edits=8)
NUM_HISTORIES = int(os.environ.get("ATELIER_HISTORIES", "40"))
KEPT = 6
SNAPSHOT_EVERY = 5
Request = Op | Undo | Redo | Accept | Discard | Moderate


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
    """A person's copy of the room, and what they have asked and not heard of."""

    def __init__(self, name: str) -> None:
        self.person = PersonId(name)
        self.grant = STRANGER
        self.replica = Replica()
        self.epoch = ""
        self._joining: tuple[Replica, str] | None = None
        self.disk: DiskState = "ok"
        self.pending: dict[str, Request] = {}
        self._unsent: deque[Request] = deque()
        self.asked: list[str] = []
        self.answered: list[Request] = []
        self.acknowledged: dict[str, int] = {}
        self.line: Line | None = None
        self.is_ready = False

    def connected(self, line: Line) -> None:
        self.line = line
        self.is_ready = False
        self.disk = "ok"

    def ask(self, request: Request) -> None:
        self.asked.append(request.id)
        self.pending[request.id] = request
        self._unsent.append(request)
        self._send_unsent()

    def hear(self, message: ServerMessage) -> None:
        match message:
            case Welcome(epoch=epoch, seq=seq):
                fresh = Replica()
                fresh.reset(seq)
                self._joining = (fresh if message.mode == "snapshot" else self.replica, epoch)
            case Snapshot():
                assert self._joining is not None
                self._joining[0].fill(message)
            case Applied():
                self.replica.apply(message)
                self._answered(message.id, message.seq)
            case Ack():
                request = self.pending.get(message.id)
                if isinstance(request, Op):
                    self.replica.acknowledge(message, request, self.person)
                self._answered(message.id, message.seq)
            case Refused():
                self.pending.pop(message.id, None)
            case Disk(state=state):
                self.disk = state
                self._send_unsent()
            case JoinReady():
                assert self._joining is not None
                self.replica, self.epoch = self._joining
                self.is_ready = True
                self._unsent = deque(self.pending.values())
                self._send_unsent()

    def _send_unsent(self) -> None:
        """Never twice over one line: a second copy could be taken after the first was refused."""
        if self.line is not None and self.is_ready and self.disk == "ok":
            self.line.up.extend(self._unsent)
            self._unsent.clear()

    def _answered(self, id: str, seq: int) -> None:
        if (request := self.pending.pop(id, None)) is not None:
            self.answered.append(request)
            self.acknowledged[id] = seq


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()
        self.members = {name: Member(name) for name in ("ann", "bob", "carl")}
        self.ghosts: list[Line] = []
        """Lines that a person has given up and the server hasn't."""
        self.generation = FakeGeneration(Settings(), cast("BlobStore", None))
        self.without_effect: set[str] = set()
        """What was refused or changed nothing, at least once."""
        self._num_ids = 0
        self._buckets = Buckets(FlowLimits())
        self._start("ok")

    def _start(self, disk: DiskState) -> None:
        opened = self.journal.open()
        self.room = rebuild(ROOM, opened, LIMITS)
        self.hosted = HostedRoom(
            self.room,
            opened,
            self.generation,
            Limits(message_bytes=1 << 20, blob_bytes=1 << 25, blob_px=1 << 26),
            lambda: 0,
            disk,
            keep_entries=KEPT,
            snapshot_every=SNAPSHOT_EVERY,
            later=lambda _, act: act(),
        )

    def _new_id(self) -> str:
        self._num_ids += 1
        return f"id-{self._num_ids:05}"

    # --- people -------------------------------------------------------------------------------

    @initialize()
    def ann_makes_a_room_that_carl_may_enter_by_a_link(self) -> None:
        ann = self.members["ann"]
        self._connect(ann)
        self._settle_line(ann)
        for deed in (SetRole(person="bob", role="editor"), SetAccess(open=False)):
            self._decide(deed)
        self.invite()
        for member in self.members.values():
            self._bring_back(member)

    def _decide(self, deed: Deed) -> None:
        self.members["ann"].ask(Moderate(id=self._new_id(), deed=deed))

    def _bring_back(self, member: Member) -> None:
        self._settle_line(member)
        if member.line is None:
            self._connect(member)
            self._settle_line(member)

    def _settle_line(self, member: Member) -> None:
        """Let everything of this person come through."""
        while True:
            self.commit(100)
            line = member.line
            if line is not None and line.sender.closed is not None and not line.has_news:
                self._lose(member)
            if line is None or not (line.up or line.has_news):
                return
            if line.up:
                self._take(line)
            else:
                self._hear(member)

    @rule(name=st.sampled_from(["ann", "bob", "carl"]))
    def come_back(self, name: str) -> None:
        member = self.members[name]
        if member.line is None:
            self._connect(member)

    def _connect(self, member: Member) -> None:
        standing = self.hosted.standing(member.person, member.grant)
        if standing is None:
            return
        id = self._new_id()
        sender = KeptSender()
        person = Person(session=id, person=member.person, name=member.person, color="#aa0000")
        meter = new_meter(self._buckets, ROOM, id)
        seat = Seat(person, sender, member.grant, standing, meter)
        resume = Resume(member.epoch, member.replica.seq) if member.epoch else None
        member.connected(Line(seat, sender))
        hello = Hello(protocol=PROTOCOL_VERSION, key=bytes(16), resume=resume)
        self.hosted.enter(seat, hello)

    @rule(name=st.sampled_from(["ann", "bob", "carl"]))
    def give_up_a_line(self, name: str) -> None:
        self._lose(self.members[name])

    def _lose(self, member: Member) -> None:
        line, member.line = member.line, None
        if line is not None and line.sender.closed is None:
            self.ghosts.append(line)
        elif line is not None:
            self.hosted.seats.leave(line.seat)

    @rule(data=st.data())
    @precondition(lambda self: self.ghosts)
    def hear_from_a_line_that_was_given_up(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from(self.ghosts))
        if line.up and line.sender.is_open:
            self._take(line)
        else:
            self.ghosts.remove(line)
            self.hosted.seats.leave(line.seat)

    @rule(name=st.sampled_from(["bob", "carl"]), changes=st.lists(CHANGES, min_size=1, max_size=3))
    def draw(self, name: str, changes: list[Change]) -> None:
        self.members[name].ask(Op(id=self._new_id(), changes=changes))

    @rule(name=st.sampled_from(["bob", "carl"]), frame=FRAMES, delta=DELTAS)
    def write(self, name: str, frame: str, delta: list[int | str]) -> None:
        member = self.members[name]
        edit = Edit(frame, "prompt", member.replica.seq, delta)
        member.ask(Op(id=self._new_id(), changes=[edit]))

    @rule(name=st.sampled_from(["bob", "carl"]), kind=st.sampled_from([Undo, Redo]))
    def take_back(self, name: str, kind: Callable[..., Undo | Redo]) -> None:
        self.members[name].ask(kind(id=self._new_id()))

    @rule(name=st.sampled_from(["bob", "carl"]), frame=FRAMES)
    def generate(self, name: str, frame: str) -> None:
        line = self.members[name].line
        if line is not None and self.members[name].disk == "ok":
            line.up.append(Generate(id=self._new_id(), frame=frame))

    @rule(name=st.sampled_from(["bob", "carl"]), is_kept=st.booleans())
    def choose(self, name: str, is_kept: bool) -> None:
        member = self.members[name]
        candidate = next((id for id in member.replica.records if id.endswith("-0")), "none-0")
        id = self._new_id()
        accept = Accept(id=id, candidate=candidate, image=f"image-{id}")
        member.ask(accept if is_kept else Discard(id=id, candidate=candidate))

    @rule(name=st.sampled_from(["bob", "carl"]), data=st.data())
    def send_again_what_was_answered(self, name: str, data: st.DataObject) -> None:
        member = self.members[name]
        taken = [request for request in member.answered if member.acknowledged[request.id]]
        if member.line is not None and member.disk == "ok" and taken:
            member.line.up.append(data.draw(st.sampled_from(taken)))

    @rule()
    def invite(self) -> None:
        self._decide(MakeInvite(role="editor"))
        ann = self.members["ann"]
        self._settle_line(ann)
        invites = [r.id for r in ann.replica.records.values() if isinstance(r, Invite)]
        if invites:
            self.members["carl"].grant = Grant(invite=invites[-1])

    @rule()
    def revoke(self) -> None:
        invite = self.members["carl"].grant.invite
        if invite is not None:
            self._decide(Revoke(invite=invite))

    # --- lines, disk and server -----------------------------------------------------------------

    @rule(name=st.sampled_from(["ann", "bob", "carl"]))
    def take(self, name: str) -> None:
        line = self.members[name].line
        if line is not None and line.up and line.sender.is_open:
            self._take(line)

    def _take(self, line: Line) -> None:
        request = line.up.popleft()
        self._serve(line, request)
        if not (self.hosted.is_read_only or self.room.has_taken(request.id)):
            self.without_effect.add(request.id)

    def _serve(self, line: Line, request: Request | Generate) -> None:
        if not line.sender.is_open or not self.hosted.seats.is_here(line.seat):
            return
        if isinstance(request, Moderate):
            self.hosted.decide(line.seat, request)
        elif isinstance(request, Generate):
            self.hosted.make(line.seat, request)
        else:
            self.hosted.ask(line.seat, request)

    @rule()
    def hurry(self) -> None:
        """Whatever is on its way up is taken, and whatever may be heard by now is heard."""
        for member in self.members.values():
            while member.line is not None and member.line.up:
                self._take(member.line)
        for member in self.members.values():
            while member.line is not None and member.line.has_news:
                self._hear(member)

    @rule(name=st.sampled_from(["ann", "bob", "carl"]), num=st.integers(1, 8))
    def hear(self, name: str, num: int) -> None:
        for _ in range(num):
            self._hear(self.members[name])

    def _hear(self, member: Member) -> None:
        line = member.line
        if line is None:
            return
        if line.has_news:
            member.hear(line.read())
        elif line.sender.closed is not None:
            self._lose(member)

    @rule(num=st.integers(1, 4))
    def commit(self, num: int) -> None:
        if not self.hosted.is_read_only:
            self.hosted.on_durable(self.journal.commit(num))

    @rule()
    def compact(self) -> None:
        self.journal.compact()

    @rule()
    def kill_and_start(self) -> None:
        for member in self.members.values():
            member.line = None
        self.ghosts.clear()
        self._start("ok")

    @rule()
    def unload_and_load(self) -> None:
        self.hosted.on_durable(self.journal.commit(self.journal.num_waiting))
        self.hosted.close()
        self.journal.commit(self.journal.num_waiting)
        self.kill_and_start()

    @rule()
    def fail_the_disk(self) -> None:
        self.hosted.tell_disk("full")
        self.hosted.on_failed()
        self.ghosts.clear()
        self._start("full")

    @rule()
    def fail_the_disk_under_another_room(self) -> None:
        self.hosted.tell_disk("full")

    @rule()
    @precondition(lambda self: self.hosted.is_read_only)
    def mend_the_disk(self) -> None:
        self.hosted.tell_disk("ok")

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def nobody_has_heard_what_isnt_durable(self) -> None:
        for member in self.members.values():
            assert member.replica.seq <= self.journal.seq
            for id, seq in member.acknowledged.items():
                assert seq <= self.journal.seq
                assert seq == 0 or self.journal.history[seq - 1].id == id

    @invariant()
    def nothing_happened_twice(self) -> None:
        ids = [entry.id for entry in self.journal.history]
        assert len(ids) == len(set(ids))
        assert [entry.seq for entry in self.journal.history] == list(range(1, len(ids) + 1))

    @invariant()
    def what_somebody_asked_for_came_in_that_order(self) -> None:
        ids = [e.id for e in self.journal.history if e.id not in self.without_effect]
        for member in self.members.values():
            mine = set(member.asked).intersection(ids)
            assert [id for id in ids if id in mine] == sorted(mine)

    @invariant()
    def each_copy_is_the_room_as_it_was_then(self) -> None:
        for member in self.members.values():
            if member.line is None or member.is_ready:
                assert member.replica.records == self.journal.moments[member.replica.seq]

    def teardown(self) -> None:
        """In the end everything comes through, and everything is equal."""
        if self.hosted.is_read_only:
            self.mend_the_disk()
        for line in self.ghosts:
            self.hosted.seats.leave(line.seat)
        self._bring_back(self.members["ann"])
        self.invite()
        for member in self.members.values():
            self._bring_back(member)
        for member in self.members.values():
            self._settle_line(member)
            assert member.pending == {}, "asked, and never answered"
            assert member.replica.records == self.hosted.records
            assert member.replica.seq == self.room.seq
        self.nobody_has_heard_what_isnt_durable()
        self.nothing_happened_twice()
        opened = Opened(self.journal, self.journal.epoch, None, self.journal.history)
        assert rebuild(ROOM, opened, LIMITS).state() == self.room.state()
        assert rebuild(ROOM, self.journal.open(), LIMITS).state() == self.room.state()


def test_r1_all_copies_the_room_and_a_replay_stay_equal_whatever_happens() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=NUM_HISTORIES,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
