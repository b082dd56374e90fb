"""Events on their way to a reader that is slow, or gone."""

from __future__ import annotations

import io
import os
import threading

from gpu.api import Done, Event, JobId, Preview, Started, decode_event, read_frame
from gpu.outbox import Outbox

ONE, TWO = JobId("one"), JobId("two")


class SlowReader(io.BytesIO):
    """Takes nothing until `opened` is set; `reached` is set when something is being written."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()

    def write(self, data: object) -> int:
        self.reached.set()
        self.opened.wait()
        return super().write(data)  # type: ignore[arg-type]


def preview(job: JobId, step: int) -> Preview:
    return Preview(job=job, step=step, steps=20, box=(0, 0, 1, 1), jpeg=b"")


def test_p5_a_slow_reader_gets_the_newest_preview_and_every_end() -> None:
    stream = SlowReader()
    outbox = Outbox(stream, broken=lambda: None)
    outbox.put(Started(ONE))
    stream.reached.wait()
    for step in range(1, 6):
        outbox.put(preview(ONE, step))
        outbox.put(preview(TWO, step))
    outbox.put(Done(job=TWO, png=b"png", seconds=1.0))
    stream.opened.set()
    outbox.close(10)

    stream.seek(0)
    events: list[Event] = []
    while (body := read_frame(stream)) is not None:
        events.append(decode_event(body))
    assert events == [Started(ONE), preview(ONE, 5), Done(job=TWO, png=b"png", seconds=1.0)]


def test_p2_a_reader_that_is_gone_is_reported() -> None:
    gone = threading.Event()
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as stream:
        outbox = Outbox(stream, broken=gone.set)
        outbox.put(Started(ONE))

        assert gone.wait(10)
