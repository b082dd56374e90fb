"""What a host's deed changes in the records about people. Pure; applies nothing.

What takes back work is the room's own business: it needs undo steps and stamps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core import access, polls
from server.core.deeds import (
    Ban,
    ChooseModel,
    Clear,
    ClosePoll,
    Deed,
    Gather,
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
from server.core.records import (
    PEOPLE,
    Change,
    Chat,
    Delete,
    Frame,
    Invite,
    Layer,
    Lock,
    Member,
    Patch,
    Put,
    Record,
    Role,
    Timer,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMER_ID = ":timer:room"
MAX_MEMBERS, MAX_INVITES, MAX_LOCKS = 1_000, 100, 1_000


class Decider(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides, and what they bring along that a room can't know."""

    person: str
    now_ms: int
    digest: str = ""
    """Of the new link's secret."""
    invite: str = ""
    """What the new link is called."""
    is_passing: bool = False
    """Whether they are a host by a link only, and no longer than that lasts."""
    name: str = ""
    """What whom it is about is called at the moment."""


def plan(deed: Deed, records: Mapping[str, Record], host: Decider) -> list[Change]:
    """The changes that carry out the deed; raises Refusal."""
    match deed:
        case SetAccess() | ChooseModel():
            return _rule(deed, records)
        case MakeInvite():
            return [_invited(deed, records, host)]
        case Revoke(invite=id):
            return [_revoked(id, records)]
        case SetRole() | Mute() | Ban():
            return _decide(deed, records, host)
        case Kick() | Gather():
            return _passing(deed, host)
        case StartTimer() | StopTimer():
            return _timed(deed, records, host)
        case SetLock():
            return _lock(deed, records)
        case OpenPoll() | Reveal() | ClosePoll():
            return polls.plan(deed, records)
        case Clear() | TakeBack():
            raise AssertionError("the room itself takes back work")


def cleared(records: Mapping[str, Record]) -> list[Change]:
    """All that lies on the canvas goes, and its locks; chat, versions and decisions stay."""
    return [
        Delete(id)
        for id, record in records.items()
        if not isinstance(record, (Chat, Version, *PEOPLE)) or isinstance(record, Lock)
    ]


def founded(by: str, name: str, role: Role) -> list[Change]:
    """What makes a room of one that nobody has been in, and its maker what they are there.

    A token may bring in somebody who is no host: then the hosts are those whose tokens say so.
    """
    changes: list[Change] = [Put(access.access_of({}))]
    if role == "host":
        changes.append(Put(Member(id=access.member_id(by), person=by, name=name, role=role)))
    return changes


def _rule(deed: SetAccess | ChooseModel, records: Mapping[str, Record]) -> list[Change]:
    """What holds for the whole room; each leaves the other as it is."""
    fields: dict[str, object]
    if isinstance(deed, ChooseModel):
        fields = {"model": deed.model}
    else:
        fields = {"open": deed.open, "role": deed.role, "talk": deed.talk}
    return _set(records, access.access_of(records), fields)


def _invited(deed: MakeInvite, records: Mapping[str, Record], host: Decider) -> Put:
    if deed.expires_ms is not None and deed.expires_ms <= host.now_ms:
        raise Refusal("bad_record", "expected a link that expires later than now")
    _check_room_for(Invite, records, MAX_INVITES, "links: revoke some")
    return Put(
        Invite(
            id=access.invite_id(host.invite),
            role=deed.role,
            digest=host.digest,
            expires_ms=deed.expires_ms,
        )
    )


def _revoked(id: str, records: Mapping[str, Record]) -> Delete:
    if not isinstance(records.get(id), Invite):
        raise Refusal("missing", "there is no such link (any more)")
    return Delete(id)


def _passing(deed: Kick | Gather, host: Decider) -> list[Change]:
    """What leaves no trace in the room."""
    if isinstance(deed, Kick):
        _check_is_other(deed.person, host)
    return []


def _timed(
    deed: StartTimer | StopTimer, records: Mapping[str, Record], host: Decider
) -> list[Change]:
    before: list[Change] = [Delete(TIMER_ID)] if TIMER_ID in records else []
    if isinstance(deed, StopTimer):
        return before
    return [*before, Put(Timer(id=TIMER_ID, ends_ms=host.now_ms + deed.seconds * 1_000))]


def _decide(
    deed: SetRole | Mute | Ban, records: Mapping[str, Record], host: Decider
) -> list[Change]:
    _check_is_other(deed.person, host)
    member = access.member_of(records, deed.person)
    if member.id not in records:
        _check_room_for(Member, records, MAX_MEMBERS, "people about whom something is decided")
    if host.is_passing and _takes_last_host(deed, member, records):
        raise Refusal("last_host", "this room has no other host that stays: make one first")
    fields: dict[str, object]
    match deed:
        case SetRole(role=role):
            fields = {"role": role}
        case Mute(muted=muted):
            fields = {"muted": muted}
        case Ban(banned=banned):
            fields = {"banned": banned}
    if host.name:
        fields["name"] = host.name
    decided = msgspec.structs.replace(member, **fields)
    if (decided.role, decided.muted, decided.banned) == (None, False, False):
        # Nothing is decided about them any more: they make room for others.
        return [Delete(member.id)] if member.id in records else []
    return _set(records, member, fields)


def _takes_last_host(
    deed: SetRole | Mute | Ban, member: Member, records: Mapping[str, Record]
) -> bool:
    """Whether nobody's own role would be host any more."""
    stays = {r.id for r in records.values() if isinstance(r, Member) and _is_lasting_host(r)}
    match deed:
        case SetRole(role=role):
            takes = role != "host"
        case Ban(banned=takes):
            pass
        case Mute():
            takes = False
    return takes and stays == {member.id}


def _is_lasting_host(member: Member) -> bool:
    return member.role == "host" and not member.banned


def _lock(deed: SetLock, records: Mapping[str, Record]) -> list[Change]:
    id = access.lock_id(deed.record)
    if not deed.locked:
        return [Delete(id)] if id in records else []
    if not isinstance(records.get(deed.record), Layer | Frame):
        raise Refusal("missing", f"expected a layer or a frame to lock, {deed.record} is none")
    _check_room_for(Lock, records, MAX_LOCKS, "locks: unlock some")
    return [] if id in records else [Put(Lock(id=id, of=deed.record))]


def _set(
    records: Mapping[str, Record], blank: Record, fields: Mapping[str, object]
) -> list[Change]:
    """Set fields of a record that may have to be made for it; nothing if that is how it is."""
    new = {name: value for name, value in fields.items() if getattr(blank, name) != value}
    if not new:
        return []
    if blank.id in records:
        return [Patch(blank.id, new)]
    return [Put(msgspec.structs.replace(blank, **new))]


def _check_is_other(person: str, host: Decider) -> None:
    # A room whose last host has muted or banned themselves would be nobody's.
    if person == host.person:
        raise Refusal("yourself", "this can be done to others only: ask another host")


def _check_room_for(
    kind: type[Record], records: Mapping[str, Record], most: int, what: str
) -> None:
    if sum(isinstance(record, kind) for record in records.values()) >= most:
        raise Refusal("too_many", f"a room holds at most {most} {what}")
