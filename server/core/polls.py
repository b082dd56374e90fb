"""Polls: people give dots to what they like best; others' are hidden until a host reveals them.

Ballots are records, so that they are durable and a restart changes nothing; but each is sent to
nobody except whose it is. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.core.deeds import ClosePoll, OpenPoll, Reveal
from server.core.errors import Refusal
from server.core.messages import Applied
from server.core.records import (
    Ballot,
    Candidate,
    Change,
    Delete,
    Note,
    Patch,
    Poll,
    Put,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.core.entries import Entry
    from server.core.ids import PersonId

POLL_ID = ":poll:room"
_BALLOT = ":ballot:"


def ballot_id(person: str) -> str:
    return f"{_BALLOT}{person}"


def is_hidden(id: str, person: str) -> bool:
    """Whether a record is nobody's business but somebody else's."""
    return id.startswith(_BALLOT) and id != ballot_id(person)


def shown(records: Mapping[str, Record], person: str) -> list[Record]:
    """All records that this person may see."""
    if POLL_ID not in records:
        return list(records.values())
    return [record for record in records.values() if not is_hidden(record.id, person)]


def shown_changes(changes: list[Change], person: str) -> list[Change]:
    """The changes of those records: the same list where all of them are."""
    if not touches_ballots(changes):
        return changes
    return [change for change in changes if not is_hidden(_id_of(change), person)]


def applied(entry: Entry, person: PersonId) -> Applied:
    """What this person hears of an op: all but the ballots of others."""
    changes = shown_changes(entry.changes, person)
    return Applied(seq=entry.seq, id=entry.id, by=entry.by, changes=changes)


def touches_ballots(changes: Iterable[Change]) -> bool:
    return any(_id_of(change).startswith(_BALLOT) for change in changes)


def _id_of(change: Change) -> str:
    return change.record.id if isinstance(change, Put) else change.id


def plan(deed: OpenPoll | Reveal | ClosePoll, records: Mapping[str, Record]) -> list[Change]:
    """The changes that carry out what a host asks for; raises Refusal."""
    match deed:
        case OpenPoll(over=over, dots=dots):
            return [*_closed(records), Put(Poll(id=POLL_ID, over=over, dots=dots))]
        case Reveal():
            return _revealed(records)
        case ClosePoll():
            return _closed(records)


def _closed(records: Mapping[str, Record]) -> list[Change]:
    return [Delete(id) for id, record in records.items() if isinstance(record, Poll | Ballot)]


def _revealed(records: Mapping[str, Record]) -> list[Change]:
    """Count the dots for what is still there; whose they were is then known to nobody."""
    _open_poll(records)
    ballots = [record for record in records.values() if isinstance(record, Ballot)]
    tally: dict[str, int] = {}
    for ballot in ballots:
        for id, dots in ballot.dots.items():
            if id in records:
                tally[id] = tally.get(id, 0) + dots
    fields = {"revealed": True, "tally": tally}
    return [Patch(POLL_ID, fields), *(Delete(ballot.id) for ballot in ballots)]


def voted(dots: Mapping[str, int], records: Mapping[str, Record], person: str) -> list[Change]:
    """Give these dots instead of those given before; raises Refusal."""
    poll = _open_poll(records)
    _check_dots(dots, poll, (records.get(id) for id in dots))
    id = ballot_id(person)
    if id in records:
        change = Patch(id, {"dots": dict(dots)}) if dots else Delete(id)
        return [change] if dots else [change, Patch(POLL_ID, {"voters": poll.voters - 1})]
    if not dots:
        return []
    return [Put(Ballot(id=id, dots=dict(dots))), Patch(POLL_ID, {"voters": poll.voters + 1})]


def _check_dots(dots: Mapping[str, int], poll: Poll, records: Iterable[Record | None]) -> None:
    if (num := sum(dots.values())) > poll.dots:
        raise Refusal("too_many", f"expected at most {poll.dots} dots, got {num}")
    for record in records:
        is_open = isinstance(record, Candidate) and record.state == "open" and not record.live
        if not (isinstance(record, Note) if poll.over == "notes" else is_open):
            raise Refusal("missing", f"expected dots on {poll.over} that are there")


def _open_poll(records: Mapping[str, Record]) -> Poll:
    poll = records.get(POLL_ID)
    if not isinstance(poll, Poll) or poll.revealed:
        raise Refusal("no_poll", "there is no poll that is open")
    return poll
