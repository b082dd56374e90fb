"""Live frames: which changes touch one, and when it is drawn again.

A frame that is touched is drawn again after a moment (`DEBOUNCE_S`), with all that changed in
the meantime. One picture is in the making per frame and the newest state waits (G33): while the
region is drawn, or a worker is at the picture, a touch is only remembered; a picture that still
waits for its turn is replaced. So there is never a queue, no step of the model's is thrown
away, and a busy hand still sees pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from server.core.access import lock_id
from server.core.records import (
    Access,
    Candidate,
    Frame,
    Image,
    Layer,
    Mask,
    Patch,
    Put,
    Record,
    Stroke,
)
from server.render.bounds import bounds, rectangle

if TYPE_CHECKING:
    from server.core.ids import PersonId
    from server.core.records import Change
    from server.generation.making import Look, Making
    from server.ports import RoomPort

DEBOUNCE_S = 0.06
_DRAWN = (Stroke, Image)
_RENEWED = ("blob", "seed", "x", "y", "w", "h", "prompt", "masked", "layer", "above")


class Timer(Protocol):
    def cancel(self) -> None: ...


Defer = Callable[[float, Callable[[], None]], Timer]
"""Call something in so many seconds; `loop.call_later` outside of tests."""


@dataclass(slots=True, eq=False)
class LiveFrame:
    """What is known of a live frame between two pictures."""

    room: RoomPort
    frame: str
    by: PersonId
    seed: int
    """Kept from one picture to the next if the frame names none: a new one would flicker."""
    job: str | None = None
    candidate: str | None = None
    touched: bool = False
    timer: Timer | None = None
    making: Making | None = None
    shown: Look | None = None
    """What the picture that is there already was made from, so that it isn't made again."""

    @property
    def can_draw(self) -> bool:
        making = self.making
        return making is None or (bool(making.submitted) and not making.has_started)

    def drop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def touches(frame: Frame, before: Record | None, after: Record | None) -> bool:
    """Whether a record's change from `before` to `after` may change what `frame` is drawn from.

    A change of a layer always may; whether it did, the drawing finds out. The room's model counts
    for frames that name none.
    """
    return _looks(before) != _looks(after) and any(
        _lies_under(frame, record) for record in (before, after) if record is not None
    )


def _is_part_of(frame: Frame, record: Record | None) -> bool:
    is_mask = isinstance(record, Mask) and record.frame == frame.id
    return is_mask or (record is not None and record.id == frame.id)


def _lies_under(frame: Frame, record: Record) -> bool:
    if isinstance(record, Mask):
        return record.frame == frame.id
    if isinstance(record, Access):
        return not frame.model
    if isinstance(record, _DRAWN):
        box = bounds(record)
        return box is not None and box.meets(rectangle(frame.x, frame.y, frame.w, frame.h))
    return isinstance(record, Layer) or record.id == frame.id


def _looks(record: Record | None) -> object:
    """The part of a record that pictures depend on."""
    match record:
        case Frame():
            return msgspec.structs.replace(record, by="", z="", count=1)
        case Layer(z=z, visible=visible, opacity=opacity):
            return z, visible, opacity
        case Stroke() | Mask() | Image():
            return record
        case Access(model=model):
            return model or None
        case _:
            return None


class LiveFrames:
    """The live frames of all loaded rooms, and the timers after which they are drawn again."""

    def __init__(
        self, draw: Callable[[LiveFrame], None], defer: Defer, new_seed: Callable[[], int]
    ) -> None:
        self._draw = draw
        self._defer = defer
        self._new_seed = new_seed
        self._rooms: dict[str, dict[str, LiveFrame]] = {}

    def of(self, room: str) -> list[LiveFrame]:
        return list(self._rooms.get(room, {}).values())

    def get(self, room: str, frame: str) -> LiveFrame | None:
        return self._rooms.get(room, {}).get(frame)

    def watch(self, room: RoomPort, frame: str, by: PersonId) -> LiveFrame:
        """Know a frame as live from now on; it isn't drawn before it is touched."""
        live = self.get(room.id, frame)
        if live is None:
            live = LiveFrame(room=room, frame=frame, by=by, seed=self._new_seed())
            self._rooms.setdefault(room.id, {})[frame] = live
        return live

    def unwatch(self, room: str, frame: str) -> None:
        self.forgive(room, frame)
        self._rooms.get(room, {}).pop(frame, None)

    def recognise(self, room: str, candidate: Candidate) -> None:
        """Know a live frame's candidate from before the room was loaded."""
        live = self.get(room, candidate.frame)
        if live is not None and candidate.live and candidate.state == "open":
            live.candidate = candidate.id

    def is_waiting(self, room: str) -> bool:
        """Whether some frame is about to be drawn again."""
        return any(live.touched for live in self.of(room))

    # --- when to draw --------------------------------------------------------------------------

    def changed(self, room: RoomPort, before: Mapping[str, Record | None], by: PersonId) -> None:
        """Touch the frames that depend on any of the records that changed.

        A locked frame depends on nothing but itself and its mask, which only hosts can change; once
        it isn't locked any more it catches up.
        """
        after = room.records
        for live in self.of(room.id):
            frame = after.get(live.frame)
            if not isinstance(frame, Frame):
                continue
            lock = lock_id(frame.id)
            is_locked = lock in after
            if is_locked and lock in before:
                self.forgive(room.id, frame.id)
            if (lock in before and not is_locked) or any(
                touches(frame, old, after.get(id))
                for id, old in before.items()
                if not is_locked or _is_part_of(frame, old or after.get(id))
            ):
                self.touch(live, by)

    def touch(self, live: LiveFrame, by: PersonId) -> None:
        live.touched = True
        live.by = by
        self._arm(live)

    def forgive(self, room: str, frame: str) -> None:
        """Take a touch back: the frame isn't drawn before it is touched again."""
        live = self.get(room, frame)
        if live is not None:
            live.touched = False
            live.drop_timer()

    def withdraw(self, room: str, person: PersonId | None) -> None:
        """Take back the touches of one person, or of all."""
        for live in self.of(room):
            if person is None or live.by == person:
                self.forgive(room, live.frame)

    def advanced(self, making: Making) -> None:
        """A request got further: a touch that waits may have its turn."""
        live = self._waiting_for(making)
        if live is not None and live.touched:
            self._arm(live)

    def ended(self, making: Making) -> None:
        live = self._waiting_for(making)
        if live is not None:
            live.making = None
            if live.touched:
                self._arm(live)

    def close(self, room: str) -> None:
        for live in self._rooms.pop(room, {}).values():
            live.drop_timer()

    def stop(self) -> None:
        for room in list(self._rooms):
            self.close(room)

    # --- what a request means for its frame -----------------------------------------------------

    def is_newest(self, making: Making) -> bool:
        """Whether the job record is about this request: a live frame's newest, or any other."""
        return not making.is_live or self._waiting_for(making) is not None

    def shows(self, making: Making) -> bool:
        """Whether the picture that a live frame shows already is the one that is asked for."""
        live = self._waiting_for(making)
        return live is not None and live.shown == making.look

    def offer(self, making: Making, candidate: Candidate) -> Change:
        """A new candidate; a live frame's open one is changed instead."""
        live = self.get(making.room.id, making.frame.id) if making.is_live else None
        if live is None:
            return Put(candidate)
        live.shown = making.look
        offered = making.room.records.get(live.candidate or "")
        if isinstance(offered, Candidate) and offered.state == "open":
            return Patch(offered.id, {name: getattr(candidate, name) for name in _RENEWED})
        live.candidate = candidate.id
        return Put(candidate)

    def _waiting_for(self, making: Making) -> LiveFrame | None:
        live = self.get(making.room.id, making.frame.id) if making.is_live else None
        return live if live is not None and live.making is making else None

    def _arm(self, live: LiveFrame) -> None:
        if live.timer is None and live.can_draw:
            live.timer = self._defer(DEBOUNCE_S, lambda: self._fire(live))

    def _fire(self, live: LiveFrame) -> None:
        live.timer = None
        if live.touched and live.can_draw:
            live.touched = False
            self._draw(live)
