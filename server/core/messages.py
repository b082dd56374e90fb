"""What travels over a room's WebSocket. PROTOCOL.md is the grammar of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gpu.api import ModelInfo, ModelListing
from server.core.deeds import Deed
from server.core.ids import BlobId, OpId, RecordId
from server.core.records import (
    BrushSize,
    Change,
    Color,
    Coordinate,
    Dots,
    Fraction,
    Name,
    Record,
    Role,
)

PROTOCOL_VERSION = 1
SightSide = Annotated[float, Meta(gt=0, le=2e7)]


class _Message(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="t", forbid_unknown_fields=True
):
    pass


# --- browser -> server ----------------------------------------------------------------------


class Resume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: Annotated[str, Meta(max_length=40)]
    seq: Annotated[int, Meta(ge=0)]


class Hello(_Message, frozen=True, tag="hello"):
    """First message of a connection."""

    protocol: int
    key: Annotated[bytes, Meta(min_length=16, max_length=64)]
    """Secret of this person's browser; who they are in the room is derived from it."""
    name: Name = ""
    color: Color = "#888888"
    resume: Resume | None = None


class Op(_Message, frozen=True, tag="op"):
    id: OpId
    changes: Annotated[list[Change], Meta(min_length=1, max_length=2_000)]


class Undo(_Message, frozen=True, tag="undo"):
    """Take back this person's newest op; `id` names the op that does so."""

    id: OpId


class Redo(_Message, frozen=True, tag="redo"):
    id: OpId


class Generate(_Message, frozen=True, tag="generate"):
    """Make pictures of a frame as it stands now; `id` becomes the id of the job record."""

    id: RecordId
    frame: RecordId


class Cancel(_Message, frozen=True, tag="cancel"):
    """Stop everything that is being made for a frame."""

    frame: RecordId


class Accept(_Message, frozen=True, tag="accept"):
    """Put a candidate onto the canvas as an image with the id `image`; an op like any other."""

    id: OpId
    candidate: RecordId
    image: RecordId


class Discard(_Message, frozen=True, tag="discard"):
    id: OpId
    candidate: RecordId


class Moderate(_Message, frozen=True, tag="moderate"):
    """Decide about the room or somebody in it; for hosts. The op that does it has this id."""

    id: OpId
    deed: Deed


class Vote(_Message, frozen=True, tag="vote"):
    """One's dots in the poll, all of them anew; none takes them back."""

    id: OpId
    dots: Dots


class Presence(_Message, frozen=True, tag="presence"):
    cursor: tuple[Coordinate, Coordinate] | None = None
    tool: Annotated[str, Meta(max_length=20)] = ""


Sight = tuple[Coordinate, Coordinate, SightSide, SightSide]
"""The part of the canvas that somebody sees: x, y, width, height."""


class Look(_Message, frozen=True, tag="look"):
    """What one sees now, for those who follow."""

    sight: Sight


class InkStyle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["stroke", "mask"]
    size: BrushSize
    color: Color = "#1e1e1e"
    opacity: Fraction = 1.0
    erase: bool = False
    pen: bool = False
    layer: RecordId | None = None
    frame: RecordId | None = None


class Ink(_Message, frozen=True, tag="ink"):
    """New points of a stroke in progress. `first` is the index of the first of them.

    `style` comes with the first chunk. On pen-up an op puts the record with the id `stroke`;
    `end` says that there will be none (the stroke was abandoned).
    """

    stroke: RecordId
    first: Annotated[int, Meta(ge=0)]
    points: Annotated[bytes, Meta(max_length=8 + 5 * 2_000)] = b""
    style: InkStyle | None = None
    end: bool = False


class Profile(_Message, frozen=True, tag="profile"):
    name: Name
    color: Color


class Ping(_Message, frozen=True, tag="ping"):
    n: int


ClientMessage = (
    Hello
    | Op
    | Undo
    | Redo
    | Generate
    | Cancel
    | Accept
    | Discard
    | Moderate
    | Vote
    | Presence
    | Look
    | Ink
    | Profile
    | Ping
)

# --- server -> browser ----------------------------------------------------------------------


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of somebody; the same `person` may have several sessions."""

    session: str
    person: str
    name: str
    color: str
    role: Role = "editor"
    """What this connection may do at the moment."""
    muted: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    message_bytes: int
    blob_bytes: int
    blob_px: int


EngineState = Literal["starting", "ready", "restarting", "failed"]


class Engine(_Message, frozen=True, tag="engine"):
    state: EngineState
    detail: str = ""
    model: ModelInfo | None = None
    """The default model."""
    models: tuple[ModelListing, ...] = ()
    """All that frames may ask for."""
    infos: tuple[ModelInfo, ...] = ()
    """What is known of those that were loaded."""


DiskState = Literal["ok", "full", "failing"]


class Disk(_Message, frozen=True, tag="disk"):
    """Unless it is `ok`, nothing can be saved and the room is read-only: what one does waits.

    Told when it changes, and to those who join while it isn't `ok`.
    """

    state: DiskState


class Welcome(_Message, frozen=True, tag="welcome"):
    """Then come `snapshot` (mode "snapshot") or `applied` messages (mode "tail"), then `ready`."""

    protocol: int
    session: str
    person: str
    epoch: str
    seq: int
    mode: Literal["snapshot", "tail"]
    people: list[Person]
    limits: Limits
    engine: Engine
    now_ms: int = 0
    """The server's clock, milliseconds since 1970: what records say of time goes by it."""
    badge: str = ""
    """Proves over HTTP that a request is of this session; good as long as it lasts."""


class Snapshot(_Message, frozen=True, tag="snapshot"):
    records: list[Record]


class JoinReady(_Message, frozen=True, tag="ready"):
    seq: int


class Applied(_Message, frozen=True, tag="applied"):
    """An op that the room took as number `seq`. Its author gets `ack` instead, unless the
    server made the changes (undo, redo, accept, discard) or altered them (an edit that was
    transformed, a change of a deleted record that was dropped): then everybody gets this."""

    seq: int
    id: str
    by: str
    changes: list[Change]


class Ack(_Message, frozen=True, tag="ack"):
    """`seq` is 0 where the op changed nothing (all it touched was deleted before)."""

    id: str
    seq: int


class Refused(_Message, frozen=True, tag="refused"):
    """The op, request or message with this id changed nothing, because of `reason`."""

    id: str
    code: str
    reason: str


class History(_Message, frozen=True, tag="history"):
    """How many ops of one's own can be undone and redone."""

    undo: int
    redo: int


class Invited(_Message, frozen=True, tag="invited"):
    """The link that a `moderate` with this id made: `#link=` and this, behind the room's address.

    Only whoever made it gets this, and only once: the room knows no more than a digest.
    """

    id: str
    link: str


class Joined(_Message, frozen=True, tag="joined"):
    person: Person


class Left(_Message, frozen=True, tag="left"):
    session: str


class PeerPresence(_Message, frozen=True, tag="peer_presence"):
    session: str
    cursor: tuple[float, float] | None = None
    tool: str = ""


class PeerLook(_Message, frozen=True, tag="peer_look"):
    session: str
    sight: tuple[float, float, float, float]


class Gathered(_Message, frozen=True, tag="gathered"):
    """A host asks everybody to see what they see, at this connection."""

    session: str


class PeerInk(_Message, frozen=True, tag="peer_ink"):
    session: str
    stroke: str
    first: int
    points: bytes = b""
    style: InkStyle | None = None
    end: bool = False


class Preview(_Message, frozen=True, tag="preview"):
    """The picture of a frame as it emerges. `box` is where on the canvas it lies (x, y, w, h)."""

    frame: str
    job: str
    index: int
    step: int
    steps: int
    box: tuple[float, float, float, float]
    jpeg: bytes


class Pong(_Message, frozen=True, tag="pong"):
    n: int


class Moment(_Message, frozen=True, tag="moment"):
    """An op as it stands in a room's history, which is read over HTTP."""

    seq: int
    by: str
    at_ms: int
    changes: list[Change]


ServerMessage = (
    Welcome | Snapshot | JoinReady | Applied | Ack | Refused | History | Joined | Left
    | Invited | PeerPresence | PeerLook | Gathered | PeerInk | Preview | Engine | Disk | Pong
)  # fmt: skip

CLOSE_CODES: dict[int, str] = {
    4400: "bad message: malformed, unknown, or out of place; the reason says which",
    4401: "this ticket is used up or too old: get another",
    4403: "what you came by doesn't let you in any more",
    4404: "no such room, or none that you may enter",
    4408: "too slow: the reader fell too far behind; connect again and resume",
    4409: "protocol version: reload the page",
    4410: "a host has sent you out",
    4411: "a host has banned you",
    4413: "message too large",
    4423: "as many people are here as the room holds: try again later",
    4429: "too many messages",
    4503: "the room can't be saved at the moment; keep your edits and connect again",
}


class BlobStored(msgspec.Struct, frozen=True):
    """The body of the answer to a successful PUT of a blob."""

    blob: BlobId
    width: int
    height: int
