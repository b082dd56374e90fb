"""What a canvas is made of: the records of a room, and the changes that an op makes to them.

A record's `type` says which fields it has. `by` is stamped by the server. Positions and
sizes are in canvas units (one CSS pixel at zoom 1). Stacking order is `(z, id)`; `z` is a
fractional-index string.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gpu.api import ModelId
from server.core.ids import AnyId, BlobId, OwnedId, RecordId

Coordinate = Annotated[float, Meta(ge=-1e7, le=1e7)]
Extent = Annotated[float, Meta(gt=0, le=16_384)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Color = Annotated[str, Meta(pattern=r"^#[0-9a-f]{6}\Z")]
Z = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{1,200}\Z")]
BrushSize = Annotated[float, Meta(ge=0.5, le=1024)]
Points = Annotated[bytes, Meta(min_length=13, max_length=8 + 5 * 20_000)]
"""Two little-endian f32 (the origin), then a point each: i16 dx, i16 dy from the point
before in 1/16 units, u8 pressure (255 = 1.0). The first point is relative to the origin."""
Prompt = Annotated[str, Meta(max_length=4_000)]
Name = Annotated[str, Meta(max_length=80)]
Line = Annotated[str, Meta(min_length=1, max_length=2_000)]
"""What somebody says, in the chat or in a comment."""
TimeMs = Annotated[int, Meta(ge=0, lt=2**53)]
"""Milliseconds since 1970."""
Count = Annotated[int, Meta(ge=0, lt=2**53)]
PartName = Annotated[str, Meta(pattern=r"^(?!__proto__\Z)[^\x00-\x1f]{1,80}\Z")]
"""Of an adapter or a control. Browsers can't have a map's key called like their prototypes'."""
Loras = Annotated[
    dict[PartName, Annotated[float, Meta(ge=-4, le=4)]],
    Meta(max_length=8),
]
"""Weights by the names of the model's adapters."""
ClipSkip = Annotated[int, Meta(ge=0, le=12)]
Sampler = Literal[
    "euler", "euler_a", "heun", "ddim", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_2m_sde", "dpmpp_sde",
    "unipc", "lcm", "tcd",
]  # fmt: skip
Role = Literal["host", "editor", "viewer"]
"""Viewers see; editors change what isn't locked; hosts also decide about the room."""
StrangerRole = Literal["editor", "viewer"]


class _Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=False,
):
    id: RecordId
    by: str = ""


class Layer(_Record, frozen=True, tag="layer"):
    z: Z
    name: Name = ""
    visible: bool = True
    opacity: Fraction = 1.0


class Stroke(_Record, frozen=True, tag="stroke"):
    """One pass of the pen; `erase` removes what lies below it in its own layer."""

    z: Z
    points: Points
    size: BrushSize
    color: Color = "#1e1e1e"
    opacity: Fraction = 1.0
    erase: bool = False
    pen: bool = False
    """True where `points` carry a real pen's pressure; False: pressure is simulated from speed."""
    layer: RecordId | None = None
    x: Coordinate = 0.0
    y: Coordinate = 0.0
    """How far the stroke was moved since it was drawn."""


class Image(_Record, frozen=True, tag="image"):
    z: Z
    blob: BlobId
    x: Coordinate
    y: Coordinate
    w: Extent
    h: Extent
    opacity: Fraction = 1.0
    layer: RecordId | None = None


class Frame(_Record, frozen=True, tag="frame"):
    """A part of the canvas that asks for a picture. Its area is limited by `room.limits`."""

    z: Z
    x: Coordinate
    y: Coordinate
    w: Annotated[float, Meta(ge=32, le=4096)]
    h: Annotated[float, Meta(ge=32, le=4096)]
    prompt: Prompt = ""
    negative: Prompt = ""
    clip_skip: ClipSkip = 0
    """So many of the text encoder's last layers are left out."""
    loras: Loras = {}
    model: ModelId = ""
    """A key of the worker's registry of models; "" for the room's default one."""
    steps: Annotated[int, Meta(ge=1, le=100)] = 20
    guidance: Annotated[float, Meta(ge=0, le=20)] = 4.0
    seed: Annotated[int, Meta(ge=0, lt=2**32)] | None = None
    """None: a new one each time."""
    variation_seed: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    variation: Fraction = 0.0
    """How far the first noise is turned from the seed's towards the variation seed's."""
    sampler: Sampler = "dpmpp_2m"
    strength: Fraction = 0.7
    """How far from what lies under the frame; 1 starts from pure noise."""
    hires: Annotated[float, Meta(ge=1, le=4)] = 1.0
    """How many times as long as the model's native ones a picture's sides are."""
    hires_strength: Fraction = 0.3
    """How far the second pass of such a picture goes from the first, enlarged; 0: one pass."""
    control: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{0,80}\Z")] = ""
    """Name of the model's control that what lies under the frame steers it by; "" for none."""
    control_strength: Annotated[float, Meta(ge=0, le=2)] = 1.0
    control_start: Fraction = 0.0
    control_end: Fraction = 1.0
    """From which part of the steps to which they are steered."""
    count: Annotated[int, Meta(ge=1, le=8)] = 1
    live: bool = False


class Mask(_Record, frozen=True, tag="mask"):
    """One pass of the mask brush: paint the frame anew here; `erase` takes that back."""

    z: Z
    frame: RecordId
    points: Points
    size: BrushSize
    erase: bool = False
    pen: bool = False
    x: Coordinate = 0.0
    y: Coordinate = 0.0


class Note(_Record, frozen=True, tag="note"):
    """A sticky note, 200 units square, which lies over the picture and is no part of it."""

    z: Z
    """Among notes."""
    x: Coordinate
    y: Coordinate
    text: Annotated[str, Meta(max_length=1_000)] = ""
    color: Color = "#ffe27a"


class Chat(_Record, frozen=True, tag="chat"):
    """A line of the chat. `name` and `at_ms` are stamped by the server, as `by` is."""

    text: Line
    name: Name = ""
    """What its author was called then."""
    at_ms: TimeMs = 0


class Comment(_Record, frozen=True, tag="comment"):
    """A comment pinned to a place, or an answer to one; stamped as a line of the chat is."""

    text: Line
    x: Coordinate = 0.0
    y: Coordinate = 0.0
    """Of the first of a thread: where it is pinned."""
    thread: RecordId | None = None
    """The comment that this one answers; None: it begins a thread."""
    resolved: bool = False
    """Of the first of a thread: whether it is dealt with."""
    name: Name = ""
    at_ms: TimeMs = 0


class Version(_Record, frozen=True, tag="version"):
    """A moment of the room with a name. `seq` and `at_ms` are stamped by the server."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    seq: Count = 0
    """Of the op that named it: the room as it was then."""
    at_ms: TimeMs = 0


JobState = Literal["queued", "running", "done", "cancelled", "failed"]


class Job(_Record, frozen=True, tag="job"):
    """Server-owned: somebody's request for `count` pictures of a frame."""

    frame: RecordId
    state: JobState
    count: int
    done: int = 0
    live: bool = False
    attempt: int = 1
    seed: int = 0
    prompt: str = ""
    reason: str = ""
    """For people: why it failed or was cancelled."""
    code: Annotated[str, Meta(max_length=40)] = ""
    """For programs: a short name of why it failed."""


MAX_PREVIEWS = 4


class Candidate(_Record, frozen=True, tag="candidate"):
    """Server-owned: a finished picture, to be accepted onto the canvas or discarded."""

    frame: RecordId
    job: RecordId
    index: Count
    blob: BlobId
    seed: Count
    x: Coordinate
    y: Coordinate
    w: Extent
    h: Extent
    """Where the frame was when the picture was asked for."""
    prompt: str = ""
    live: bool = False
    masked: bool = False
    """The picture has an alpha channel: transparent where nothing was to change."""
    layer: RecordId | None = None
    """In which the topmost thing lies that is seen in the frame; None: below all layers."""
    above: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{0,200}\Z")] = ""
    """`z` of the topmost thing in that layer when the picture was asked for; "" if there was none.
    What was drawn since stays on top of it."""
    strip: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    """The blob with some of its previews side by side; "" where there is none."""
    num_previews: Annotated[int, Meta(ge=0, le=MAX_PREVIEWS)] = 0
    """In the strip."""
    state: Literal["open", "accepted", "discarded"] = "open"


class Access(_Record, frozen=True, tag="access"):
    """Server-owned, one a room: who may come in without a link, and what it draws with."""

    id: OwnedId
    open: bool = True
    """Whoever knows the room's id may; False: only who brings a link, a login or a role."""
    role: StrangerRole = "editor"
    """Of those who bring nothing but the id."""
    talk: bool = False
    """Whether viewers may chat and comment."""
    model: ModelId = ""
    """Of frames that name none; "" for the server's default one."""


class Member(_Record, frozen=True, tag="member"):
    """Server-owned: what a host has decided about a person, or that they made the room."""

    id: OwnedId
    person: RecordId
    name: Name = ""
    """What they were called then."""
    role: Role | None = None
    """Their own, link or no link; None: what they came with decides."""
    muted: bool = False
    banned: bool = False


class Invite(_Record, frozen=True, tag="invite"):
    """Server-owned: a link that lets whoever has it in. Its secret is nowhere, its digest here."""

    id: OwnedId
    role: Role
    digest: str
    expires_ms: int | None = None
    """Milliseconds since 1970; None: never."""


class Lock(_Record, frozen=True, tag="lock"):
    """Server-owned: only hosts may change this layer or frame, or what belongs to it."""

    id: OwnedId
    of: RecordId


PollOver = Literal["candidates", "notes"]
MAX_DOTS = 20
Dots = Annotated[
    dict[RecordId, Annotated[int, Meta(ge=1, le=MAX_DOTS)]],
    Meta(max_length=MAX_DOTS),
]
"""How many dots somebody gives to each of some records."""


class Poll(_Record, frozen=True, tag="poll"):
    """Server-owned, one a room at a time: people give dots to what they like best.

    What each gives is in their ballot, which nobody else is sent.
    """

    id: OwnedId
    over: PollOver
    dots: Annotated[int, Meta(ge=1, le=MAX_DOTS)]
    """That each may give."""
    voters: Count = 0
    revealed: bool = False
    tally: dict[RecordId, Count] = {}
    """Dots of all together; empty until a host reveals them."""


class Timer(_Record, frozen=True, tag="timer"):
    """Server-owned, one a room: the time that a host gives everybody."""

    id: OwnedId
    ends_ms: TimeMs
    """By the server's clock."""


class Ballot(_Record, frozen=True, tag="ballot"):
    """Server-owned: the dots of one person, whose id is in its own. Gone once they are counted."""

    id: OwnedId
    dots: Dots


Record = (
    Layer
    | Stroke
    | Image
    | Frame
    | Mask
    | Note
    | Chat
    | Comment
    | Version
    | Job
    | Candidate
    | Access
    | Member
    | Invite
    | Lock
    | Timer
    | Poll
    | Ballot
)
TALK = (Chat, Comment)
"""What people say, rather than what they make."""
STAMPED = (*TALK, Version)
"""What bears its time and stays as it is; undo passes over it."""
PEOPLE = (Access, Member, Invite, Lock, Timer, Poll, Ballot)
"""Records about people rather than about the canvas."""
SERVER_OWNED = (Job, Candidate, *PEOPLE)
TEXT_FIELDS: dict[str, frozenset[str]] = {
    "frame": frozenset({"prompt", "negative"}),
    "note": frozenset({"text"}),
}
"""Fields that two people may type into at once: changed by `Edit` only."""


class Put(msgspec.Struct, frozen=True, tag_field="c", tag="put", forbid_unknown_fields=True):
    """Add a record. Its id must be new to the room."""

    record: Record


class Patch(msgspec.Struct, frozen=True, tag_field="c", tag="patch", forbid_unknown_fields=True):
    """Set some fields of a record; last writer wins, field by field."""

    id: AnyId
    fields: dict[str, Any]


class Delete(msgspec.Struct, frozen=True, tag_field="c", tag="delete", forbid_unknown_fields=True):
    id: AnyId


class Edit(msgspec.Struct, frozen=True, tag_field="c", tag="edit", forbid_unknown_fields=True):
    """Insert and delete in a text field, made on the room as of `base`.

    `delta` walks over the old text in code points: n > 0 keeps n, n < 0 deletes -n, a string
    is inserted; what is left at the end is kept.
    """

    id: AnyId
    field: str
    base: Annotated[int, Meta(ge=0)]
    delta: Annotated[list[int | str], Meta(min_length=1, max_length=1_000)]


Change = Put | Patch | Delete | Edit
