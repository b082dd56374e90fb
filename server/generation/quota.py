"""How many pictures may be under way, and who has to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.core.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.core.ids import PersonId, RoomId
    from server.generation.making import Making


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Pictures that were asked for and haven't come yet; those of live frames aren't counted."""

    per_person: int = 16
    per_room: int = 48
    in_all: int = 192
    """Fewer than the worker holds (F11), with room for the live frames beside them."""


def check(
    limits: Limits, makings: Iterable[Making], room: RoomId, by: PersonId, count: int
) -> None:
    """Raise Refusal if `count` more pictures for `by` in `room` are too many."""
    in_all = in_room = of_person = 0
    for making in makings:
        if making.is_live:
            continue
        owed = len(making.missing)
        in_all += owed
        if making.room.id == room:
            in_room += owed
            of_person += owed if making.by == by else 0
    if of_person + count > limits.per_person:
        raise _too_many(f"{of_person} pictures of yours are still to come", limits.per_person)
    if in_room + count > limits.per_room:
        raise _too_many(f"{in_room} pictures are still to come in this room", limits.per_room)
    if in_all + count > limits.in_all:
        raise _too_many(f"{in_all} pictures are still to come on this server", limits.in_all)


def _too_many(what: str, limit: int) -> Refusal:
    return Refusal(
        "too_many_pictures",
        f"{what}, and at most {limit} can be: wait for some to come, or cancel them",
    )
