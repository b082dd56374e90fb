"""Histories that went wrong once, step by step. Rules S5, G36, R3.

The state machine of `test_histories.py` finds each of them again where its bug is put back. Others
that need more than a room stand with what they are about: who comes while a room is unloaded (R20)
in `net/test_unload.py`, a copy of what was cut off a journal (J9) in `net/test_rooms.py`, a page
that is online before it has taken up what was left (W15) in `web/tests/open-room.test.ts`.
"""

from __future__ import annotations

from server.core.messages import Op
from server.core.records import Job
from tests.server.core.test_room import stroke
from tests.server.test_histories import Histories


def begun() -> Histories:
    history = Histories()
    history.ann_makes_a_room_that_carl_may_enter_by_a_link()
    return history


def check(history: Histories) -> None:
    history.nobody_has_heard_what_isnt_durable()
    history.nothing_happened_twice()
    history.what_somebody_asked_for_came_in_that_order()
    history.each_copy_is_the_room_as_it_was_then()


def test_s5_a_line_that_broke_within_a_snapshot_leaves_no_half_of_a_room_behind() -> None:
    history = begun()
    carl = history.members["carl"]
    for num_heard in range(4):
        history.give_up_a_line("carl", heard=0)
        history.come_back("carl", is_anew=True, heard=num_heard)
        assert not carl.is_ready
        history.give_up_a_line("carl", heard=0)
        check(history)
        history.come_back("carl", is_anew=False, heard=0)
        history.hurry()
        check(history)
    history.teardown()


def test_g36_a_picture_that_is_ready_after_its_room_has_failed_is_put_nowhere() -> None:
    history = begun()
    history.generate("bob", "f", at_once=False)
    history.fail_the_disk()
    failed = history.generation.waiting[0][0]
    history.deliver_a_picture()
    assert not any(isinstance(record, Job) for record in failed.records.values())
    check(history)
    history.mend_the_disk()
    history.come_back("bob", is_anew=False, heard=0)
    history.draw("bob", [stroke("b")], comes_through=True)
    check(history)
    history.teardown()


def test_r3_what_a_line_given_up_still_delivers_isnt_taken_again() -> None:
    """Sent over one line, lost from sight, sent again over the next, and then both arrive."""
    history = begun()
    history.write("carl", "g", ["x"], comes_through=False)
    (sent,) = (request for line in [history.members["carl"].line] if line for request in line.up)
    history.give_up_a_line("carl", heard=0)
    history.come_back("carl", is_anew=False, heard=0)
    history.hurry()
    history.take("carl")
    (ghost,) = history.ghosts
    assert isinstance(sent, Op)
    seq = history.room.seq
    assert history.room.has_taken(sent.id)
    history._take(ghost)
    assert history.room.seq == seq
    history.hurry()
    check(history)
    history.teardown()
