"""What each person can take back: steps of moves, in bounded stacks. Applies nothing itself.

A *stamp* names one version of a field: the number of the op that wrote it, and who. Undo
restores the stamp together with the value, so that equal stamps mean an equal value, and a
field is touched only if it still is as this person's op left it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from server.core.records import Record
from server.core.schema import BASE_BYTES, cost_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.core.limits import RoomLimits

Stamp = tuple[int, str]
"""Sequence number of the op and person who wrote."""


class Stamps(msgspec.Struct, frozen=True, array_like=True):
    """The versions of a record's fields: of all of them, and of those written since."""

    born: Stamp
    """The op that put the record here, for the last time if it was deleted in between."""
    base: Stamp
    """Version of each field that isn't in `fields`."""
    fields: dict[str, Stamp]
    restored: bool = False
    """True where undo put it here: texts made before `born` were of an earlier life."""

    def of(self, field: str) -> Stamp:
        return self.fields.get(field, self.base)

    def are_only_of(self, person: str) -> bool:
        return all(by == person for _, by in (self.base, *self.fields.values()))

    def with_fields(self, changed: dict[str, Stamp]) -> Stamps:
        return msgspec.structs.replace(self, fields={**self.fields, **changed})


class Put(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The record came into being with these stamps; undo deletes it."""

    id: str
    stamps: Stamps


class Deleted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The record was deleted; undo puts it back."""

    record: Record
    stamps: Stamps


class Field(msgspec.Struct, frozen=True, array_like=True):
    """One field's version before and after."""

    old: Any
    old_stamp: Stamp
    new: Any
    new_stamp: Stamp


class Patched(msgspec.Struct, frozen=True, tag=True, array_like=True):
    id: str
    fields: dict[str, Field]

    def reversed(self) -> Patched:
        return Patched(
            self.id,
            {
                name: Field(field.new, field.new_stamp, field.old, field.old_stamp)
                for name, field in self.fields.items()
            },
        )


Move = Put | Deleted | Patched


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One op of somebody, as its moves in the order in which they were made."""

    seq: int
    moves: list[Move]
    cost_bytes: int


def step(seq: int, moves: list[Move]) -> Step:
    return Step(seq, moves, sum(map(_cost, moves)))


def _cost(move: Move) -> int:
    if isinstance(move, Deleted):
        return cost_bytes(move.record)
    if isinstance(move, Patched):
        values = (value for f in move.fields.values() for value in (f.old, f.new))
        # A field is kept with two values and two stamps, and takes its time to take back.
        return BASE_BYTES * len(move.fields) + sum(
            len(value) for value in values if isinstance(value, bytes | str)
        )
    return BASE_BYTES


class Stack(msgspec.Struct, array_like=True):
    """One person's steps, the newest last."""

    undo: list[Step] = msgspec.field(default_factory=list)
    redo: list[Step] = msgspec.field(default_factory=list)

    def copy(self) -> Stack:
        return Stack(list(self.undo), list(self.redo))


class Stacks:
    """Everybody's steps in one room, within its limits."""

    def __init__(self, limits: RoomLimits, stacks: dict[str, Stack] | None = None) -> None:
        self._limits = limits
        self._stacks = stacks or {}
        self._cost_bytes = sum(s.cost_bytes for stack in self._stacks.values() for s in _all(stack))

    def depths(self, person: str) -> tuple[int, int]:
        """How many steps can be undone and redone."""
        stack = self._stacks.get(person)
        return (len(stack.undo), len(stack.redo)) if stack else (0, 0)

    def undoable(self, person: str) -> list[Step]:
        """Oldest first."""
        stack = self._stacks.get(person)
        return list(stack.undo) if stack else []

    def redoable(self, person: str) -> list[Step]:
        stack = self._stacks.get(person)
        return list(stack.redo) if stack else []

    def did(self, person: str, done: Step) -> None:
        """A new step: what was undone before can't be redone any more."""
        stack = self._touch(person)
        self._cost_bytes -= sum(s.cost_bytes for s in stack.redo)
        stack.redo.clear()
        self._push(stack.undo, done)

    def undid(self, person: str, left: int, inverse: Step) -> None:
        """The steps from the `left`-th on are gone from undo; `inverse` can be redone."""
        stack = self._touch(person)
        self._cut(stack.undo, left)
        self._push(stack.redo, inverse)

    def redid(self, person: str, left: int, inverse: Step) -> None:
        stack = self._touch(person)
        self._cut(stack.redo, left)
        self._push(stack.undo, inverse)

    def copy(self) -> dict[str, Stack]:
        return {person: stack.copy() for person, stack in self._stacks.items()}

    def _touch(self, person: str) -> Stack:
        """This person's stack, moved to the end of the line of those to be forgotten."""
        stack = self._stacks.pop(person, None) or Stack()
        self._stacks[person] = stack
        while len(self._stacks) > self._limits.undo_people:
            oldest = self._stacks.pop(next(iter(self._stacks)))
            self._cost_bytes -= sum(s.cost_bytes for s in _all(oldest))
        return stack

    def _cut(self, steps: list[Step], left: int) -> None:
        self._cost_bytes -= sum(s.cost_bytes for s in steps[left:])
        del steps[left:]

    def _push(self, steps: list[Step], new: Step) -> None:
        steps.append(new)
        self._cost_bytes += new.cost_bytes
        if len(steps) > self._limits.undo_steps:
            self._cost_bytes -= steps.pop(0).cost_bytes
        while self._cost_bytes > self._limits.undo_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        stacks = [s for stack in self._stacks.values() for s in (stack.undo, stack.redo) if s]
        oldest = min(stacks, key=lambda steps: steps[0].seq)
        self._cost_bytes -= oldest.pop(0).cost_bytes


def _all(stack: Stack) -> Iterator[Step]:
    yield from stack.undo
    yield from stack.redo
