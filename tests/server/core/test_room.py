"""The room against random histories, and its limits. Rules R1 to R13."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core import snapshots
from server.core.access import Standing
from server.core.deeds import Clear, Deed, SetLock, TakeBack
from server.core.entries import Entry
from server.core.errors import Refusal
from server.core.ids import Epoch, PersonId, RoomId
from server.core.limits import RoomLimits
from server.core.messages import Accept, Ack, Applied, Discard, Moderate, Op, Redo, Undo
from server.core.moderation import Decider
from server.core.records import (
    Candidate,
    Change,
    Delete,
    Edit,
    Frame,
    Image,
    Job,
    Layer,
    Mask,
    Patch,
    Put,
    Stroke,
)
from server.core.replica import Replica
from server.core.room import Room, Settled, Taken

ROOM = RoomId("r" * 22)
ANN, BOB = PersonId("ann"), PersonId("bob")
POINTS = bytes(13)
PEOPLE = st.sampled_from([ANN, BOB])
IDS = st.sampled_from(["a", "b", "c", "f", "g"])
FRAMES = st.sampled_from(["f", "g"])
SMALL = st.integers(-3, 3).map(float)


def layer(id: str, name: str = "") -> Put:
    return Put(Layer(id=id, z="a0", name=name))


def stroke(id: str) -> Put:
    return Put(Stroke(id=id, z="a0", points=POINTS, size=4.0))


def frame(id: str, prompt: str = "") -> Put:
    return Put(Frame(id=id, z="a0", x=0.0, y=0.0, w=64.0, h=64.0, prompt=prompt))


def new_room(limits: RoomLimits | None = None) -> Room:
    return Room(ROOM, Epoch("e1"), limits)


def submit(room: Room, by: PersonId, *changes: Change, id: str = "") -> Taken:
    op = Op(id=id or f"op-{room.seq:05}", changes=list(changes))
    taken = room.request(op, by, at_ms=0)
    assert isinstance(taken, Taken)
    return taken


DELTAS = st.lists(
    st.one_of(st.integers(-3, 3).filter(bool), st.text("ab😀", min_size=1, max_size=3)),
    min_size=1,
    max_size=4,
)
CHANGES = st.one_of(
    IDS.map(stroke),
    FRAMES.map(frame),
    st.builds(lambda id, of: Put(Mask(id=id, z="a0", frame=of, points=POINTS, size=4.0)),
              IDS, FRAMES),
    st.builds(lambda id, x: Patch(id, {"x": x}), IDS, SMALL),
    st.builds(lambda id, x, y: Patch(id, {"x": x, "y": y}), IDS, SMALL, SMALL),
    st.builds(Delete, IDS),
)  # fmt: skip
EDITS = st.builds(
    lambda id, back, delta: ("edit", id, back, delta), FRAMES, st.integers(0, 6), DELTAS
)
STEPS = st.one_of(
    st.lists(CHANGES, min_size=1, max_size=3),
    EDITS,
    st.sampled_from(
        [
            "undo",
            "undo",
            "redo",
            "again",
            "job",
            "accept",
            "discard",
            "snapshot",
            "clear",
            "sweep",
            "lock",
            "unlock",
        ]
    ),
)
HISTORIES = st.lists(st.tuples(PEOPLE, STEPS), max_size=40)


class Journaled:
    """A room, the entries that a journal would have, and copies that follow it."""

    def __init__(self) -> None:
        self.room = new_room(RoomLimits(undo_steps=5, text_edits=6, op_ids=10))
        self.entries: list[Entry] = []
        self.parts: list[bytes] = []
        self.copies = {ANN: Replica(), BOB: Replica()}
        self._num_asked = 0
        self._last: Any = None

    def play(self, by: PersonId, step: Any) -> None:
        before = msgspec.msgpack.encode(self.room.state())
        try:
            self._play(by, step)
        except Refusal:
            assert msgspec.msgpack.encode(self.room.state()) == before, "refused, but changed"

    def _play(self, by: PersonId, step: Any) -> None:
        if step == "snapshot":
            self.parts = list(snapshots.encode_parts(self.room.state()))
        elif step == "job":
            self._take(by, self.room.append(self._job(), by, at_ms=0), None)
        elif step in ("clear", "sweep", "lock", "unlock"):
            self._decide(by, step)
        elif step == "again" and self._last is not None:
            assert self.room.request(self._last, by, at_ms=0) == Settled(self.room.seq)
        else:
            self._ask(by, step)

    def _ask(self, by: PersonId, step: Any) -> None:
        self._num_asked += 1
        request = self._request(f"op-{self._num_asked:05}", step)
        outcome = self.room.request(request, by, at_ms=0)
        self._last = request if isinstance(outcome, Taken) else None
        self._take(by, outcome, request)

    def _decide(self, by: PersonId, step: str) -> None:
        self._num_asked += 1
        deed: Deed
        match step:
            case "clear":
                deed = Clear()
            case "sweep":
                deed = TakeBack(person=ANN if by == BOB else BOB)
            case _:
                deed = SetLock(record="f", locked=step == "lock")
        request = Moderate(id=f"op-{self._num_asked:05}", deed=deed)
        host = Decider(person=by, now_ms=0)
        self._take(by, self.room.moderate(request, host, Standing("host")), None)

    def _request(self, id: str, step: Any) -> Any:
        match step:
            case "undo":
                return Undo(id=id)
            case "redo":
                return Redo(id=id)
            case "accept":
                return Accept(id=id, candidate="cand", image=f"image-{id}")
            case "discard" | "again":
                return Discard(id=id, candidate="cand")
            case ("edit", record, back, delta):
                base = max(0, self.room.seq - back)
                return Op(id=id, changes=[Edit(record, "prompt", base, delta)])
            case _:
                return Op(id=id, changes=step)

    def _job(self) -> list[Change]:
        job = Job(id="job", frame="f", state="done", count=1)
        candidate = Candidate(
            id="cand", frame="f", job="job", index=0, blob="0f" * 32, seed=1,
            x=0.0, y=0.0, w=64.0, h=64.0,
        )  # fmt: skip
        return [Put(job), Put(candidate)]

    def _take(self, by: PersonId, outcome: Taken | Settled, request: Any) -> None:
        self._last = self._last if request is not None else None
        if isinstance(outcome, Settled):
            return
        entry = outcome.entry
        self.entries.append(entry)
        for person, copy in self.copies.items():
            if person == by and outcome.as_asked:
                copy.acknowledge(Ack(id=entry.id, seq=entry.seq), request, by)
            else:
                applied = Applied(seq=entry.seq, id=entry.id, by=entry.by, changes=entry.changes)
                copy.apply(applied)

    def replayed(self, *, from_snapshot: bool) -> Room:
        limits = self.room.limits
        room = new_room(limits)
        if from_snapshot and self.parts:
            room = Room.restore(ROOM, snapshots.decode_parts(self.parts), limits)
        for entry in self.entries[room.seq :]:
            written = msgspec.msgpack.encode(entry)
            room.replay(msgspec.msgpack.decode(written, type=Entry))
        return room


@settings(max_examples=150, deadline=None)
@given(HISTORIES)
def test_r1_replayed_rooms_and_all_copies_equal_the_live_room(
    history: list[tuple[PersonId, Any]],
) -> None:
    journaled = Journaled()
    for by, step in history:
        journaled.play(by, step)

    room = journaled.room
    assert journaled.replayed(from_snapshot=False).state() == room.state()
    assert journaled.replayed(from_snapshot=True).state() == room.state()
    for copy in journaled.copies.values():
        assert copy.records == room.records
        assert copy.seq == room.seq
    assert [entry.seq for entry in journaled.entries] == list(range(1, room.seq + 1))


def test_r3_an_op_is_known_by_its_id_after_a_restart() -> None:
    room = new_room()
    taken = submit(room, ANN, stroke("a"), id="op-first")
    submit(room, BOB, Delete("a"))

    for known in (room, Room.restore(ROOM, room.state())):
        again = known.request(Op(id="op-first", changes=[stroke("a")]), ANN, at_ms=9)
        assert again == Settled(taken.entry.seq)
        assert "a" not in known.records


def test_r3_the_oldest_op_ids_are_forgotten() -> None:
    room = new_room(RoomLimits(op_ids=2))
    for number in range(3):
        submit(room, ANN, layer(f"layer-{number}"), id=f"op-{number:05}")
    with pytest.raises(Refusal, match="exists"):
        submit(room, ANN, layer("layer-0"), id="op-00000")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (Patch("s", {"x": float("nan")}), "bad_record"),
        (Patch("s", {"x": float("inf")}), "bad_record"),
        (Patch("s", {"size": float("-inf")}), "bad_record"),
        (Patch("s", {"x": "1"}), "bad_record"),
        (Patch("s", {"points": bytes(14)}), "bad_record"),
        (Patch("s", {"points": "AAAAAAAAAAAAAAAAAAAA"}), "bad_record"),
        (Patch("s", {"points": b"\xff\xff\xff\x7f" * 2 + bytes(5)}), "bad_record"),
        (Patch("s", {"layer": "f"}), "bad_record"),
        (Patch("s", {"x": [[[[1]]]]}), "bad_record"),
        (Patch("s", {}), "bad_record"),
        (Patch("s", {"type": "layer"}), "read_only"),
        (Patch("s", {"id": "t"}), "read_only"),
        (Patch("f", {"w": 4000.0, "h": 4000.0}), "bad_record"),
        (Patch("f", {"negative": ""}), "text_field"),
        (Patch("f", {"sampler": "brownian"}), "bad_record"),
        (Patch("f", {"clip_skip": 13}), "bad_record"),
        (Patch("f", {"loras": {"ink": 5.0}}), "bad_record"),
        (Patch("f", {"loras": {"ink": float("nan")}}), "bad_record"),
        (Patch("f", {"loras": {"": 1.0}}), "bad_record"),
        (Patch("f", {"loras": {"__proto__": 1.0}}), "bad_record"),
        (Patch("f", {"loras": {"a" * 81: 1.0}}), "bad_record"),
        (Patch("f", {"loras": {str(n): 1.0 for n in range(9)}}), "bad_record"),
        (Patch("f", {"loras": [["ink", 1.0]]}), "bad_record"),
        (Patch("f", {"control": "a\nb"}), "bad_record"),
        (Patch("f", {"control": None}), "bad_record"),
        (Patch("f", {"control_strength": 2.5}), "bad_record"),
        (Patch("f", {"control_end": -0.1}), "bad_record"),
        (Patch("f", {"variation": 1.1}), "bad_record"),
        (Patch("f", {"variation_seed": 2**32}), "bad_record"),
        (Patch("f", {"hires": 0.5}), "bad_record"),
        (Patch("f", {"hires_strength": 1.5}), "bad_record"),
        (Edit("f", "sampler", 1, ["x"]), "bad_edit"),
        (Edit("f", "prompt", 99, ["x"]), "bad_edit"),
        (Edit("f", "prompt", 1, [0]), "bad_edit"),
        (Edit("f", "prompt", 1, ["x" * 4001]), "bad_record"),
        (Delete("job"), "server_owned"),
        (Patch("job", {"state": "done"}), "server_owned"),
        (Put(Job(id="j", frame="f", state="done", count=1)), "server_owned"),
    ],
)
def test_r4_what_must_not_be_is_refused_and_changes_nothing(change: Change, code: str) -> None:
    room = new_room()
    submit(room, ANN, stroke("s"), frame("f"))
    room.append([Put(Job(id="job", frame="f", state="queued", count=1))], ANN, at_ms=0)
    before = room.state()
    with pytest.raises(Refusal) as caught:
        submit(room, ANN, layer("fine"), change)
    assert caught.value.code == code
    assert room.state() == before


def test_r9_a_full_room_still_lets_things_be_deleted() -> None:
    room = new_room(RoomLimits(max_records=2))
    submit(room, ANN, layer("a"), layer("b"))
    with pytest.raises(Refusal, match="room_full"):
        submit(room, ANN, layer("c"))
    assert room.is_full
    submit(room, ANN, Patch("a", {"name": "Sky"}))
    submit(room, ANN, Delete("a"))
    submit(room, ANN, layer("c"))


def test_r9_geometry_counts_against_the_bytes_of_a_room() -> None:
    room = new_room(RoomLimits(max_bytes=3_000))
    long = Put(Stroke(id="long", z="a0", points=bytes(8 + 5 * 400), size=4.0))
    submit(room, ANN, long)
    with pytest.raises(Refusal, match="room_full"):
        submit(room, ANN, Put(msgspec.structs.replace(long.record, id="more")))
    submit(room, ANN, Delete("long"))
    assert not room.is_full


def test_r10_an_undo_that_would_overfill_the_room_is_refused() -> None:
    room = new_room(RoomLimits(max_records=1))
    submit(room, ANN, layer("a"))
    submit(room, ANN, Delete("a"))
    submit(room, BOB, layer("b"))
    with pytest.raises(Refusal, match="room_full"):
        room.request(Undo(id="undo-0001"), ANN, at_ms=0)
    assert room.history(ANN) == (2, 0)


def test_r10_only_so_many_steps_are_kept_for_a_person() -> None:
    room = new_room(RoomLimits(undo_steps=3))
    for number in range(5):
        submit(room, ANN, layer(f"layer-{number}"))
    assert room.history(ANN) == (3, 0)


def test_r10_the_oldest_steps_make_room_for_new_ones() -> None:
    room = new_room(RoomLimits(undo_bytes=1_000))
    for number in range(5):
        submit(room, ANN, layer(f"a-{number}"))
        submit(room, BOB, layer(f"b-{number}"))
    assert room.history(ANN)[0] + room.history(BOB)[0] == 3


def test_r10_something_new_ends_redo_and_typing_doesnt() -> None:
    room = new_room()
    submit(room, ANN, frame("f"))
    submit(room, ANN, layer("a"))
    room.request(Undo(id="undo-0001"), ANN, at_ms=0)
    submit(room, ANN, Edit("f", "prompt", 1, ["x"]))
    assert room.history(ANN) == (1, 1)
    submit(room, ANN, layer("b"))
    assert room.history(ANN) == (2, 0)


def test_r10_undo_of_a_frame_spares_what_somebody_else_has_typed_into_it() -> None:
    room = new_room()
    submit(room, ANN, frame("f"))
    submit(room, BOB, Edit("f", "prompt", 1, ["mine"]))
    with pytest.raises(Refusal, match="nothing_to_undo"):
        room.request(Undo(id="undo-0001"), ANN, at_ms=0)


def test_r10_undo_leaves_a_frame_alone_that_it_would_make_too_large() -> None:
    room = new_room()
    submit(room, BOB, Put(Frame(id="f", z="a0", x=0.0, y=0.0, w=4096.0, h=1024.0)))
    submit(room, ANN, Patch("f", {"w": 512.0}))
    submit(room, BOB, Patch("f", {"h": 4096.0}))
    with pytest.raises(Refusal, match="nothing_to_undo"):
        room.request(Undo(id="undo-0001"), ANN, at_ms=0)
    submit(room, BOB, Patch("f", {"h": 1024.0}))
    room.request(Undo(id="undo-0002"), ANN, at_ms=0)
    assert room.records["f"] == Frame(id="f", z="a0", x=0.0, y=0.0, w=4096.0, h=1024.0, by=BOB)


def test_r10_steps_of_many_fields_count_for_as_much_as_they_take() -> None:
    room = new_room(RoomLimits(undo_bytes=10_000))
    submit(room, BOB, *[layer(f"layer-{number}") for number in range(10)])
    for number in range(5):
        new = {"name": str(number), "opacity": number / 10, "visible": bool(number % 2)}
        submit(room, ANN, *[Patch(f"layer-{each}", new) for each in range(10)])
    assert room.history(ANN) == (1, 0)


def test_r7_an_edit_of_a_text_of_too_long_ago_is_refused_with_advice() -> None:
    room = new_room(RoomLimits(text_edits=3))
    submit(room, ANN, frame("f"))
    for _ in range(5):
        submit(room, ANN, Edit("f", "prompt", int(room.seq), ["x"]))
    with pytest.raises(Refusal, match="type again") as caught:
        submit(room, BOB, Edit("f", "prompt", 1, ["y"]))
    assert caught.value.code == "stale_text"


def test_r7_the_kept_edits_are_bounded_by_their_size_too() -> None:
    room = new_room(RoomLimits(text_edit_parts=2_000))
    submit(room, ANN, frame("f"))
    for _ in range(4):
        submit(room, ANN, Edit("f", "prompt", int(room.seq), ["x" * 900]))
    with pytest.raises(Refusal, match="stale_text"):
        submit(room, BOB, Edit("f", "prompt", 1, ["y"]))
    assert len(room.state().edits) == 2


def test_r7_an_edit_that_would_take_too_long_to_transform_is_refused_as_stale() -> None:
    room = new_room()
    submit(room, ANN, frame("f", "x" * 1_000))
    everywhere: list[int | str] = [1, "b", -1] * 300
    for _ in range(100):
        submit(room, ANN, Edit("f", "prompt", int(room.seq), everywhere))
    with pytest.raises(Refusal, match="stale_text"):
        submit(room, BOB, Edit("f", "prompt", 1, everywhere))
    submit(room, BOB, Edit("f", "prompt", 1, ["y"]))


def test_r7_an_edit_of_a_text_from_before_a_deletion_is_stale() -> None:
    room = new_room()
    submit(room, ANN, frame("f", "abc"))
    submit(room, ANN, Delete("f"))
    room.request(Undo(id="undo-0001"), ANN, at_ms=0)
    with pytest.raises(Refusal, match="stale_text"):
        submit(room, BOB, Edit("f", "prompt", 1, ["y"]))


def test_r12_other_limits_of_undo_on_the_next_start_lose_no_record() -> None:
    room = new_room()
    entries = [submit(room, ANN, layer(f"layer-{number}")).entry for number in range(4)]
    for number in range(3):
        taken = room.request(Undo(id=f"undo-000{number}"), ANN, at_ms=0)
        assert isinstance(taken, Taken)
        entries.append(taken.entry)

    again = new_room(RoomLimits(undo_steps=1))
    for entry in entries:
        again.replay(entry)
    assert again.records == room.records


def accepted(room: Room, above: str, layer: str | None = None) -> Image:
    """The image that a candidate becomes which was made over all up to `above` in a layer."""
    made = Candidate(
        id="cand", frame="f", job="job", index=0, blob="0f" * 32, seed=1,
        x=0.0, y=0.0, w=64.0, h=64.0, layer=layer, above=above,
    )  # fmt: skip
    room.append([Put(made)], ANN, at_ms=0)
    room.request(Accept(id="accept-01", candidate="cand", image="image"), BOB, at_ms=0)
    image = room.records["image"]
    assert isinstance(image, Image)
    return image


def test_r22_an_accepted_picture_lies_over_what_it_was_made_from_and_below_what_came_since() -> (
    None
):
    room = new_room()
    for id, z in (("under", "a0"), ("since", "a1")):
        submit(room, ANN, Put(Stroke(id=id, z=z, points=POINTS, size=4.0)))
    assert "a0" < accepted(room, above="a0").z < "a1"


def test_r22_an_accepted_picture_of_an_empty_canvas_lies_below_all_that_came_since() -> None:
    room = new_room()
    submit(room, ANN, stroke("since"))
    assert accepted(room, above="").z < "a0"


def test_r22_an_accepted_picture_lies_in_the_layer_of_what_it_was_made_from() -> None:
    room = new_room()
    submit(room, ANN, Put(Layer(id="sky", z="a0")))
    drawn = (("below", "a5", None), ("under", "a0", "sky"), ("since", "a1", "sky"))
    for id, z, layer in drawn:
        submit(room, ANN, Put(Stroke(id=id, z=z, points=POINTS, size=4.0, layer=layer)))
    image = accepted(room, above="a0", layer="sky")
    assert image.layer == "sky"
    assert "a0" < image.z < "a1"


def test_r22_where_that_layer_is_gone_it_lies_below_all_layers_over_all_that_is_there() -> None:
    room = new_room()
    submit(room, ANN, Put(Stroke(id="below", z="a5", points=POINTS, size=4.0)))
    image = accepted(room, above="a0", layer="sky")
    assert image.layer is None
    assert image.z > "a5"
