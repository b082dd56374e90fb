"""The golden strokes that the browser is held to as well (web/src/canvas/outline.ts)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from server.core.strokes import decode_points, encode_points
from server.render.outline import outline
from tests.golden import make_strokes

GOLDEN: dict[str, Any] = json.loads(make_strokes.PATH.read_text())


@pytest.mark.parametrize("entry", GOLDEN["strokes"], ids=lambda entry: str(entry["name"]))
def test_v1_points_and_outlines_are_the_golden_ones(entry: dict[str, Any]) -> None:
    packed = bytes.fromhex(entry["packed"])

    assert encode_points([tuple(point) for point in entry["raw"]]) == packed
    assert [list(point) for point in decode_points(packed)] == entry["points"]
    shape = outline(packed, entry["size"], pen=entry["pen"])
    assert len(shape) == len(entry["outline"])
    for (x, y), (expected_x, expected_y) in zip(shape, entry["outline"], strict=True):
        assert x == pytest.approx(expected_x, abs=GOLDEN["tolerance"])
        assert y == pytest.approx(expected_y, abs=GOLDEN["tolerance"])


def test_the_golden_file_holds_the_strokes_that_its_script_writes() -> None:
    names = [entry["name"] for entry in GOLDEN["strokes"]]
    assert names == [case.name for case in make_strokes.cases()]
