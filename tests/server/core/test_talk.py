"""Chat, comments and sticky notes, decided by the room alone. Rules T1 to T6, T11."""

from __future__ import annotations

import pytest

from server.core.access import EDITOR, Standing
from server.core.deeds import Clear, SetAccess, TakeBack
from server.core.limits import RoomLimits
from server.core.messages import Op
from server.core.records import Change, Chat, Comment, Delete, Edit, Note, Patch, Put, Version
from server.core.room import Taken
from tests.server.core.test_access import ANN, BOB, CAT, HOST, VIEWER, Founded, refused, stroke

TALKER = Standing("viewer", talk=True)


def chat(id: str, text: str = "hello", **fields: object) -> Put:
    return Put(Chat(id=id, text=text, **fields))  # type: ignore[arg-type]


def comment(id: str, thread: str | None = None, **fields: object) -> Put:
    return Put(Comment(id=id, text="look here", thread=thread, **fields))  # type: ignore[arg-type]


def note(id: str, text: str = "") -> Put:
    return Put(Note(id=id, z="a0", x=0.0, y=0.0, text=text))


def test_t1_what_is_said_is_stamped_with_who_said_it_and_when() -> None:
    made = Founded()
    forged = chat("one", by=ANN, name="Ann", at_ms=5)
    outcome = made.room.request(Op(id="op-chat-1", changes=[forged]), BOB, 70, EDITOR, "Bob")
    assert isinstance(outcome, Taken)
    assert not outcome.as_asked
    assert made.room.records["one"] == Chat(id="one", by=BOB, text="hello", name="Bob", at_ms=70)
    assert outcome.entry.changes == [Put(made.room.records["one"])]


@pytest.mark.parametrize("said", [chat("said"), comment("said")])
def test_t1_what_was_said_stays_as_it_is(said: Put) -> None:
    made = Founded()
    made.do(BOB, said)
    for field, value in (("text", "never"), ("name", "Ann"), ("at_ms", 1), ("id", "other")):
        with refused("read_only"):
            made.do(BOB, Patch("said", {field: value}))
    with refused("bad_edit"):
        made.do(BOB, Edit("said", "text", 1, ["x"]))


@pytest.mark.parametrize("said", [chat("said"), comment("said")])
def test_t2_only_its_author_or_a_host_deletes_what_was_said(said: Put) -> None:
    made = Founded()
    made.do(BOB, said)
    with refused("not_yours"):
        made.do(CAT, Delete("said"))
    made.do(BOB, Delete("said"))
    made.do(BOB, Put(said.record))
    made.do(ANN, Delete("said"), standing=HOST)
    assert "said" not in made.room.records


def test_t2_undo_passes_over_what_was_said() -> None:
    made = Founded()
    made.do(BOB, stroke("drawn"))
    made.do(BOB, chat("line"))
    made.do(BOB, comment("pinned"), stroke("with it"))
    made.undo(BOB)
    made.undo(BOB)
    assert made.drawn() == {"line", "pinned"}
    assert made.room.history(BOB) == (0, 2)
    made.do(BOB, chat("another"))
    assert made.room.history(BOB) == (0, 2)
    assert made.replayed().state() == made.room.state()


def test_t2_a_host_takes_back_what_somebody_said_and_can_undo_that() -> None:
    made = Founded()
    made.do(BOB, chat("line"))
    made.do(CAT, comment("thread"))
    made.do(BOB, comment("answer", "thread"))
    made.decide(TakeBack(person=BOB))
    assert made.drawn() == {"thread"}
    made.undo(ANN, HOST)
    assert made.drawn() == {"line", "thread", "answer"}
    assert made.replayed().state() == made.room.state()


def test_t3_the_chat_keeps_its_newest_lines_only() -> None:
    made = Founded(RoomLimits(chat_lines=3))
    made.do(BOB, chat("a"), stroke("drawn"))
    made.do(ANN, chat("b"), chat("c"))
    outcome = made.do(BOB, chat("d"), chat("e"))
    assert isinstance(outcome, Taken)
    assert outcome.entry.changes[2:] == [Delete("a"), Delete("b")]
    assert made.drawn() == {"c", "d", "e", "drawn"}
    made.do(BOB, Delete("d"))
    made.do(BOB, chat("f"))
    assert made.drawn() == {"c", "e", "f", "drawn"}
    assert made.replayed().state() == made.room.state()


def test_t3_clearing_the_canvas_leaves_the_chat() -> None:
    made = Founded()
    made.do(BOB, chat("line"), comment("thread"), note("note"), stroke("drawn"))
    made.decide(Clear())
    assert made.drawn() == {"line"}


def test_t4_a_thread_goes_with_its_first_comment() -> None:
    made = Founded()
    made.do(BOB, comment("thread"))
    made.do(CAT, comment("answer", "thread"), comment("other"))
    outcome = made.do(BOB, comment("mine", "thread"), Delete("thread"))
    assert isinstance(outcome, Taken)
    assert not outcome.as_asked
    assert made.drawn() == {"other"}
    assert made.replayed().state() == made.room.state()


def test_t4_answers_need_a_thread_that_is_there() -> None:
    made = Founded()
    made.do(BOB, comment("thread"), stroke("drawn"))
    made.do(CAT, comment("answer", "thread"))
    for missing in ("gone", "drawn", "answer", "itself"):
        with refused("missing"):
            made.do(BOB, comment("itself", missing))


def test_t4_whoever_may_comment_resolves_threads() -> None:
    made = Founded()
    made.do(BOB, comment("thread"))
    made.do(CAT, Patch("thread", {"resolved": True}), standing=TALKER)
    thread = made.room.records["thread"]
    assert isinstance(thread, Comment)
    assert thread.resolved
    made.do(CAT, comment("answer", "thread"))
    with refused("read_only"):
        made.do(CAT, Patch("answer", {"resolved": True}))
    with refused("read_only"):
        made.do(BOB, Patch("thread", {"resolved": False, "x": 9.0}))


@pytest.mark.parametrize(
    "changes",
    [
        [stroke("new")],
        [note("new")],
        [chat("new"), stroke("new-2")],
        [chat("new"), Delete("drawn")],
        [Patch("drawn", {"x": 1.0})],
        [Delete("gone")],
        [Edit("note", "text", 1, ["x"])],
    ],
)
def test_t5_viewers_who_may_talk_do_nothing_else(changes: list[Change]) -> None:
    made = Founded()
    made.do(BOB, stroke("drawn"), note("note"))
    made.do(CAT, chat("line"), comment("thread"), standing=TALKER)
    with refused("viewer"):
        made.do(CAT, *changes, standing=TALKER)
    with refused("viewer"):
        made.undo(CAT, TALKER)
    assert made.drawn() == {"drawn", "note", "line", "thread"}


def test_t5_viewers_talk_only_where_hosts_let_them_and_the_muted_never() -> None:
    made = Founded()
    made.decide(SetAccess(open=True, role="viewer", talk=False))
    assert made.standing(BOB) == VIEWER
    made.decide(SetAccess(open=True, role="viewer", talk=True))
    assert made.standing(BOB) == TALKER
    with refused("viewer"):
        made.do(BOB, chat("line"), standing=VIEWER)
    for role in ("viewer", "editor"):
        with refused("viewer" if role == "viewer" else "muted"):
            made.do(BOB, chat("line"), standing=Standing(role, muted=True, talk=True))
    made.do(BOB, chat("line"), standing=TALKER)


def test_t6_two_who_write_on_one_note_lose_no_letter_and_can_take_the_note_back() -> None:
    made = Founded()
    made.do(BOB, note("note", "ac"))
    base = int(made.room.seq)
    made.do(BOB, Edit("note", "text", base, [1, "b"]))
    made.do(CAT, Edit("note", "text", base, [2, "d"]))
    written = made.room.records["note"]
    assert isinstance(written, Note)
    assert written.text == "abcd"
    made.do(BOB, Patch("note", {"x": 40.0, "color": "#b8e0ff"}))
    made.undo(BOB)
    moved = made.room.records["note"]
    assert isinstance(moved, Note)
    assert (moved.x, moved.color) == (0.0, "#ffe27a")


def test_t11_a_version_may_be_renamed_and_nothing_else_of_it_changes() -> None:
    made = Founded()
    made.do(BOB, stroke("drawn"), Put(Version(id="first", name="First", seq=99)))
    version = made.room.records["first"]
    assert isinstance(version, Version)
    assert version.seq == made.room.seq
    made.do(CAT, Patch("first", {"name": "Draft"}))
    for field, value in (("seq", 1), ("at_ms", 1)):
        with refused("read_only"):
            made.do(BOB, Patch("first", {field: value}))
    with refused("not_yours"):
        made.do(CAT, Delete("first"))
    made.undo(BOB)
    assert made.drawn() == {"first"}
    made.decide(Clear())
    assert made.drawn() == {"first"}
    assert made.replayed().state() == made.room.state()
    with refused("viewer"):
        made.do(CAT, Put(Version(id="second", name="Second")), standing=TALKER)
