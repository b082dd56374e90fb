"""A request in progress: one job record and the pictures that are still to come for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from server.core.messages import Preview
from server.core.records import Candidate, Frame
from server.generation.plan import Plan, Seeds, seeds_of

if TYPE_CHECKING:
    from gpu.api import JobId
    from gpu.api import Preview as WorkerPreview
    from server.core.ids import PersonId
    from server.ports import RoomPort

MAX_PASSED = 16
"""Previews of one picture that are kept at a time."""
Outcome = Literal["done", "cancelled", "failed"]
Look = tuple[bytes, int, tuple[float, float, float, float]]


@dataclass(slots=True)
class Passed:
    """Some of one picture's previews, evenly over all of them, and the latest."""

    kept: list[Preview] = field(default_factory=list)
    num: int = 0
    every: int = 1
    latest: Preview | None = None

    def add(self, preview: Preview) -> None:
        if self.num % self.every == 0:
            self.kept.append(preview)
        self.num += 1
        self.latest = preview
        if len(self.kept) > MAX_PASSED:
            del self.kept[1::2]
            self.every *= 2

    def all(self) -> list[Preview]:
        if self.latest is None or self.latest is self.kept[-1]:
            return self.kept
        return [*self.kept, self.latest]


@dataclass(slots=True, eq=False)
class Making:
    """Ends once: `outcome` is None until then. `frame` is as it was when it was asked for."""

    room: RoomPort
    frame: Frame
    job: str
    by: PersonId
    seed: int
    missing: set[int]
    attempt: int = 1
    first_attempt: int = field(init=False)
    done: int = 0
    outcome: Outcome | None = None
    layer: str | None = None
    """In which the topmost thing lay that was seen in the frame when it was asked for."""
    above: str = ""
    """`z` of the topmost thing in that layer."""
    plan: Plan | None = None
    """None until the region is drawn."""
    submitted: dict[int, JobId] = field(default_factory=dict)
    """The engine's job of each picture that it was given."""
    starts: dict[int, int] = field(default_factory=dict)
    """How often a worker began each picture; more than once after a worker's death."""
    previews: dict[int, Preview] = field(default_factory=dict)
    """The latest of each picture, for people who join now."""
    overtaken: set[int] = field(default_factory=set)
    """Pictures of whose place something newer was seen."""
    passed: dict[int, Passed] = field(default_factory=dict)
    """Some of all previews of each picture, for its strip."""
    troubles: list[tuple[Outcome, str, str]] = field(default_factory=list)
    """Why pictures will not come: for people, and as a code."""

    def __post_init__(self) -> None:
        self.first_attempt = self.attempt

    @property
    def is_live(self) -> bool:
        return self.frame.live

    @property
    def has_started(self) -> bool:
        return bool(self.starts)

    @property
    def look(self) -> Look | None:
        """All that decides how the first picture looks and where it lies."""
        if self.plan is None:
            return None
        frame = self.frame
        return self.plan.digest, self.seed, (frame.x, frame.y, frame.w, frame.h)

    def slot(self, index: int) -> str:
        """What a newer picture of the same place replaces, see `gpu.api.Job.slot`.

        A live frame's pictures and those that somebody asked for leave each other alone (G38).
        """
        kind = "live" if self.is_live else "asked"
        return f"{self.room.id}/{self.frame.id}/{kind}/{index}"

    def seeds(self, index: int) -> Seeds:
        return seeds_of(self.frame, self.seed, index)

    def begin(self, index: int) -> bool:
        """Note that a worker began a picture; says whether that makes it a new attempt."""
        self.starts[index] = self.starts.get(index, 0) + 1
        # What a worker that died had shown isn't how the picture came into being.
        self.passed.pop(index, None)
        attempt = self.first_attempt + max(self.starts.values()) - 1
        is_new = attempt > self.attempt
        self.attempt = attempt
        return is_new

    def lose(self, index: int, outcome: Outcome, reason: str, code: str = "") -> None:
        self.missing.discard(index)
        self.troubles.append((outcome, reason, code))

    def gain(self, index: int) -> None:
        self.missing.discard(index)
        self.done += 1

    def verdict(self) -> tuple[Outcome, str, str]:
        """How the request ends once nothing is missing; a failure outweighs the rest."""
        for outcome in ("failed", "cancelled"):
            for trouble in self.troubles:
                if trouble[0] == outcome:
                    return trouble
        return "done", "", ""

    def candidate(
        self, id: str, index: int, blob: str, masked: bool, strip: tuple[str, int] = ("", 0)
    ) -> Candidate:
        """A picture to choose from; `strip` is a blob's name and how many previews are in it."""
        frame = self.frame
        return Candidate(
            id=id,
            frame=frame.id,
            job=self.job,
            index=index,
            blob=blob,
            seed=self.seeds(index).seed,
            x=frame.x,
            y=frame.y,
            w=frame.w,
            h=frame.h,
            prompt=frame.prompt,
            live=frame.live,
            masked=masked,
            layer=self.layer,
            above=self.above,
            strip=strip[0],
            num_previews=strip[1],
        )

    def preview(self, index: int, event: WorkerPreview) -> Preview | None:
        """A worker's preview as people see it, its box in canvas units."""
        if self.plan is None:
            return None
        frame, job = self.frame, self.plan.job
        across, down = frame.w / job.width, frame.h / job.height
        x, y, w, h = event.box
        return Preview(
            frame=frame.id,
            job=self.job,
            index=index,
            step=event.step,
            steps=event.steps,
            box=(frame.x + x * across, frame.y + y * down, w * across, h * down),
            jpeg=event.jpeg,
        )
