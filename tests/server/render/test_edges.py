"""Edges as Canny finds them, and strokes as scribble controls want to see them. Rule V16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from server.render import edges as module
from server.render.edges import edges
from server.render.renderer import Renderer
from server.render.viewport import Viewport
from tests.support import canvas

if TYPE_CHECKING:
    from server.core.records import Record

VIEW = Viewport(0.0, 0.0, 64.0, 64.0, 64, 64)


def drawn(side: int = 64) -> Image.Image:
    picture = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(picture).rectangle((16, 16, 47, 47), fill="black")
    return picture


def test_v16_an_edge_is_a_white_line_one_pixel_wide() -> None:
    found = np.asarray(edges(drawn()))

    assert set(np.unique(found)) == {0, 255}
    assert (found[20:44] == 255).sum(1).tolist() == [2] * 24
    assert (found[:, 20:44] == 255).sum(0).tolist() == [2] * 24
    assert found[24:40, 24:40].max() == 0
    assert found[:12].max() == 0


def test_v16_weak_edges_count_only_where_they_hang_on_strong_ones() -> None:
    pixels = np.full((40, 60), 100, np.uint8)
    pixels[20:, :30] = np.linspace(100, 255, 30, dtype=np.uint8)[::-1]
    pixels[20:, 30:] = 100
    faint = np.full((40, 60), 100, np.uint8)
    faint[20:, :] = 135

    assert np.asarray(edges(Image.fromarray(faint))).max() == 0
    line = np.asarray(edges(Image.fromarray(pixels)))[18:22].max(0)
    strong = np.abs(4 * (pixels[25, :].astype(int) - 100)) > module.STRONG
    assert line[strong].min() == 255
    assert (line == 255).sum() > strong.sum()
    assert line[pixels[25] < 105].max() == 0


def test_v16_a_long_winding_edge_is_followed_to_its_end() -> None:
    size = 65
    weak = np.zeros((size, size), bool)
    weak[::2] = True
    weak[1::4, -1] = True
    weak[3::4, 0] = True
    strong = np.zeros_like(weak)
    strong[0, 0] = True

    assert np.array_equal(module._hang_on(weak, strong), weak)
    assert not module._hang_on(weak, np.zeros_like(weak)).any()


def test_v16_strokes_are_white_lines_on_black_whatever_their_colour() -> None:
    records: list[Record] = [
        canvas.image("picture", 0, 0, 64, 64),
        canvas.stroke("one", (10, 32), (54, 32), color="#102030", opacity=0.3, size=8.0),
        canvas.stroke("gone", (32, 0), (32, 64), z="a1", size=8.0, erase=True),
    ]

    lines = Renderer().lines("room", "frame", records, VIEW)

    pixels = np.asarray(lines)
    assert lines.mode == "L"
    assert pixels[32, 16] == 255
    assert pixels[32, 32] == 0
    assert pixels[10].max() == 0


def test_v16_strokes_in_a_faint_layer_are_white_lines_too() -> None:
    records: list[Record] = [
        canvas.layer("faint", opacity=0.3),
        canvas.stroke("one", (10, 32), (54, 32), layer="faint", size=8.0),
    ]

    lines = Renderer().lines("room", "frame", records, VIEW)

    assert np.asarray(lines)[32, 32] == 255


def test_v16_lines_and_pictures_of_a_frame_do_not_mix() -> None:
    renderer = Renderer()
    stroke = canvas.stroke("one", (10, 32), (54, 32), color="#ff0000", size=8.0)

    for _ in range(2):
        lines = renderer.lines("room", "frame", [stroke], VIEW)
        shown = renderer.render("room", "frame", [stroke], VIEW, lambda _blob: None)
        assert np.asarray(lines)[32, 30] == 255
        assert np.asarray(shown.image)[32, 30].tolist() == [255, 0, 0, 255]
