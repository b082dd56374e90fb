"""Who may do what in a room, told from its records and from what somebody came with. Pure.

Asked in this order: whoever is banned stays out; a role of one's own holds, link or no link; then
the link one came by; then what a login vouches for; then what the room gives to strangers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from server.core import ids
from server.core.errors import Refusal
from server.core.records import Access, Invite, Lock, Member, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.core.records import Record

ACCESS_ID = ":access:room"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody came with, besides the room's id and their key."""

    invite: str | None = None
    """The record of the link that they came by."""
    role: Role | None = None
    """What a signed token gives them."""
    login: str = ""
    """Who they are to the login that vouches for them; "": only their key tells."""
    name: str = ""
    """What that login calls them."""


STRANGER = Grant()


class Standing(msgspec.Struct, frozen=True):
    """What somebody who is in the room may do now."""

    role: Role
    muted: bool = False
    talk: bool = False
    """Whether the room lets viewers chat and comment."""

    @property
    def is_host(self) -> bool:
        return self.role == "host"

    @property
    def may_change(self) -> bool:
        return self.role != "viewer" and not self.muted

    def check_may_change(self) -> None:
        """Raise Refusal where this one may only watch."""
        if self.role == "viewer":
            raise Refusal("viewer", "you may watch here, not change anything: ask a host")
        if self.muted:
            raise Refusal("muted", "a host has muted you: ask them")

    def check_may_talk(self) -> None:
        """Raise Refusal where this one may not even chat and comment."""
        if self.muted or not self.talk:
            self.check_may_change()

    def check_is_host(self) -> None:
        if not self.is_host:
            raise Refusal("not_host", "only a host of this room may do this")


EDITOR = Standing("editor")


def member_id(person: str) -> str:
    return f":member:{person}"


def invite_id(name: str) -> str:
    return f":invite:{name}"


def lock_id(of: str) -> str:
    return f":lock:{of}"


def access_of(records: Mapping[str, Record]) -> Access:
    access = records.get(ACCESS_ID)
    return access if isinstance(access, Access) else Access(id=ACCESS_ID)


def member_of(records: Mapping[str, Record], person: str) -> Member:
    """What the room holds of this person; a blank one if nothing is decided about them."""
    member = records.get(member_id(person))
    if isinstance(member, Member):
        return member
    return Member(id=member_id(person), person=person)


def standing(
    records: Mapping[str, Record], person: str, grant: Grant, now_ms: int
) -> Standing | None:
    """What this person may do; None: they may not be here."""
    member = member_of(records, person)
    role = None if member.banned else member.role or _role_by(records, grant, now_ms)
    talk = access_of(records).talk
    return None if role is None else Standing(role, member.muted, talk)


def is_passing(records: Mapping[str, Record], person: str, grant: Grant) -> bool:
    """Whether this person's role ends with the link that they came by."""
    return grant.invite is not None and member_of(records, person).role is None


def _role_by(records: Mapping[str, Record], grant: Grant, now_ms: int) -> Role | None:
    if grant.invite is not None:
        invite = records.get(grant.invite)
        return invite.role if isinstance(invite, Invite) and is_valid(invite, now_ms) else None
    if grant.role is not None:
        return grant.role
    access = access_of(records)
    return access.role if access.open else None


def is_valid(invite: Invite, now_ms: int) -> bool:
    return invite.expires_ms is None or now_ms < invite.expires_ms


def invited_by(records: Mapping[str, Record], link: str, now_ms: int) -> Invite | None:
    """The invite that this link (`name.secret`) opens; None if there is none, or none any more."""
    name, _, secret = link.partition(".")
    invite = records.get(invite_id(name))
    kept = invite.digest if isinstance(invite, Invite) else ids.digest("")
    # Compared even where there is nothing to find, so that both take as long.
    is_right = ids.is_secret(secret, kept) and secret != ""
    if isinstance(invite, Invite) and is_right and is_valid(invite, now_ms):
        return invite
    return None


def check_locks(records: Mapping[str, Record], touched: Iterable[Record]) -> None:
    """Raise Refusal if any of these is locked, or belongs to a layer or frame that is."""
    for record in touched:
        for id in (record.id, getattr(record, "layer", None), getattr(record, "frame", None)):
            if id is not None and isinstance(records.get(lock_id(id)), Lock):
                raise Refusal("locked", f"a host has locked {id}: ask them")
