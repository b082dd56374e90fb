"""Whether a record is what its type says, and what it becomes by a patch. Knows no room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fractional_indexing
import msgspec

from server.core import strokes
from server.core.errors import Refusal
from server.core.records import (
    TEXT_FIELDS,
    Ballot,
    Candidate,
    Change,
    Chat,
    Comment,
    Delete,
    Edit,
    Frame,
    Job,
    Mask,
    Note,
    Patch,
    Poll,
    Put,
    Record,
    Stroke,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

STRIP_BYTES = 16 * 1024
"""The most that previews of one picture take."""
BASE_BYTES = 256
"""What a record costs apart from its geometry and its text."""


def patched(record: Record, fields: Mapping[str, Any]) -> Record:
    """The record with `fields` set; raises Refusal if that is no such record."""
    merged = {**msgspec.structs.asdict(record), **fields}
    try:
        # Naming the builtin types keeps text from being read as base64 where bytes belong.
        changed = msgspec.convert(merged, type(record), builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise _bad(record, str(error)) from None
    check(changed)
    return changed


def check(record: Record) -> None:
    """Refuse what the types alone can't: geometry and order keys that can't be read."""
    try:
        if isinstance(record, Stroke | Mask):
            strokes.check_points(record.points)
        if (z := getattr(record, "z", None)) is not None:
            fractional_indexing.validate_order_key(z)
    except (strokes.GeometryError, fractional_indexing.FIError) as error:
        raise _bad(record, str(error)) from None


def type_name(record: Record) -> str:
    """The value of `type` on the wire."""
    return str(type(record).__struct_config__.tag)


def is_text_field(record: Record, field: str) -> bool:
    return field in TEXT_FIELDS.get(type_name(record), ())


def cost_bytes(record: Record) -> int:
    """About what the record takes in memory and on the wire."""
    match record:
        case Stroke() | Mask():
            return BASE_BYTES + len(record.points)
        case Frame():
            return BASE_BYTES + 2 * (len(record.prompt) + len(record.negative))
        case Note() | Chat() | Comment():
            return BASE_BYTES + 2 * len(record.text)
        case Job():
            return BASE_BYTES + 2 * len(record.prompt)
        case Candidate():
            # Its strip lies elsewhere, but it is there as long as this is.
            kept = STRIP_BYTES if record.strip else 0
            return BASE_BYTES + 2 * len(record.prompt) + kept
        case Poll() | Ballot():
            return BASE_BYTES + 64 * len(record.tally if isinstance(record, Poll) else record.dots)
        case _:
            return BASE_BYTES


def change_bytes(change: Change) -> int:
    """About what the change takes in memory and on the wire."""
    match change:
        case Put(record):
            return cost_bytes(record)
        case Patch(_, fields):
            values = [value for value in fields.values() if isinstance(value, bytes | str)]
            return BASE_BYTES + sum(map(len, values))
        case Edit(delta=delta):
            return BASE_BYTES + sum(len(part) if isinstance(part, str) else 8 for part in delta)
        case Delete():
            return BASE_BYTES


def _bad(record: Record, what: str) -> Refusal:
    return Refusal("bad_record", f"{type_name(record)} {record.id}: {what}")
