"""Ink, cursors and looks on their way through: checked where they lie, and never rebuilt.

What a client sends and what the others get of it differ in the first keys only. So a message in
the usual form, with `t` first and every field there, keeps its bytes: its head is exchanged for
one that names the session. Its fields are still held against their types and bounds, in one pass
of msgspec's decoder, because others' pages must not choke on them; but nothing is made of a
stroke's points, and nothing is encoded. Whatever looks different isn't passed on here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from server.core import codec
from server.core.messages import Ink, InkStyle, Look, Presence

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["ink", "presence", "look"]
SMALL_MAP = 0x80
"""In MessagePack; the number of its fields is added."""
START_BYTES = 6


class Passing(msgspec.Struct, frozen=True):
    """A message that may be passed on."""

    kind: Kind
    tail: bytes
    """Its fields, as they came."""
    ends: bool = False
    """It is the end of a stroke that was abandoned."""


class Heads:
    """What the messages of one session begin with when others get them."""

    def __init__(self, session: str) -> None:
        self._heads = {
            form.kind: form.head(f"peer_{form.kind}", "session", session) for form in _FORMS
        }

    def put(self, passing: Passing) -> bytes:
        """The message for the others."""
        return self._heads[passing.kind] + passing.tail


class _Form:
    """How one kind of message usually looks."""

    def __init__(
        self, kind: Kind, message: type[Ink | Presence | Look], is_sound: Callable[[Any], bool]
    ) -> None:
        self.kind: Kind = kind
        self._is_sound = is_sound
        self._num_fields = len(msgspec.structs.fields(message))
        self.start = self.head(kind)
        self._decoder = msgspec.msgpack.Decoder(_whole(message, kind))

    def head(self, tag: str, *more: str) -> bytes:
        """A map of all the fields, up to those; `more` is a key and its value before them."""
        texts = ("t", tag, *more)
        size = SMALL_MAP + self._num_fields + len(texts) // 2
        return bytes((size,)) + b"".join(map(msgspec.msgpack.encode, texts))

    def read(self, data: bytes) -> Passing | None:
        if not data.startswith(self.start):
            return None
        try:
            # It has as many fields as are needed: none of them is there twice.
            message = self._decoder.decode(data)
        except msgspec.DecodeError:
            return None
        if not self._is_sound(message):
            return None
        return Passing(self.kind, data[len(self.start) :], self.kind == "ink" and message.end)


def _whole(message: type[msgspec.Struct], tag: str | None = None) -> type[Any]:
    """This message, or part of one, with none of its fields left out."""
    fields = [(field.name, _nested(field.type)) for field in msgspec.structs.fields(message)]
    return msgspec.defstruct(
        message.__name__, fields, frozen=True, forbid_unknown_fields=True,
        tag_field=None if tag is None else "t", tag=tag,
    )  # fmt: skip


def _nested(type_: Any) -> Any:
    return _whole(InkStyle) | None if type_ == InkStyle | None else type_


_FORMS = (
    _Form("ink", Ink, codec.has_whole_points),
    _Form("presence", Presence, codec.has_finite_cursor),
    _Form("look", Look, codec.has_finite_sight),
)
_BY_START = {form.start[:START_BYTES]: form for form in _FORMS}


def read(data: bytes) -> Passing | None:
    """What may be passed on as it is; None of anything else, be it wrong or only unusual."""
    form = _BY_START.get(data[:START_BYTES])
    return None if form is None else form.read(data)
