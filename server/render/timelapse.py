"""A room's history as a film: some of its moments, evenly, drawn as small pictures. Blocking.

Pictures to choose from are shown where they were made, the newest of each frame, and before each
some of its previews. The moments in
which nothing to be seen changed are left out, so that nobody waits while others only talked.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from server.core.messages import Applied, Moment, Snapshot
from server.core.records import Candidate, Change, Layer, Put, Record, Stroke
from server.core.records import Image as ImageRecord
from server.core.replica import Replica
from server.render import strips
from server.render.bounds import Box, bounds
from server.render.renderer import MIB, Renderer
from server.render.viewport import Viewport

if TYPE_CHECKING:
    from server.render.renderer import Fetch

MAX_FRAMES = 90
MAX_SIDE_PX = 640
MARGIN = 0.04
"""Of the longer side, around all that is ever seen."""
FRAME_MS = 110
LAST_FRAME_MS = 2_500
WEBP_QUALITY = 80
_SEEN = (Stroke, ImageRecord, Layer, Candidate)
_ON_TOP = "zzzz"
_PAPER = "#ffffff"
_CELL = "#"
"""What stands between a strip's name and which cell of it is shown."""

Scene = Sequence[Record]
"""What is to be seen at one moment."""


def scenes(history: Iterable[Snapshot | Moment], most: int = MAX_FRAMES) -> list[Scene]:
    """What was to be seen, evenly over the moments that changed it; the last is always there."""
    replica = Replica()
    moments: list[Moment] = []
    for message in history:
        if isinstance(message, Snapshot):
            replica.fill(message)
        else:
            moments.append(message)
    if not moments:
        return []
    # The first moment says only what number the records are of.
    replica.seq = moments[0].seq
    wanted = _chosen(moments, replica.records, most)
    chosen: list[Scene] = []
    for index, moment in enumerate(moments):
        if index > 0:
            replica.apply(Applied(seq=moment.seq, id="", by=moment.by, changes=moment.changes))
        chosen += [_scene(replica.records, step) for step in wanted.get(index, ())]
    return chosen


def draw(film: Sequence[Scene], room: str, fetch: Fetch) -> Iterator[Image.Image]:
    """Each scene as an RGB picture of one size, at most MAX_SIDE_PX a side."""
    viewport = _viewport(film)
    if viewport is None:
        return

    def fetch_seen(blob: str) -> bytes | None:
        strip, _, place = blob.partition(_CELL)
        data = fetch(strip)
        if data is None or not place:
            return data
        number, num_cells = map(int, place.split("/"))
        return strips.cell(data, number, num_cells)

    renderer = Renderer(view_bytes=32 * MIB, stencil_bytes=64 * MIB, decoded_bytes=64 * MIB)
    for scene in film:
        seen = renderer.render(room, "timelapse", scene, viewport, fetch_seen).image
        paper = Image.new("RGBA", seen.size, _PAPER)
        paper.alpha_composite(seen)
        yield paper.convert("RGB")


def as_webp(pictures: Iterable[Image.Image]) -> bytes:
    """An animated WebP; empty where there is no picture."""
    film = list(pictures)
    if not film:
        return b""
    out = io.BytesIO()
    film[0].save(
        out,
        "WEBP",
        save_all=True,
        append_images=film[1:],
        duration=[*[FRAME_MS] * (len(film) - 1), LAST_FRAME_MS],
        quality=WEBP_QUALITY,
        method=0,
        loop=0,
    )
    return out.getvalue()


def as_folder(pictures: Iterable[Image.Image]) -> bytes:
    """A ZIP of `frame-0001.png` and so on; empty where there is no picture."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as folder:
        for number, picture in enumerate(pictures, start=1):
            data = io.BytesIO()
            picture.save(data, "PNG")
            folder.writestr(f"frame-{number:04}.png", data.getvalue())
    return out.getvalue() if folder.namelist() else b""


class Step(NamedTuple):
    """A picture's preview at the moment in which it was finished; without one the picture."""

    candidate: str = ""
    number: int = 0


def _chosen(
    moments: Sequence[Moment], at_first: Mapping[str, Record], most: int
) -> dict[int, list[Step]]:
    """Which of the moments are shown, and what of them."""
    seen = {id for id, record in at_first.items() if isinstance(record, _SEEN)}
    shown = [
        (index, step)
        for index, moment in enumerate(moments)
        if _shows(moment.changes, seen)
        for step in (*_steps(moment.changes), Step())
    ]
    if not shown:
        return {len(moments) - 1: [Step()]} if seen else {}
    last = len(shown) - 1
    times = max(1, min(most, len(shown)) - 1)
    wanted: dict[int, list[Step]] = {}
    for place in sorted({round(last * time / times) for time in range(times + 1)}):
        index, step = shown[place]
        wanted.setdefault(index, []).append(step)
    return wanted


def _steps(changes: Iterable[Change]) -> Iterator[Step]:
    """How the pictures came into being that these changes bring."""
    for change in changes:
        if isinstance(change, Put) and isinstance(change.record, Candidate):
            for number in range(change.record.num_previews):
                yield Step(change.record.id, number)


def _shows(changes: Iterable[Change], seen: set[str]) -> bool:
    """Whether any of these is to be seen; adds to `seen` what comes."""
    shows = False
    for change in changes:
        if isinstance(change, Put):
            if isinstance(change.record, _SEEN):
                seen.add(change.record.id)
                shows = True
        elif change.id in seen:
            shows = True
    return shows


def _scene(records: Mapping[str, Record], step: Step) -> Scene:
    offered: dict[str, ImageRecord] = {}
    for record in records.values():
        if isinstance(record, Candidate) and record.state == "open":
            is_emerging = record.id == step.candidate
            place = f"{record.strip}{_CELL}{step.number}/{record.num_previews}"
            offered[record.frame] = ImageRecord(
                id=record.id, z=_ON_TOP, blob=place if is_emerging else record.blob,
                x=record.x, y=record.y, w=record.w, h=record.h,
            )  # fmt: skip
    drawn = [record for record in records.values() if isinstance(record, Stroke | ImageRecord)]
    layers = [record for record in records.values() if isinstance(record, Layer)]
    return [*layers, *drawn, *offered.values()]


def _viewport(film: Sequence[Scene]) -> Viewport | None:
    """Around all that is ever seen; None if nothing is."""
    records = {id(record): record for scene in film for record in scene}
    boxes = [box for box in map(bounds, records.values()) if box is not None]
    if not boxes:
        return None
    x0, y0, x1, y1 = reduce(_join, boxes)
    margin = MARGIN * max(x1 - x0, y1 - y0)
    w, h = x1 - x0 + 2 * margin, y1 - y0 + 2 * margin
    scale = min(1.0, MAX_SIDE_PX / max(w, h))
    width, height = max(1, round(w * scale)), max(1, round(h * scale))
    return Viewport(x0 - margin, y0 - margin, w, h, width, height)


def _join(a: Box, b: Box) -> Box:
    return Box(min(a.x0, b.x0), min(a.y0, b.y0), max(a.x1, b.x1), max(a.y1, b.y1))
