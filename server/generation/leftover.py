"""Jobs that the log holds as unfinished because the server stopped: what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from server.core.ids import PersonId
from server.core.records import Candidate, Frame, Job
from server.generation.making import Making

if TYPE_CHECKING:
    from server.ports import RoomPort

MAX_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fields to set in the job's record; `frame` is there if it is to run again."""

    fields: dict[str, object]
    frame: Frame | None = None


def judge(job: Job, room: RoomPort) -> Verdict:
    """A job runs again once, if its frame is still there."""
    frame = room.records.get(job.frame)
    if not isinstance(frame, Frame):
        return Verdict({"state": "cancelled", "reason": "the frame was deleted"})
    if job.live and not frame.live:
        return Verdict({"state": "cancelled", "reason": "the frame is no longer live"})
    if job.attempt >= MAX_ATTEMPTS:
        reason = "the server stopped twice while this picture was in the making"
        return Verdict({"state": "failed", "reason": reason, "code": "server_stopped"})
    return Verdict({"state": "queued", "attempt": job.attempt + 1}, frame)


def rest_of(job: Job, frame: Frame, room: RoomPort) -> Making:
    """The pictures that an unfinished job still owes, with the seeds that they had."""
    there = {
        record.index
        for record in room.records.values()
        if isinstance(record, Candidate) and record.job == job.id
    }
    return Making(
        room=room,
        frame=msgspec.structs.replace(frame, live=False, prompt=job.prompt),
        job=job.id,
        by=PersonId(job.by),
        seed=job.seed,
        missing=set(range(job.count)) - there,
        attempt=job.attempt + 1,
        done=len(there),
    )
