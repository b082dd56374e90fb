"""What only a host may ask for: decisions about the room and the people in it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from gpu.api import ModelId
from server.core.ids import AnyId, OwnedId, RecordId
from server.core.records import MAX_DOTS, PollOver, Role, StrangerRole

ExpiresMs = Annotated[int, Meta(ge=0, lt=2**53)]


class _Deed(msgspec.Struct, frozen=True, kw_only=True, tag_field="d", forbid_unknown_fields=True):
    pass


class SetAccess(_Deed, frozen=True, tag="access"):
    """Open the room to all who know its id, as `role`, or close it to strangers."""

    open: bool
    role: StrangerRole = "editor"
    talk: bool = False
    """Let viewers chat and comment."""


class ChooseModel(_Deed, frozen=True, tag="model"):
    """Say which model frames use that name none; "" for the server's default one."""

    model: ModelId


class MakeInvite(_Deed, frozen=True, tag="invite"):
    """Make a link; `invited` answers with its secret, which is told this once."""

    role: Role
    expires_ms: ExpiresMs | None = None


class Revoke(_Deed, frozen=True, tag="revoke"):
    """End a link; whoever came by it and has no role of their own has to go."""

    invite: OwnedId


class SetRole(_Deed, frozen=True, tag="role"):
    """Give somebody a role of their own, or (None) leave it to what they came with."""

    person: RecordId
    role: Role | None


class Mute(_Deed, frozen=True, tag="mute"):
    person: RecordId
    muted: bool


class Kick(_Deed, frozen=True, tag="kick"):
    """Close somebody's connections; they may come again."""

    person: RecordId


class Ban(_Deed, frozen=True, tag="ban"):
    person: RecordId
    banned: bool


class SetLock(_Deed, frozen=True, tag="lock"):
    """Lock a layer or a frame with all that belongs to it, or unlock it."""

    record: AnyId
    locked: bool


class Clear(_Deed, frozen=True, tag="clear"):
    """Delete all that is on the canvas."""


class TakeBack(_Deed, frozen=True, tag="take_back"):
    """Take back all that somebody did and nobody else has changed since."""

    person: RecordId


class OpenPoll(_Deed, frozen=True, tag="poll"):
    """Let people give dots, so many each; ends the poll before."""

    over: PollOver
    dots: Annotated[int, Meta(ge=1, le=MAX_DOTS)]


class Reveal(_Deed, frozen=True, tag="reveal"):
    """Count the dots and show everybody how many each thing got."""


class ClosePoll(_Deed, frozen=True, tag="close_poll"):
    """Put the poll away, and what was given with it."""


class Gather(_Deed, frozen=True, tag="gather"):
    """Ask everybody to see what one sees."""


class StartTimer(_Deed, frozen=True, tag="timer"):
    """Give everybody so many seconds from now; ends the timer before."""

    seconds: Annotated[int, Meta(ge=1, le=24 * 60 * 60)]


class StopTimer(_Deed, frozen=True, tag="stop_timer"):
    """Put the timer away."""


Deed = (
    SetAccess
    | ChooseModel
    | MakeInvite
    | Revoke
    | SetRole
    | Mute
    | Kick
    | Ban
    | SetLock
    | Clear
    | TakeBack
    | OpenPoll
    | Reveal
    | ClosePoll
    | Gather
    | StartTimer
    | StopTimer
)
