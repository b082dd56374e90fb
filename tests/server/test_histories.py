"""Whatever happens to a room, its people and its disk: all copies stay equal. Rules R1, R3, J1, S5.

A state machine over the server's own room (`HostedRoom`) with a journal in memory and people on
lines that hypothesis moves one message at a time. So messages of several people, commits, joins
and failures come in any order, and a line that a person has given up may still deliver.
`ATELIER_HISTORIES=1000` tries more of them.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, cast

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.core import polls
from server.core.access import Grant
from server.core.deeds import (
    Ban,
    Clear,
    ClosePoll,
    Deed,
    Kick,
    MakeInvite,
    Mute,
    OpenPoll,
    Reveal,
    Revoke,
    SetAccess,
    SetLock,
    SetRole,
    StartTimer,
    StopTimer,
    TakeBack,
)
from server.core.errors import Refusal
from server.core.limits import Buckets, FlowLimits
from server.core.messages import (
    PROTOCOL_VERSION,
    Accept,
    Discard,
    Generate,
    Hello,
    Limits,
    Moderate,
    Op,
    Person,
    Redo,
    Undo,
    Vote,
)
from server.core.records import Candidate, Change, Chat, Comment, Edit, Frame, Invite, Note, Put
from server.hosted import HostedRoom
from server.ledger import rebuild
from server.seats import Seat
from server.settings import Settings
from server.storage.base import Opened
from tests.server.core.test_room import CHANGES, DELTAS, FRAMES, frame, stroke
from tests.server.net.serving import FakeGeneration
from tests.support.copies import KEPT, LIMITS, ROOM, Journal, Line, Member
from tests.support.kept_sender import KeptSender
from tests.support.sessions import new_meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.client import Request
    from server.core.ids import PersonId
    from server.core.messages import DiskState
    from server.ports import BlobStore, RoomPort

EDITORS = st.sampled_from(["bob", "carl"])
DEEDS: st.SearchStrategy[Deed] = st.one_of(
    st.sampled_from([
        Clear(), OpenPoll(over="notes", dots=2), Reveal(), ClosePoll(), StartTimer(seconds=60),
        StopTimer(), SetAccess(open=False, talk=True),
    ]),
    st.builds(lambda person: TakeBack(person=person), EDITORS),
    st.builds(lambda person: Kick(person=person), EDITORS),
    st.builds(lambda person, muted: Mute(person=person, muted=muted), EDITORS, st.booleans()),
    st.builds(lambda person, banned: Ban(person=person, banned=banned), EDITORS, st.booleans()),
    st.builds(lambda record, locked: SetLock(record=record, locked=locked), FRAMES, st.booleans()),
)  # fmt: skip
SAID: tuple[Chat | Comment | Note, ...] = (
    Chat(id="", text="Hm"),
    Comment(id="", text="Hm"),
    Note(id="", z="a0", x=0.0, y=0.0),
)
NUM_HISTORIES = int(os.environ.get("ATELIER_HISTORIES", "40"))
SNAPSHOT_EVERY = 5


class SlowGeneration(FakeGeneration):
    """Delivers when it is told to, whatever has become of the room meanwhile."""

    def __init__(self) -> None:
        super().__init__(Settings(), cast("BlobStore", None))
        self.waiting: deque[tuple[RoomPort, PersonId, Generate]] = deque()

    def generate(self, room: RoomPort, by: PersonId, request: Generate) -> None:
        if not isinstance(room.records.get(request.frame), Frame):
            raise Refusal("missing_frame", "there is no such frame")
        self.waiting.append((room, by, request))

    def deliver(self) -> None:
        room, by, request = self.waiting.popleft()
        # The frame may be gone: then so is what was to be made.
        with contextlib.suppress(Refusal):
            super().generate(room, by, request)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()
        self.members = {name: Member(name) for name in ("ann", "bob", "carl")}
        self.ghosts: list[Line] = []
        """Lines that a person has given up and the server hasn't."""
        self.generation = SlowGeneration()
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
        for name, put in (("bob", frame("f")), ("carl", frame("g")), ("carl", stroke("a"))):
            self._ask(name, Op(id=self._new_id(), changes=[put]), comes_through=True)

    def _ask(self, name: str, request: Request, comes_through: bool) -> None:
        """Often all that is on its way arrives next: else little would ever happen."""
        self.members[name].ask(request)
        if comes_through:
            self.hurry()
            self.commit(100)
            self.hurry()

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

    @rule(
        name=st.sampled_from(["ann", "bob", "carl"]),
        is_anew=st.booleans(),
        heard=st.integers(0, 6),
    )
    def come_back(self, name: str, is_anew: bool, heard: int) -> None:
        """And hear so much of the room before anything else happens."""
        member = self.members[name]
        if member.line is None:
            if is_anew:
                member.forget_copy()
            self._connect(member)
            self.hear(name, heard)

    def _connect(self, member: Member) -> None:
        standing = self.hosted.standing(member.person, member.grant)
        if standing is None:
            return
        id = self._new_id()
        sender = KeptSender()
        person = Person(session=id, person=member.person, name=member.person, color="#aa0000")
        meter = new_meter(self._buckets, ROOM, id)
        seat = Seat(person, sender, member.grant, standing, meter)
        member.connected(Line(seat, sender))
        hello = Hello(protocol=PROTOCOL_VERSION, key=bytes(16), resume=member.resume)
        self.hosted.enter(seat, hello)

    @rule(name=st.sampled_from(["ann", "bob", "carl"]), heard=st.integers(0, 6))
    def give_up_a_line(self, name: str, heard: int) -> None:
        """And perhaps the next one in the middle of what comes over it."""
        self._lose(self.members[name])
        if heard:
            self.come_back(name, False, heard)
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

    @rule(
        name=EDITORS, changes=st.lists(CHANGES, min_size=1, max_size=3), comes_through=st.booleans()
    )
    def draw(self, name: str, changes: list[Change], comes_through: bool) -> None:
        self._ask(name, Op(id=self._new_id(), changes=changes), comes_through)

    @rule(name=EDITORS, frame=FRAMES, delta=DELTAS, comes_through=st.booleans())
    def write(self, name: str, frame: str, delta: list[int | str], comes_through: bool) -> None:
        edit = Edit(frame, "prompt", self.members[name].replica.seq, delta)
        self._ask(name, Op(id=self._new_id(), changes=[edit]), comes_through)

    @rule(name=EDITORS, kind=st.sampled_from([Undo, Redo]), comes_through=st.booleans())
    def take_back(self, name: str, kind: Callable[..., Undo | Redo], comes_through: bool) -> None:
        self._ask(name, kind(id=self._new_id()), comes_through)

    @rule(name=EDITORS, what=st.sampled_from(SAID), comes_through=st.booleans())
    def say(self, name: str, what: Chat | Comment | Note, comes_through: bool) -> None:
        id = self._new_id()
        said = msgspec.structs.replace(what, id=f"said-{id}")
        self._ask(name, Op(id=id, changes=[Put(said)]), comes_through)

    @rule(name=st.sampled_from(["ann", "bob", "carl"]), num=st.integers(0, 2))
    @precondition(lambda self: polls.POLL_ID in self.hosted.records)
    def vote(self, name: str, num: int) -> None:
        member = self.members[name]
        notes = [id for id, record in member.replica.records.items() if isinstance(record, Note)]
        member.ask(Vote(id=self._new_id(), dots=dict.fromkeys(notes[:num], 1)))

    @rule(name=EDITORS, frame=FRAMES, at_once=st.booleans())
    def generate(self, name: str, frame: str, at_once: bool) -> None:
        line = self.members[name].line
        if line is not None and self.members[name].disk == "ok":
            line.up.append(Generate(id=self._new_id(), frame=frame))
            self.hurry()
            while at_once and self.generation.waiting:
                self.generation.deliver()

    @rule()
    @precondition(lambda self: self.generation.waiting)
    def deliver_a_picture(self) -> None:
        self.generation.deliver()

    @rule(name=EDITORS, is_kept=st.booleans(), comes_through=st.booleans())
    @precondition(lambda self: self._candidates())
    def choose(self, name: str, is_kept: bool, comes_through: bool) -> None:
        candidate = self._candidates()[-1]
        id = self._new_id()
        accept = Accept(id=id, candidate=candidate, image=f"image-{id}")
        discard = Discard(id=id, candidate=candidate)
        self._ask(name, accept if is_kept else discard, comes_through)

    def _candidates(self) -> list[str]:
        return [r.id for r in self.hosted.records.values() if isinstance(r, Candidate)]

    @rule(name=EDITORS, data=st.data())
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

    @rule(deed=DEEDS, comes_through=st.booleans())
    def decide(self, deed: Deed, comes_through: bool) -> None:
        self._ask("ann", Moderate(id=self._new_id(), deed=deed), comes_through)

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
        # What was being made is gone with the process.
        self.generation.waiting.clear()
        self._start("ok")

    @rule()
    @precondition(lambda self: not self.generation.waiting)
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
                seen = self.journal.shown(member.replica.seq, member.person)
                assert member.replica.records == seen

    def teardown(self) -> None:
        """In the end everything comes through, and everything is equal."""
        if self.hosted.is_read_only:
            self.mend_the_disk()
        for line in self.ghosts:
            self.hosted.seats.leave(line.seat)
        while self.generation.waiting:
            self.deliver_a_picture()
        self._bring_back(self.members["ann"])
        for name in ("bob", "carl"):
            self._decide(Ban(person=name, banned=False))
        self.invite()
        for member in self.members.values():
            self._bring_back(member)
        for member in self.members.values():
            self._settle_line(member)
            assert member.pending == {}, "asked, and never answered"
            shown = polls.shown(self.hosted.records, member.person)
            assert member.replica.records == {record.id: record for record in shown}
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
            stateful_step_count=80,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
