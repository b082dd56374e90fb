"""Dots for what people like best, decided by the room alone. Rule T13."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from server.core.access import EDITOR, Standing
from server.core.deeds import Clear, ClosePoll, OpenPoll, Reveal, TakeBack
from server.core.messages import Vote
from server.core.polls import POLL_ID, ballot_id, shown, shown_changes
from server.core.records import Ballot, Candidate, Change, Delete, Patch, Poll, Put
from server.core.room import Settled, Taken
from tests.server.core.test_access import ANN, BOB, CAT, VIEWER, Founded, refused, stroke
from tests.server.core.test_talk import TALKER, note

if TYPE_CHECKING:
    from server.core.ids import PersonId


class Polled(Founded):
    """A room with notes a, b and c, and a poll over them with three dots each."""

    def __init__(self) -> None:
        super().__init__()
        self.do(ANN, note("a"), note("b"), note("c"), stroke("drawn"))
        self.decide(OpenPoll(over="notes", dots=3))

    def vote(self, by: PersonId, standing: Standing = EDITOR, **dots: int) -> Taken | Settled:
        request = Vote(id=self._new_id(), dots=dots)
        return self._keep(self.room.request(request, by, 0, standing))

    @property
    def poll(self) -> Poll:
        poll = self.room.records[POLL_ID]
        assert isinstance(poll, Poll)
        return poll


def test_t13_each_ballot_is_seen_by_nobody_else_until_they_are_counted() -> None:
    made = Polled()
    made.vote(BOB, a=2, b=1)
    outcome = made.vote(CAT, a=1)
    assert isinstance(outcome, Taken)
    assert made.poll.voters == 2
    assert made.poll.tally == {}
    for person, own in ((BOB, {"a": 2, "b": 1}), (CAT, {"a": 1}), (ANN, None)):
        ballots = [r for r in shown(made.room.records, person) if isinstance(r, Ballot)]
        assert [ballot.dots for ballot in ballots] == ([] if own is None else [own])
        heard = shown_changes(outcome.entry.changes, person)
        assert any(isinstance(c, Put) for c in heard) == (person == CAT)
        assert Patch(POLL_ID, {"voters": 2}) in heard

    made.decide(Reveal())
    assert made.poll.revealed
    assert made.poll.tally == {"a": 3, "b": 1}
    assert [r for r in made.room.records.values() if isinstance(r, Ballot)] == []
    assert made.replayed().state() == made.room.state()


def test_t13_who_gave_what_is_in_no_record_that_stays() -> None:
    made = Polled()
    made.vote(BOB, c=3)
    made.decide(Reveal())
    records = list(made.room.records.values())
    assert b"ballot" not in msgspec.msgpack.encode(records)


def test_t13_one_votes_anew_and_takes_ones_dots_back() -> None:
    made = Polled()
    made.vote(BOB, a=3)
    made.vote(BOB, b=1)
    ballot = made.room.records[ballot_id(BOB)]
    assert isinstance(ballot, Ballot)
    assert ballot.dots == {"b": 1}
    assert made.poll.voters == 1
    made.vote(BOB)
    assert ballot_id(BOB) not in made.room.records
    assert made.poll.voters == 0
    assert made.vote(BOB) == Settled(0)
    assert made.room.history(BOB) == (0, 0)
    assert made.replayed().state() == made.room.state()


def test_t13_dots_are_counted_and_go_to_what_the_poll_is_about() -> None:
    made = Polled()
    with refused("too_many"):
        made.vote(BOB, a=2, b=2)
    for missing in ("gone", "drawn"):
        with refused("missing"):
            made.vote(BOB, EDITOR, **{missing: 1})
    made.vote(BOB, a=1, b=1)
    made.do(ANN, Delete("a"))
    made.decide(Reveal())
    assert made.poll.tally == {"b": 1}
    with refused("no_poll"):
        made.vote(BOB, b=1)
    with refused("no_poll"):
        made.decide(Reveal())


@pytest.mark.parametrize(
    ("fields", "is_fine"), [({}, True), ({"state": "accepted"}, False), ({"live": True}, False)]
)
def test_t13_a_poll_is_over_pictures_that_can_still_be_kept(
    fields: dict[str, object], is_fine: bool
) -> None:
    made = Polled()
    picture = Candidate(
        id="cand", frame="f", job="j", index=0, blob="0f" * 32, seed=1, x=0.0, y=0.0, w=8.0, h=8.0
    )
    made.append(ANN, Put(msgspec.structs.replace(picture, **fields)))
    made.decide(OpenPoll(over="candidates", dots=1))
    with refused("missing"):
        made.vote(BOB, a=1)
    if is_fine:
        made.vote(BOB, cand=1)
    else:
        with refused("missing"):
            made.vote(BOB, cand=1)


def test_t13_only_hosts_poll_and_a_new_poll_forgets_the_one_before() -> None:
    made = Polled()
    made.vote(BOB, a=1)
    for deed in (OpenPoll(over="notes", dots=1), Reveal(), ClosePoll()):
        with refused("not_host"):
            made.decide(deed, by=BOB, standing=EDITOR)
    made.decide(OpenPoll(over="notes", dots=1))
    assert ballot_id(BOB) not in made.room.records
    assert (made.poll.voters, made.poll.dots) == (0, 1)
    made.decide(ClosePoll())
    assert POLL_ID not in made.room.records


@pytest.mark.parametrize(
    ("standing", "code"), [(VIEWER, "viewer"), (Standing("editor", muted=True), "muted")]
)
def test_t13_who_may_talk_may_vote(standing: Standing, code: str) -> None:
    made = Polled()
    made.vote(CAT, TALKER, a=1)
    with refused(code):
        made.vote(BOB, standing, a=1)


@pytest.mark.parametrize(
    "change",
    [
        Put(Ballot(id=":ballot:bob", dots={"a": 3})),
        Put(Poll(id=":poll:other", over="notes", dots=3)),
        Patch(POLL_ID, {"revealed": True}),
        Patch(":ballot:cat", {"dots": {"b": 3}}),
        Delete(":ballot:cat"),
    ],
)
def test_t13_nobody_writes_ballots_but_by_voting(change: Change) -> None:
    made = Polled()
    made.vote(CAT, a=1)
    with refused("server_owned"):
        made.do(BOB, change)


def test_t13_clearing_the_canvas_and_taking_back_leave_the_poll() -> None:
    made = Polled()
    made.vote(BOB, a=1)
    made.decide(TakeBack(person=BOB))
    assert ballot_id(BOB) in made.room.records
    made.decide(Clear())
    assert made.poll.voters == 1
