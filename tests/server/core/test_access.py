"""Who may do what, decided by the room alone. Rules A2, A5, A6, A7, A9, A13, T17."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from server.core import access, ids
from server.core.access import EDITOR, STRANGER, Grant, Standing
from server.core.deeds import (
    Ban,
    ChooseModel,
    Clear,
    Deed,
    Kick,
    MakeInvite,
    Mute,
    Revoke,
    SetAccess,
    SetLock,
    SetRole,
    StartTimer,
    StopTimer,
    TakeBack,
)
from server.core.errors import Refusal
from server.core.ids import Epoch, PersonId, RoomId
from server.core.limits import RoomLimits
from server.core.messages import Accept, Discard, Moderate, Op, Undo
from server.core.moderation import MAX_INVITES, TIMER_ID, Decider, founded
from server.core.records import (
    Access,
    Candidate,
    Change,
    Delete,
    Edit,
    Frame,
    Image,
    Invite,
    Layer,
    Mask,
    Member,
    Patch,
    Put,
    Stroke,
    Timer,
)
from server.core.room import Room, Settled, Taken

if TYPE_CHECKING:
    from server.core.entries import Entry

ROOM = RoomId("r" * 22)
ANN, BOB, CAT = PersonId("ann"), PersonId("bob"), PersonId("cat")
HOST, VIEWER = Standing("host"), Standing("viewer")
POINTS = bytes(13)
INVITE = ":invite:op-00000"


class Founded:
    """A room that Ann has made, with all its entries."""

    def __init__(self, limits: RoomLimits | None = None) -> None:
        self.room = Room(ROOM, Epoch("e1"), limits)
        self.entries: list[Entry] = []
        self._num_asked = 0
        self.append(ANN, *founded(ANN, "Ann", "host"))

    def append(self, by: PersonId, *changes: Change) -> None:
        """As the server does."""
        self._keep(self.room.append(changes, by, 0))

    def do(self, by: PersonId, *changes: Change, standing: Standing = EDITOR) -> Taken | Settled:
        op = Op(id=self._new_id(), changes=list(changes))
        return self._keep(self.room.request(op, by, 0, standing))

    def undo(self, by: PersonId, standing: Standing = EDITOR) -> Taken | Settled:
        return self._keep(self.room.request(Undo(id=self._new_id()), by, 0, standing))

    def decide(
        self,
        deed: Deed,
        by: PersonId = ANN,
        standing: Standing = HOST,
        now_ms: int = 0,
        *,
        is_passing: bool = False,
    ) -> Taken | Settled:
        host = Decider(
            person=by, now_ms=now_ms, digest=ids.digest("secret"), invite="op-00000", name="Bob",
            is_passing=is_passing,
        )  # fmt: skip
        request = Moderate(id=self._new_id(), deed=deed)
        return self._keep(self.room.moderate(request, host, standing))

    def standing(self, person: str, grant: Grant = STRANGER, now_ms: int = 0) -> Standing | None:
        return access.standing(self.room.records, person, grant, now_ms)

    def drawn(self) -> set[str]:
        return {id for id in self.room.records if not id.startswith(":")}

    def replayed(self) -> Room:
        again = Room(ROOM, Epoch("e1"), self.room.limits)
        for entry in self.entries:
            again.replay(entry)
        return again

    def _keep(self, outcome: Taken | Settled) -> Taken | Settled:
        if isinstance(outcome, Taken):
            self.entries.append(outcome.entry)
        return outcome

    def _new_id(self) -> str:
        self._num_asked += 1
        return f"op-{self._num_asked:05}"


def stroke(id: str, **fields: object) -> Put:
    blank = Stroke(id=id, z="a0", points=POINTS, size=4.0)
    return Put(msgspec.structs.replace(blank, **fields))


def frame(id: str = "frame") -> Put:
    return Put(Frame(id=id, z="a0", x=0.0, y=0.0, w=64.0, h=64.0))


def refused(code: str, *told: object) -> pytest.RaisesExc[Refusal]:
    return pytest.raises(Refusal, match=f"^{code}: ")


def test_a1_who_makes_a_room_is_its_host_and_others_are_editors() -> None:
    made = Founded()
    assert made.standing(ANN) == HOST
    assert made.standing(BOB) == EDITOR
    key, other = bytes(32), bytes(31) + b"\x01"
    room = ids.new_room_id(key)
    assert ids.is_room_id(room)
    assert ids.is_proven(room, key)
    assert not ids.is_proven(room, other)
    for forged in ("r" * 22, "r" * 43, f"{room[:-1]}{'A' if room[-1] != 'A' else 'B'}", f"{room}A"):
        assert not ids.is_proven(RoomId(forged), key), forged


def test_a2_a_ban_comes_first_then_ones_own_role_then_the_link_then_a_token() -> None:
    made = Founded()
    made.decide(SetAccess(open=False))
    made.decide(MakeInvite(role="viewer"))
    by_link, by_token = Grant(invite=INVITE), Grant(role="editor", login="bob@example")
    assert made.standing(BOB) is None
    assert made.standing(BOB, by_link) == VIEWER
    assert made.standing(BOB, by_token) == EDITOR
    made.decide(SetRole(person=BOB, role="editor"))
    assert made.standing(BOB) == made.standing(BOB, by_link) == EDITOR
    made.decide(SetRole(person=BOB, role=None))
    assert made.standing(BOB, by_link) == VIEWER
    made.decide(Ban(person=BOB, banned=True))
    assert made.standing(BOB, by_link) is made.standing(BOB, by_token) is None
    made.decide(Ban(person=BOB, banned=False))
    assert made.standing(BOB, by_link) == VIEWER


def test_a3_a_link_counts_until_it_expires_or_is_revoked() -> None:
    made = Founded()
    made.decide(MakeInvite(role="host", expires_ms=1_000), now_ms=1)
    records = made.room.records
    assert access.invited_by(records, "op-00000.secret", now_ms=999) == records[INVITE]
    for link in ("op-00000.", "op-00000.other", "op-00001.secret", ".", "", "op-00000"):
        assert access.invited_by(records, link, now_ms=1) is None, link
    assert made.standing(BOB, Grant(invite=INVITE), now_ms=999) == HOST
    assert access.invited_by(records, "op-00000.secret", now_ms=1_000) is None
    assert made.standing(BOB, Grant(invite=INVITE), now_ms=1_000) is None
    made.decide(Revoke(invite=INVITE))
    assert access.invited_by(records, "op-00000.secret", now_ms=1) is None
    assert made.standing(BOB, Grant(invite=INVITE), now_ms=1) is None
    with refused("missing"):
        made.decide(Revoke(invite=INVITE))
    with refused("bad_record"):
        made.decide(MakeInvite(role="editor", expires_ms=5), now_ms=5)


def test_a3_a_link_is_kept_as_a_digest_only() -> None:
    made = Founded()
    made.decide(MakeInvite(role="editor"))
    kept = msgspec.msgpack.encode([made.room.state(), made.entries])
    assert b"secret" not in kept
    assert ids.digest("secret").encode() in kept
    assert len({ids.new_secret() for _ in range(100)}) == 100
    assert ids.is_secret("secret", ids.digest("secret"))
    assert not ids.is_secret("other", ids.digest("secret"))


def test_a4_a_closed_room_lets_in_who_has_a_role_and_an_open_one_everybody() -> None:
    made = Founded()
    assert made.standing(BOB) == EDITOR
    made.decide(SetAccess(open=True, role="viewer"))
    assert made.standing(BOB) == VIEWER
    made.decide(SetAccess(open=False, role="viewer"))
    assert made.standing(BOB) is None
    assert made.standing(ANN) == HOST
    assert made.decide(SetAccess(open=False, role="viewer")) == Settled(0)


@pytest.mark.parametrize(
    ("standing", "code"), [(VIEWER, "viewer"), (Standing("editor", muted=True), "muted")]
)
def test_a5_who_may_only_watch_changes_nothing(standing: Standing, code: str) -> None:
    made = Founded()
    made.do(BOB, stroke("one"))
    with refused(code):
        made.do(BOB, Delete("one"), standing=standing)
    with refused(code):
        made.undo(BOB, standing)
    for request in (
        Accept(id="op-accept", candidate="c", image="i"), Discard(id="op-discard", candidate="c"),
    ):  # fmt: skip
        with refused(code):
            made.room.request(request, BOB, 0, standing)
    assert made.drawn() == {"one"}


def candidate() -> Candidate:
    return Candidate(
        id="cand", frame="frame", job="job", index=0, blob="0f" * 32, seed=1,
        x=0.0, y=0.0, w=64.0, h=64.0,
    )  # fmt: skip


def locked_room() -> Founded:
    made = Founded()
    made.do(BOB, frame(), Put(Layer(id="layer", z="a0")), stroke("free"))
    made.do(BOB, stroke("inside", layer="layer"))
    made.do(BOB, Put(Mask(id="mask", z="a0", frame="frame", points=POINTS, size=4.0)))
    made.append(BOB, Put(candidate()))
    for id in ("frame", "layer"):
        made.decide(SetLock(record=id, locked=True))
    return made


@pytest.mark.parametrize(
    "change",
    [
        Patch("frame", {"x": 1.0}),
        Delete("frame"),
        Edit("frame", "prompt", 1, ["x"]),
        Patch("mask", {"x": 1.0}),
        Delete("mask"),
        Put(Mask(id="new", z="a0", frame="frame", points=POINTS, size=4.0)),
        Patch("layer", {"opacity": 0.5}),
        Delete("layer"),
        Patch("inside", {"x": 1.0}),
        Patch("inside", {"layer": None}),
        Delete("inside"),
        Patch("free", {"layer": "layer"}),
        stroke("new", layer="layer"),
        Put(Image(id="new", z="a0", blob="0f" * 32, x=0.0, y=0.0, w=1.0, h=1.0, layer="layer")),
    ],
)
def test_a6_nothing_gets_into_or_out_of_what_is_locked(change: Change) -> None:
    made = locked_room()
    before = dict(made.room.records)
    with refused("locked"):
        made.do(BOB, Patch("free", {"x": 2.0}), change)
    assert made.room.records == before
    assert isinstance(made.do(ANN, change, standing=HOST), Taken)


def test_a6_undo_and_pictures_of_what_is_locked_are_refused_too() -> None:
    made = locked_room()
    for request in (
        Accept(id="op-accept", candidate="cand", image="i"),
        Discard(id="op-discard", candidate="cand"),
    ):
        with refused("locked"):
            made.room.request(request, BOB, 0)
    with refused("locked"):
        made.undo(BOB)
    for id in ("frame", "layer"):
        made.decide(SetLock(record=id, locked=False))
    assert isinstance(made.undo(BOB), Taken)
    with refused("missing"):
        made.decide(SetLock(record="free", locked=True))


def test_a6_a_lock_goes_with_what_it_locks_and_comes_back_with_it() -> None:
    made = locked_room()
    outcome = made.do(ANN, Delete("layer"), standing=HOST)
    assert isinstance(outcome, Taken)
    assert not outcome.as_asked
    assert ":lock:layer" not in made.room.records
    made.do(BOB, Patch("inside", {"x": 1.0}))
    assert made.replayed().state() == made.room.state()
    made.undo(ANN, HOST)
    with refused("locked"):
        made.do(BOB, Patch("inside", {"x": 2.0}))
    assert made.replayed().state() == made.room.state()


@pytest.mark.parametrize(
    "change",
    [
        Put(Access(id=":access:room", open=False)),
        Put(Member(id=":member:bob", person="bob", role="host")),
        Put(Invite(id=":invite:mine", role="host", digest=ids.digest("mine"))),
        Patch(":access:room", {"open": False}),
        Patch(":member:ann", {"role": "viewer"}),
        Delete(":member:ann"),
        Delete(":access:room"),
    ],
)
def test_a7_what_a_host_decides_only_the_server_writes(change: Change) -> None:
    made = Founded()
    for by, standing in ((BOB, EDITOR), (ANN, HOST)):
        with refused("server_owned"):
            made.do(by, change, standing=standing)


def test_a7_nobody_writes_in_somebody_elses_name() -> None:
    made = Founded()
    made.do(BOB, stroke("one", by=ANN))
    assert made.room.records["one"].by == BOB
    with refused("read_only"):
        made.do(BOB, Patch("one", {"by": ANN}))


def test_a9_what_somebody_did_is_taken_back_as_far_as_nobody_has_changed_it_since() -> None:
    made = Founded()
    made.do(ANN, stroke("anns"), stroke("gone"))
    made.do(BOB, stroke("bobs"), stroke("touched"), Patch("anns", {"x": 5.0, "y": 5.0}))
    made.do(BOB, Delete("gone"))
    made.do(CAT, Patch("touched", {"x": 1.0}), Patch("anns", {"y": 6.0}))
    made.do(BOB, Patch("anns", {"x": 7.0}))

    made.decide(TakeBack(person=BOB))
    assert made.drawn() == {"anns", "gone", "touched"}
    anns = made.room.records["anns"]
    assert isinstance(anns, Stroke)
    assert (anns.x, anns.y, anns.by) == (0.0, 6.0, ANN)
    assert made.room.records["gone"].by == ANN
    assert made.replayed().state() == made.room.state()
    assert made.decide(TakeBack(person=BOB)) == Settled(0)

    made.undo(ANN, HOST)
    assert made.drawn() == {"anns", "bobs", "touched"}
    assert made.replayed().state() == made.room.state()


def test_a9_what_lies_further_back_than_undo_reaches_is_taken_back_too() -> None:
    made = Founded(RoomLimits(undo_steps=2))
    for number in range(5):
        made.do(BOB, stroke(f"s{number}"))
    made.do(CAT, Patch("s0", {"x": 1.0}))
    made.decide(TakeBack(person=BOB))
    assert made.drawn() == {"s0"}


def test_a9_what_somebody_deleted_of_their_own_stays_away() -> None:
    made = Founded(RoomLimits(undo_steps=1))
    made.do(BOB, stroke("bobs"))
    made.do(ANN, stroke("anns"))
    made.do(BOB, Delete("bobs"), Delete("anns"))
    made.decide(TakeBack(person=BOB))
    assert made.drawn() == {"anns"}
    assert made.replayed().state() == made.room.state()
    made.undo(ANN, HOST)
    assert made.drawn() == set()


def test_a9_a_room_is_cleared_of_all_but_people_and_that_can_be_undone() -> None:
    made = locked_room()
    made.decide(SetRole(person=BOB, role="viewer"))
    made.decide(Clear())
    assert made.drawn() == set()
    assert set(made.room.records) == {":access:room", ":member:ann", ":member:bob"}
    assert made.replayed().state() == made.room.state()
    made.undo(ANN, HOST)
    assert made.drawn() == {"frame", "layer", "free", "inside", "mask", "cand"}
    assert made.replayed().state() == made.room.state()


def test_a9_a_large_sweep_leaves_others_their_steps_and_a_full_room_can_be_cleared() -> None:
    made = Founded(RoomLimits(undo_bytes=1_500, max_records=6))
    made.do(CAT, stroke("cats"))
    made.do(BOB, *(stroke(f"s{number}") for number in range(3)))
    with refused("room_full"):
        made.do(BOB, stroke("more"))
    made.decide(TakeBack(person=BOB))
    made.decide(Clear())
    assert made.drawn() == set()
    assert made.room.history(CAT) == (1, 0)


@pytest.mark.parametrize(
    "deed",
    [
        SetAccess(open=False), MakeInvite(role="host"), Revoke(invite=INVITE),
        SetRole(person=BOB, role="host"), Mute(person=CAT, muted=True), Kick(person=CAT),
        Ban(person=CAT, banned=True), SetLock(record="frame", locked=True), Clear(),
        TakeBack(person=CAT),
    ],
)  # fmt: skip
def test_a13_only_hosts_decide(deed: Deed) -> None:
    made = Founded()
    made.do(BOB, frame())
    before = made.room.state()
    for standing in (EDITOR, VIEWER, Standing("viewer", muted=True)):
        with refused("not_host"):
            made.decide(deed, BOB, standing)
    assert made.room.state() == before


@pytest.mark.parametrize(
    "deed",
    [
        SetRole(person=ANN, role="viewer"), SetRole(person=ANN, role=None), Kick(person=ANN),
        Mute(person=ANN, muted=True), Ban(person=ANN, banned=True),
    ],
)  # fmt: skip
def test_a13_hosts_dont_lock_themselves_out(deed: Deed) -> None:
    with refused("yourself"):
        Founded().decide(deed)


@pytest.mark.parametrize(
    "deed",
    [SetRole(person=ANN, role="viewer"), SetRole(person=ANN, role=None),
     Ban(person=ANN, banned=True)],
)  # fmt: skip
def test_a13_a_host_by_a_link_leaves_the_room_a_host_that_stays(deed: Deed) -> None:
    made = Founded()
    made.decide(MakeInvite(role="host"))
    by_link = Grant(invite=INVITE)
    assert made.standing(BOB, by_link) == HOST
    assert access.is_passing(made.room.records, BOB, by_link)
    with refused("last_host"):
        made.decide(deed, BOB, is_passing=True)
    made.decide(SetRole(person=CAT, role="host"), BOB, is_passing=True)
    made.decide(deed, BOB, is_passing=True)
    made.decide(SetRole(person=BOB, role="host"), CAT)
    assert not access.is_passing(made.room.records, BOB, by_link)


def test_a13_what_is_decided_is_bounded_and_decided_once() -> None:
    made = Founded()
    request = Moderate(id="op-again", deed=Mute(person=BOB, muted=True))
    host = Decider(person=ANN, now_ms=0)
    first = made.room.moderate(request, host, HOST)
    assert isinstance(first, Taken)
    assert made.room.moderate(request, host, HOST) == Settled(first.entry.seq)

    made.decide(Mute(person=BOB, muted=False))
    assert ":member:bob" not in made.room.records
    assert made.decide(Ban(person=BOB, banned=False)) == Settled(0)

    for number in range(MAX_INVITES):
        host = Decider(person=ANN, now_ms=0, invite=f"i{number}", digest=ids.digest("x"))
        deed = MakeInvite(role="viewer")
        made.room.moderate(Moderate(id=f"op-make-{number}", deed=deed), host, HOST)
    with refused("too_many"):
        made.decide(MakeInvite(role="viewer"))


def test_t17_a_timer_ends_by_the_servers_clock_and_one_runs_at_a_time() -> None:
    made = Founded()
    with refused("not_host"):
        made.decide(StartTimer(seconds=60), by=BOB, standing=EDITOR)
    made.decide(StartTimer(seconds=60), now_ms=5)
    assert made.room.records[TIMER_ID] == Timer(id=TIMER_ID, by=ANN, ends_ms=60_005)
    made.decide(StartTimer(seconds=1), now_ms=7)
    assert made.room.records[TIMER_ID] == Timer(id=TIMER_ID, by=ANN, ends_ms=1_007)
    assert made.replayed().state() == made.room.state()
    made.decide(StopTimer())
    assert TIMER_ID not in made.room.records
    assert made.decide(StopTimer()) == Settled(0)


def test_g48_a_host_says_which_model_frames_use_that_name_none() -> None:
    made = Founded()
    made.decide(SetAccess(open=False))

    made.decide(ChooseModel(model="dreams"))

    assert access.access_of(made.room.records) == Access(
        id=access.ACCESS_ID, by=ANN, open=False, model="dreams"
    )
    made.decide(SetAccess(open=True))
    assert access.access_of(made.room.records).model == "dreams"
    with pytest.raises(Refusal):
        made.decide(ChooseModel(model=""), by=BOB, standing=EDITOR)
