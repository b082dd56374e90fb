"""What people ask of a room in turn, and what becomes of it: for the server's and the browser's."""

from __future__ import annotations

from tests.golden.samples import (
    ACCESS,
    BALLOT,
    CANDIDATE,
    CHAT,
    COMMENT,
    FRAME,
    IMAGE,
    JOB,
    LAYER,
    LOCK,
    MASK,
    MEMBER,
    NOTE,
    POLL,
    STROKE,
    TIMER,
    VERSION,
    Json,
    by,
    delete,
    edit,
    hexed,
    patch,
    put,
)


def op(person: str, id: str, *changes: Json) -> Json:
    return {"by": person, "send": {"t": "op", "id": id, "changes": list(changes)}}


def asks(person: str, **message: object) -> Json:
    return {"by": person, "send": message}


def applied(step: Json, seq: int, *changes: Json) -> Json:
    """What everybody else gets, or everybody, where the author's op was altered or server-made."""
    message = {"t": "applied", "seq": seq, "id": step["send"]["id"], "by": step["by"]}
    return {**step, "applied": {**message, "changes": list(changes)}, "author": "applied"}


def taken(step: Json, seq: int) -> Json:
    """The room took the op just as it was sent, `by` and `base` apart: its author gets `ack`."""
    stamped: list[Json] = []
    for change in step["send"]["changes"]:
        if change["c"] == "put":
            stamped.append(put(by(change["record"], step["by"])))
        elif change["c"] == "edit":
            stamped.append({**change, "base": seq - 1})
        else:
            stamped.append(change)
    return {**applied(step, seq, *stamped), "author": "ack"}


def acked(step: Json, seq: int) -> Json:
    """Only the author hears of it: the op was known, or changed nothing (seq 0)."""
    return {**step, "ack": seq}


def refused(step: Json, code: str) -> Json:
    return {**step, "refused": code}


def made(seq: int, *changes: Json) -> Json:
    """Made by the server in the name of somebody."""
    message = {"t": "applied", "seq": seq, "id": f":{seq}", "by": "ann"}
    return {"by": "ann", "append": {**message, "changes": list(changes)}}


def last_writer_wins() -> Json:
    return {
        "name": "the last writer wins, field by field",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("bob", "op-00002", patch("stroke-1", x=5.0, color="#00ff00")), 2),
            taken(op("ann", "op-00003", patch("stroke-1", x=7.0)), 3),
            taken(op("ann", "op-00004", put(LAYER), patch("stroke-1", layer="layer-1")), 4),
        ],
        "records": [
            by(STROKE, "ann", x=7.0, color="#00ff00", layer="layer-1"),
            by(LAYER, "ann"),
        ],
    }


def delete_beats_patch() -> Json:
    late = op("bob", "op-00003", patch("stroke-1", x=5.0), patch("layer-1", name="Sky"))
    return {
        "name": "delete beats patch, and what is left of an op is applied",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(LAYER)), 1),
            taken(op("ann", "op-00002", delete("stroke-1")), 2),
            applied(late, 3, patch("layer-1", name="Sky")),
            acked(op("bob", "op-00004", delete("stroke-1"), patch("stroke-1", x=1.0)), 0),
        ],
        "records": [by(LAYER, "ann", name="Sky")],
    }


def once_only() -> Json:
    first = op("ann", "op-00001", put(STROKE))
    return {
        "name": "an op that comes again is acknowledged again and not applied again",
        "steps": [
            taken(first, 1),
            taken(op("bob", "op-00002", delete("stroke-1")), 2),
            acked(first, 1),
        ],
        "records": [],
    }


def refusals() -> Json:
    other = {**STROKE, "id": "stroke-2"}
    short = {**other, "points": hexed(bytes(14))}
    return {
        "name": "an op is refused whole",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            refused(op("bob", "op-00002", put(other), put(STROKE)), "exists"),
            refused(op("bob", "op-00003", patch("stroke-1", x=3.0), put(JOB)), "server_owned"),
            refused(op("bob", "op-00004", patch("stroke-1", by="bob")), "read_only"),
            refused(op("bob", "op-00005", patch("frame-1", prompt="mine")), "text_field"),
            refused(op("bob", "op-00006", patch("stroke-1", size=-1.0)), "bad_record"),
            refused(op("bob", "op-00007", patch("stroke-1", radius=1.0)), "bad_record"),
            refused(op("bob", "op-00008", put({**MASK, "frame": "frame-2"})), "missing_frame"),
            refused(op("bob", "op-00009", put(short)), "bad_record"),
            refused(op("bob", "op-00010", put({**other, "z": "a"})), "bad_record"),
            refused(op("bob", "op-00011", edit("frame-1", 1, [50, "x"])), "bad_edit"),
            refused(op("bob", "op-00012", edit("stroke-1", 1, ["x"], "color")), "bad_edit"),
        ],
        "records": [by(STROKE, "ann"), by(FRAME, "ann")],
    }  # fmt: skip


def typing_together() -> Json:
    late = op("bob", "op-00003", edit("frame-1", 1, [2, "big "]))
    later = op("bob", "op-00005", edit("frame-1", 3, [6, -4, "green"]))
    return {
        "name": "two people type into one prompt",
        "steps": [
            taken(op("ann", "op-00001", put(FRAME)), 1),
            taken(op("ann", "op-00002", edit("frame-1", 1, [1, " blue", -4])), 2),
            applied(late, 3, edit("frame-1", 2, [6, "big "])),
            taken(op("ann", "op-00004", edit("frame-1", 3, [1, " very 😀"])), 4),
            applied(later, 5, edit("frame-1", 4, [13, -4, "green"])),
            taken(op("ann", "op-00006", edit("frame-1", 4, [1, -7])), 6),
        ],
        "records": [by(FRAME, "ann", prompt="a bluegreen house")],
    }


def undo_and_redo() -> Json:
    return {
        "name": "undo takes back one's own, and nobody's newer change",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("ann", "op-00002", patch("stroke-1", x=1.0, y=1.0)), 2),
            taken(op("bob", "op-00003", patch("stroke-1", x=9.0)), 3),
            applied(asks("ann", t="undo", id="op-00004"), 4, patch("stroke-1", y=0.0)),
            applied(asks("ann", t="redo", id="op-00005"), 5, patch("stroke-1", y=1.0)),
            applied(asks("bob", t="undo", id="op-00006"), 6, patch("stroke-1", x=1.0)),
            applied(asks("ann", t="undo", id="op-00007"), 7, patch("stroke-1", x=0.0, y=0.0)),
            applied(asks("ann", t="undo", id="op-00008"), 8, delete("stroke-1")),
            applied(asks("ann", t="redo", id="op-00009"), 9, put(by(STROKE, "ann"))),
            refused(asks("bob", t="undo", id="op-00010"), "nothing_to_undo"),
        ],
        "records": [by(STROKE, "ann")],
    }


def undo_spares_others() -> Json:
    return {
        "name": "undo doesn't delete what somebody else has changed since",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE)), 1),
            taken(op("ann", "op-00002", delete("stroke-1")), 2),
            applied(asks("ann", t="undo", id="op-00003"), 3, put(by(STROKE, "ann"))),
            taken(op("bob", "op-00004", patch("stroke-1", x=4.0)), 4),
            refused(asks("ann", t="redo", id="op-00005"), "nothing_to_redo"),
            refused(asks("ann", t="undo", id="op-00006"), "nothing_to_undo"),
            applied(asks("bob", t="undo", id="op-00007"), 5, patch("stroke-1", x=0.0)),
            applied(asks("ann", t="undo", id="op-00008"), 6, delete("stroke-1")),
        ],
        "records": [],
    }


def candidates() -> Json:
    top = {**IMAGE, "id": "image-9", "z": "a1", "x": 0.0, "y": -100.0, "w": 256.0, "h": 256.0}
    accepted = [put(by(top, "bob")), patch("cand-1", state="accepted")]
    accept = {"t": "accept", "candidate": "cand-1", "image": "image-9"}
    return {
        "name": "a candidate is accepted over what it was made from, which can be undone",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            made(2, put(JOB), put(CANDIDATE)),
            refused(op("bob", "op-00002", patch("cand-1", state="accepted")), "server_owned"),
            applied(asks("bob", id="op-00003", **accept), 3, *accepted),
            refused(asks("ann", id="op-00004", **{**accept, "image": "image-8"}), "not_open"),
            applied(
                asks("bob", t="undo", id="op-00005"), 4,
                patch("cand-1", state="open"), delete("image-9"),
            ),
            applied(
                asks("ann", t="discard", id="op-00006", candidate="cand-1"), 5,
                patch("cand-1", state="discarded"),
            ),
        ],
        "records": [
            by(STROKE, "ann"), by(FRAME, "ann"), JOB, {**CANDIDATE, "state": "discarded"},
        ],
    }  # fmt: skip


def hosts() -> Json:
    """Ann is the host here, and Bob an editor."""
    lock = {"t": "moderate", "deed": {"d": "lock", "record": "frame-1", "locked": True}}
    sweep = {"t": "moderate", "deed": {"d": "take_back", "person": "bob"}}
    other = {**STROKE, "id": "stroke-2"}
    return {
        "name": "a host locks, and takes back what somebody did",
        "steps": [
            taken(op("ann", "op-00001", put(STROKE), put(FRAME)), 1),
            taken(op("bob", "op-00002", patch("stroke-1", x=5.0, y=5.0), put(other)), 2),
            refused(asks("bob", id="op-00003", **lock), "not_host"),
            applied(asks("ann", id="op-00004", **lock), 3, put(LOCK)),
            refused(op("bob", "op-00005", patch("frame-1", steps=9)), "locked"),
            refused(op("bob", "op-00006", edit("frame-1", 3, ["x"])), "locked"),
            refused(op("bob", "op-00007", put(MASK)), "locked"),
            refused(op("bob", "op-00008", delete(LOCK["id"])), "server_owned"),
            refused(op("bob", "op-00009", put(ACCESS)), "server_owned"),
            taken(op("ann", "op-00010", patch("stroke-1", y=6.0), patch("frame-1", steps=9)), 4),
            applied(
                asks("ann", id="op-00011", **sweep), 5,
                delete("stroke-2"), patch("stroke-1", x=0.0),
            ),
            applied(
                asks("ann", t="undo", id="op-00012"), 6,
                patch("stroke-1", x=5.0), put(by(other, "bob")),
            ),
        ],
        "records": [
            by(STROKE, "ann", x=5.0, y=6.0), by(FRAME, "ann", steps=9), LOCK, by(other, "bob"),
        ],
    }  # fmt: skip


def decided(id: str, **deed: object) -> Json:
    return asks("ann", t="moderate", id=id, deed=deed)


def saying() -> Json:
    """Where scripts are played, all names are "" and all times 0."""
    line, pinned = ({**record, "name": "", "at_ms": 0} for record in (CHAT, COMMENT))
    answer = {**pinned, "id": "comment-2", "text": "yes", "x": 0.0, "y": 0.0, "thread": "comment-1"}
    version = {**VERSION, "by": ""}
    stamped = by({**version, "at_ms": 0, "seq": 5}, "bob")
    return {
        "name": "what is said is stamped, stays as it is, and undo passes over it",
        "steps": [
            applied(op("ann", "op-00001", put(CHAT)), 1, put(by(line, "ann"))),
            applied(op("bob", "op-00002", put(COMMENT), put(STROKE)), 2,
                    put(by(pinned, "bob")), put(by(STROKE, "bob"))),
            taken(op("ann", "op-00003", put(answer)), 3),
            taken(op("ann", "op-00004", patch("comment-1", resolved=True)), 4),
            applied(op("bob", "op-00005", put(version)), 5, put(stamped)),
            refused(op("bob", "op-00006", patch("chat-1", text="no")), "read_only"),
            refused(op("bob", "op-00007", delete("chat-1")), "not_yours"),
            refused(op("ann", "op-00008", patch("version-1", seq=1)), "read_only"),
            taken(op("ann", "op-00009", patch("version-1", name="Best")), 6),
            applied(asks("bob", t="undo", id="op-00010"), 7, delete("stroke-1")),
            refused(asks("bob", t="undo", id="op-00011"), "nothing_to_undo"),
            applied(op("ann", "op-00012", delete("comment-1")), 8,
                    delete("comment-1"), delete("comment-2")),
        ],
        "records": [by(line, "ann"), {**stamped, "name": "Best"}],
    }  # fmt: skip


def notes() -> Json:
    late = op("bob", "op-00003", edit("note-1", 1, ["Please "], "text"))
    return {
        "name": "a note is written by several, moved and taken back",
        "steps": [
            taken(op("ann", "op-00001", put(NOTE)), 1),
            taken(op("ann", "op-00002", edit("note-1", 1, [3, " them:", -3], "text"),
                     patch("note-1", x=0.0)), 2),
            taken(late, 3),
            applied(asks("ann", t="undo", id="op-00004"), 4, patch("note-1", x=10.0)),
        ],
        "records": [by(NOTE, "ann", text="Please ask them: 😀")],
    }  # fmt: skip


def layers() -> Json:
    inside = {**STROKE, "layer": "layer-1"}
    return {
        "name": "a frame that goes and comes back brings its mask",
        "steps": [
            taken(op("ann", "op-00001", put(LAYER), put(inside), put(FRAME), put(MASK)), 1),
            taken(op("bob", "op-00002", patch("layer-1", visible=False, opacity=0.5)), 2),
            taken(op("bob", "op-00003", delete("mask-1"), delete("frame-1")), 3),
            applied(asks("bob", t="undo", id="op-00004"), 4,
                    put(by(FRAME, "ann")), put(by(MASK, "ann"))),
        ],
        "records": [
            by(LAYER, "ann", visible=False, opacity=0.5), by(inside, "ann"), by(FRAME, "ann"),
            by(MASK, "ann"),
        ],
    }  # fmt: skip


def decisions() -> Json:
    member = by({**MEMBER, "name": "", "muted": False}, "ann")
    access = {**ACCESS, "talk": False}
    return {
        "name": "what hosts decide about people are records, and no decision is no record",
        "steps": [
            applied(decided("op-00001", d="role", person="bob", role="editor"), 1,
                    put({**member, "role": "editor"})),
            applied(decided("op-00002", d="mute", person="bob", muted=True), 2,
                    patch(":member:bob", muted=True)),
            acked(decided("op-00003", d="mute", person="bob", muted=True), 0),
            applied(decided("op-00004", d="mute", person="bob", muted=False), 3,
                    patch(":member:bob", muted=False)),
            applied(decided("op-00005", d="role", person="bob", role=None), 4,
                    delete(":member:bob")),
            refused(decided("op-00006", d="ban", person="ann", banned=True), "yourself"),
            applied(decided("op-00007", d="ban", person="bob", banned=True), 5,
                    put({**member, "banned": True})),
            applied(decided("op-00008", d="access", open=False, role="viewer", talk=False), 6,
                    put({**access, "open": False, "role": "viewer"})),
            applied(decided("op-00009", d="model", model="dreams"), 7,
                    patch(":access:room", model="dreams")),
            applied(decided("op-00010", d="timer", seconds=60), 8,
                    put({**TIMER, "ends_ms": 60_000})),
            applied(decided("op-00011", d="timer", seconds=90), 9,
                    delete(":timer:room"), put({**TIMER, "ends_ms": 90_000})),
            applied(decided("op-00012", d="stop_timer"), 10, delete(":timer:room")),
            refused(decided("op-00013", d="revoke", invite=":invite:none"), "missing"),
            refused(asks("ann", t="undo", id="op-00014"), "nothing_to_undo"),
        ],
        "records": [
            {**member, "banned": True},
            {**access, "open": False, "role": "viewer", "model": "dreams"},
        ],
    }  # fmt: skip


def clearing() -> Json:
    line = {**CHAT, "name": "", "at_ms": 0}
    return {
        "name": "a room is cleared of all but what was said and decided, and that can be undone",
        "steps": [
            taken(op("bob", "op-00001", put(STROKE), put(FRAME), put(MASK)), 1),
            taken(op("bob", "op-00002", put(line)), 2),
            applied(decided("op-00003", d="lock", record="frame-1", locked=True), 3, put(LOCK)),
            applied(decided("op-00004", d="clear"), 4,
                    delete("stroke-1"), delete("frame-1"), delete(LOCK["id"]), delete("mask-1")),
            acked(decided("op-00005", d="clear"), 0),
            applied(asks("ann", t="undo", id="op-00006"), 5,
                    put(by(MASK, "bob")), put(LOCK), put(by(FRAME, "bob")), put(by(STROKE, "bob"))),
        ],
        "records": [by(STROKE, "bob"), by(FRAME, "bob"), by(MASK, "bob"), by(line, "bob"), LOCK],
    }  # fmt: skip


def polling() -> Json:
    """Whoever gives dots sees their own; everybody else hears how many have."""
    poll = {**POLL, "voters": 0, "revealed": False, "tally": {}, "dots": 2}
    ballot = {**BALLOT, "id": ":ballot:bob", "by": "bob"}
    given = patch(":ballot:bob", dots={"note-1": 1})
    ballots = (put(ballot), given, delete(":ballot:bob"))

    def voted(step: Json, seq: int, *changes: Json) -> Json:
        heard = applied(step, seq, *changes)
        shown = [change for change in changes if change not in ballots]
        others = {**heard["applied"], "changes": shown}
        return {**heard, "seen_by": "bob", "others": others}

    return {
        "name": "dots are their giver's until a host reveals them",
        "steps": [
            taken(op("bob", "op-00001", put(NOTE)), 1),
            refused(asks("bob", t="vote", id="op-00002", dots={"note-1": 1}), "no_poll"),
            applied(decided("op-00003", d="poll", over="notes", dots=2), 2, put(poll)),
            refused(asks("bob", t="vote", id="op-00004", dots={"note-1": 3}), "too_many"),
            voted(asks("bob", t="vote", id="op-00005", dots={"note-1": 2}), 3,
                  put(ballot), patch(":poll:room", voters=1)),
            voted(asks("bob", t="vote", id="op-00006", dots={"note-1": 1}), 4,
                  given),
            refused(op("bob", "op-00007", delete(":ballot:bob")), "server_owned"),
            voted(decided("op-00008", d="reveal"), 5,
                  patch(":poll:room", revealed=True, tally={"note-1": 1}), delete(":ballot:bob")),
            applied(decided("op-00009", d="close_poll"), 6, delete(":poll:room")),
        ],
        "records": [by(NOTE, "bob")],
    }  # fmt: skip


def room() -> Json:
    scripts = (
        last_writer_wins(), delete_beats_patch(), once_only(), refusals(), typing_together(),
        undo_and_redo(), undo_spares_others(),
        candidates(), hosts(), saying(), notes(), layers(), decisions(), clearing(), polling(),
    )  # fmt: skip
    return {"scripts": list(scripts)}
