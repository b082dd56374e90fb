"""V13: however a canvas came about, its picture is that of a drawing from scratch, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.render.renderer import Renderer
from server.render.viewport import Viewport
from tests.support import canvas
from tests.support.canvas import image, layer, mask, stroke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.core.records import Record

VIEW = Viewport(-10.5, 3.25, 90, 60, 96, 64)
BLOBS: Mapping[str, bytes] = {"a" * 64: canvas.png((30, 20), "#33cc55")}

spots = st.tuples(st.floats(-40, 120, width=16), st.floats(-40, 120, width=16))
layers_of = st.sampled_from([None, "L0", "L1", "gone"])
zs = st.sampled_from(["a0", "a1", "a2", "a3"])
opacities = st.sampled_from([1.0, 0.6])


@st.composite
def strokes(draw: st.DrawFn, id: str) -> Record:
    return stroke(
        id,
        *draw(st.lists(spots, min_size=1, max_size=4)),
        z=draw(zs),
        size=draw(st.sampled_from([3.0, 17.0, 60.0])),
        color=draw(st.sampled_from(["#ff0000", "#2040ff", "#ffffff"])),
        opacity=draw(opacities),
        erase=draw(st.booleans()),
        layer=draw(layers_of),
    )


@st.composite
def others(draw: st.DrawFn, id: str) -> Record:
    if draw(st.booleans()):
        return mask(id, "frame", draw(spots), draw(spots), z=draw(zs), erase=draw(st.booleans()))
    x, y = draw(spots)
    side = draw(st.sampled_from([0.4, 25.0, 200.0]))
    opacity, z, home = draw(opacities), draw(zs), draw(layers_of)
    return image(id, x, y, side, side, blob="a" * 64, opacity=opacity, z=z, layer=home)


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, Record | None]:
    """A record's id and what it becomes; None: it goes."""
    id = draw(st.sampled_from([f"r{i}" for i in range(8)] + ["L0", "L1"]))
    if draw(st.integers(0, 4)) == 0:
        return id, None
    if id.startswith("L"):
        return id, layer(id, draw(zs), visible=draw(st.booleans()), opacity=draw(opacities))
    return id, draw(strokes(id) if draw(st.booleans()) else others(id))


def picture(renderer: Renderer, records: Mapping[str, Record]) -> tuple[bytes, bytes]:
    result = renderer.render("room", "frame", tuple(records.values()), VIEW, BLOBS.get)
    return result.image.tobytes(), result.mask.tobytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(edits(), min_size=1, max_size=3), min_size=1, max_size=6))
def test_v13_incremental_rendering_equals_rendering_from_scratch(
    rounds: list[list[tuple[str, Record | None]]],
) -> None:
    renderer = Renderer()
    records: dict[str, Record] = {}
    for changes in rounds:
        for id, record in changes:
            records.pop(id, None)
            if record is not None:
                records[id] = record
        assert picture(renderer, records) == picture(Renderer(), records)
