"""All that the server may know of the GPU worker: jobs, commands, events and their framing.

Knows nothing of rooms or sockets: `room`, `person` and `slot` are opaque keys that the
scheduler compares and never reads. Imports nothing heavier than msgspec.
"""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO, Literal, NewType, TypeVar, get_args

import msgspec
from msgspec import Meta

JobId = NewType("JobId", str)
Sampler = Literal[
    "euler", "euler_a", "heun", "ddim", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_2m_sde", "dpmpp_sde",
    "unipc", "lcm", "tcd",
]  # fmt: skip
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

Side = Annotated[int, Meta(ge=64, le=2048)]
Name = Annotated[str, Meta(max_length=80)]
MODEL_ID = "[a-z0-9][a-z0-9._-]{0,63}"
ModelId = Annotated[str, Meta(pattern=rf"^({MODEL_ID})?\Z")]
"""A key of the worker's registry of models; "" for its default one."""
LoraWeight = Annotated[float, Meta(ge=-4.0, le=4.0)]
MAX_FRAME_BYTES = 64 * 1024 * 1024

T = TypeVar("T")
_LENGTH = struct.Struct(">I")


class Picture(msgspec.Struct, frozen=True):
    """Raw pixels, row-major, 8 bits a channel: `len(data) == width * height * channels`."""

    width: Side
    height: Side
    mode: Literal["L", "RGB", "RGBA"]
    data: bytes


ControlKind = Literal["scribble", "canny", "depth"]
"""What a control's picture is: white lines on black, edges alike, or nearness as brightness."""


class ControlInfo(msgspec.Struct, frozen=True):
    """A control that the model has."""

    name: str
    kind: ControlKind


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """Steers a job by a picture, from the part `start` of its steps to the part `end`."""

    name: Name
    image: Picture
    """L or RGB, `width` x `height` of the job, as the control wants to see it."""
    strength: Annotated[float, Meta(ge=0.0, le=2.0)] = 1.0
    start: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    end: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One picture to make.

    What kind of work it is follows from its parts: no `image` -> text to image; an `image`
    and `strength` below 1 -> image to image; a `mask` -> only where it is white; an image
    with transparent pixels -> those are filled too (outpainting).

    With a mask or transparent pixels the finished picture is RGBA and its alpha says where
    something was painted: laid over the original, nothing outside changes by a single bit.
    """

    id: JobId
    room: str
    person: str
    slot: str
    """A newer job with the same slot replaces this one until two fifths of it are done."""
    model: ModelId = ""
    prompt: str
    """Weights in brackets, BREAK and more than one window of text: see `gpu.prompts`."""
    negative: str = ""
    clip_skip: Annotated[int, Meta(ge=0, le=12)] = 0
    """So many of the text encoder's last layers are left out."""
    loras: Annotated[dict[Name, LoraWeight], Meta(max_length=8)] = {}
    """Adapters by their names in `ModelInfo.loras`, with weights."""
    width: Side = 256
    height: Side = 256
    steps: Annotated[int, Meta(ge=1, le=150)] = 20
    guidance: Annotated[float, Meta(ge=0.0, le=30.0)] = 4.0
    seed: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    variation_seed: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    variation: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """How far the first noise is turned from the seed's towards the variation seed's."""
    sampler: Sampler = "dpmpp_2m"
    strength: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    hires_strength: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """Above 0 a picture larger than the model's native size is made in two passes: composed at
    that size, enlarged, and painted over at this strength."""
    image: Picture | None = None
    """RGBA, `width` x `height`."""
    mask: Picture | None = None
    """L, `width` x `height`; 255 where the picture is to be painted anew."""
    control: Control | None = None
    live: bool = False


class ModelListing(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the worker can load, by its id in the registry."""

    id: ModelId
    title: Name


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the server and the browser need to know of a loaded model."""

    name: str
    id: ModelId = ""
    native_px: int
    """Side of the square that the model was trained on."""
    multiple_px: int
    """Width and height must be multiples of this."""
    min_px: int
    max_px: int
    device: str
    dtype: str
    steps: int = 20
    guidance: float = 4.0
    sampler: Sampler = "dpmpp_2m"
    samplers: tuple[Sampler, ...] = SAMPLERS
    """Those that it can be used with."""
    live_steps: int = 4
    loras: tuple[str, ...] = ()
    """Names of the adapters that jobs may use."""
    controls: tuple[ControlInfo, ...] = ()


# --- commands: server -> worker ------------------------------------------------------------


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    job: Job


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    job: JobId


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """Cancel everything and exit; end of input means the same."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Tell of a model, loaded if it isn't: `Loaded` or `NotLoaded` answers."""

    model: ModelId


Command = Submit | Cancel | Load | Shutdown

# --- events: worker -> server --------------------------------------------------------------


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """Progress before `Ready`, for people who wait."""

    detail: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The default model is loaded; `models` are all that can be asked for."""

    model: ModelInfo
    models: tuple[ModelListing, ...] = ()


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """Another model is there, asked for by `Load` or by a job."""

    model: ModelInfo


class NotLoaded(msgspec.Struct, frozen=True, tag="not_loaded"):
    """Why a model can't be used, for people; the jobs that asked for it fail with the same."""

    model: ModelId
    reason: str


class Started(msgspec.Struct, frozen=True, tag="started"):
    job: JobId


class Preview(msgspec.Struct, frozen=True, tag="preview", kw_only=True):
    """The predicted final picture after `step` of `steps`, at latent size, as JPEG.

    `box` is the part of the job's picture that it shows: x, y, width, height in its pixels.
    """

    job: JobId
    step: int
    steps: int
    box: tuple[int, int, int, int]
    jpeg: bytes


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """`png` is RGB, or RGBA where the job had a mask or transparent pixels."""

    job: JobId
    png: bytes
    seconds: float
    """Wall time from submit to here."""


class Cancelled(msgspec.Struct, frozen=True, tag="cancelled"):
    job: JobId
    reason: Literal["asked", "superseded", "shutdown"]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """`reason` is a sentence for people: what was expected, what came, what to do."""

    job: JobId
    reason: str


class Fatal(msgspec.Struct, frozen=True, tag="fatal"):
    """The worker can't go on (a model that can't be loaded, say) and is about to exit."""

    reason: str


Event = Loading | Ready | Loaded | NotLoaded | Started | Preview | Done | Cancelled | Failed | Fatal

# --- framing: 4 bytes of big-endian length, then MessagePack -----------------------------------

_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_events: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


class FrameError(Exception):
    """The other end of the pipe sent something that is no frame: it is broken, start it anew."""


def encode(message: Command | Event) -> bytes:
    """Frame one message for the pipe."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def decode_command(body: bytes) -> Command:
    return _decode(_commands, body)


def decode_event(body: bytes) -> Event:
    return _decode(_events, body)


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(f"expected a message of gpu.api, got {len(body)} bytes: {error}") from None


def body_length(header: bytes) -> int:
    """Read the length that a frame's 4-byte header announces."""
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise FrameError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes, got {length}")
    return int(length)


HEADER_BYTES = _LENGTH.size


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read one frame's body from a blocking stream; None at its end."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    length = body_length(header)
    body = stream.read(length)
    return body if len(body) == length else None
