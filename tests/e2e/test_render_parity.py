"""A stroke is the same shape on people's screens and in the picture that the model is given.

The golden strokes go through a real page into a room without a model; what the page's canvas
shows of each is compared with what the server's renderer draws, both on white paper. What is
left between them is how the two antialias an edge.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from server.core.records import Stroke
from server.render.bounds import bounds
from server.render.renderer import Renderer
from server.render.viewport import Viewport
from tests.e2e.studio_page import StudioPage
from tests.golden import make_strokes
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

Levels: TypeAlias = npt.NDArray[np.int16]
"""Of black ink on white paper, 0 to 255."""

GOLDEN: dict[str, Any] = json.loads(make_strokes.PATH.read_text())
MAX_SIDE = 1024
"""Canvas units; of longer strokes only the beginning is looked at."""
GAP = 16

_PUT = """(strokes) => window.__atelier.room.submit(strokes.map(({ points, ...fields }) => (
    { c: "put", record: { ...fields, points: Uint8Array.from(points) } }
)))"""
_SHOWN = """([x, y, w, h, width, height]) => {
    const { data } = window.__atelier.view.renderRegion(x, y, w, h, width, height);
    const reds = data.filter((_, index) => index % 4 === 0);
    let text = "";
    for (let i = 0; i < reds.length; i += 8192)
        text += String.fromCharCode(...reds.subarray(i, i + 8192));
    return btoa(text);
}"""


class Placed(NamedTuple):
    """A golden stroke, moved to where no other is, and the part of the canvas to look at."""

    stroke: Stroke
    x: int
    y: int
    w: int
    h: int

    def viewport(self, scale: float) -> Viewport:
        return Viewport(self.x, self.y, self.w, self.h, int(self.w * scale), int(self.h * scale))


def placed() -> list[Placed]:
    """The golden strokes in a column, each off the pixel grid by another amount."""
    column: list[Placed] = []
    top = 0
    for index, entry in enumerate(GOLDEN["strokes"]):
        points = bytes.fromhex(entry["packed"])
        stroke = Stroke(
            id=f"golden-{index}",
            z="a0",
            points=points,
            size=entry["size"],
            pen=entry["pen"],
            color="#000000",
        )
        box = bounds(stroke)
        assert box is not None
        moved = msgspec.structs.replace(stroke, x=0.3 - box.x0, y=top + 0.7 - box.y0)
        w, h = even(min(box.x1 - box.x0, MAX_SIDE)), even(min(box.y1 - box.y0, MAX_SIDE))
        column.append(Placed(moved, 0, top, w, h))
        top += even(box.y1 - box.y0 + GAP)
    return column


def even(length: float) -> int:
    """Half of it is whole, and there is room for the fraction that a stroke is moved by."""
    return 2 * math.ceil(length / 2 + 1)


def for_page(stroke: Stroke) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(stroke)
    return fields | {"type": "stroke", "points": list(stroke.points)}


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioPage]:
    """A page of a room that holds the golden strokes."""
    with ServerProcess(tmp_path_factory.mktemp("parity"), "--model", "none") as server:
        page = StudioPage(browser).open(server.url + "/")
        strokes = [for_page(place.stroke) for place in placed()]
        page.page.evaluate(_PUT, strokes)
        page.wait_for_count("stroke", len(strokes))
        page.wait_until_saved()
        yield page
        page.close()
        assert page.errors == []


def shown(page: StudioPage, view: Viewport) -> Levels:
    """What the page's canvas shows."""
    levels = base64.b64decode(page.page.evaluate(_SHOWN, list(view)))
    return np.frombuffer(levels, np.uint8).astype(np.int16)


def drawn(stroke: Stroke, view: Viewport) -> Levels:
    """What the server draws."""
    picture = Renderer().render("room", "frame", [stroke], view, lambda blob: None).image
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    return np.frombuffer(paper.getchannel("R").tobytes(), np.uint8).astype(np.int16)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_v15_the_server_draws_what_the_page_shows(page: StudioPage, scale: float) -> None:
    differences = []
    for place in placed():
        view = place.viewport(scale)
        seen = shown(page, view)
        assert seen.min() < 255, f"the page shows nothing of {place}"
        differences.append(np.abs(seen - drawn(place.stroke, view)))
    levels = np.concatenate(differences)
    # Straight lines on one side and curves on the other give 0.25 to 0.38, and 51 to 71.
    assert levels.mean() < 0.3
    assert np.percentile(levels, 99.9) < 44
