"""What comes out of the renderer, pixel by pixel, and what it costs the second time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from PIL import Image as Pixels

from server.core.records import Candidate, Job, Record
from server.render.renderer import Rendered, Renderer
from server.render.viewport import Viewport
from tests.support import canvas
from tests.support.canvas import image, layer, line, mask, stroke

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEW = Viewport(0, 0, 256, 256, 256, 256)
RED = (255, 0, 0, 255)
BLUE = (0, 0, 255, 255)
CLEAR = (0, 0, 0, 0)


@dataclass
class Room:
    """A renderer with one room's blobs; counts how often they are read."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    renderer: Renderer = field(default_factory=Renderer)
    fetched: list[str] = field(default_factory=list)

    def render(self, records: Iterable[Record], view: Viewport = VIEW) -> Rendered:
        return self.renderer.render("room", "frame", records, view, self._fetch)

    def _fetch(self, blob: str) -> bytes | None:
        self.fetched.append(blob)
        return self.blobs.get(blob)


def pixels(records: Iterable[Record], *spots: tuple[int, int]) -> list[object]:
    picture = Room().render(records).image
    return [picture.getpixel(spot) for spot in spots]


def test_v2_a_stroke_that_crosses_itself_has_no_holes() -> None:
    figure = stroke("s", (60, 60), (196, 196), (196, 60), (60, 196), (60, 60))
    spots = [(128, 128), (100, 100), (156, 156), (156, 100), (100, 156)]
    assert pixels([figure], *spots) == [RED] * len(spots)
    twice_around = [(60, 60), (196, 60), (196, 196), (60, 196)] * 2
    assert pixels([stroke("s", *twice_around)], (60, 128), (196, 128), (128, 128))[0] == RED


def test_v2_edges_are_antialiased_and_as_wide_as_the_brush() -> None:
    column = Room().render([stroke("s", (20, 100.5), (236, 100.5))]).image.getchannel("A")
    heights = list(column.crop((128, 0, 129, 256)).tobytes())
    assert sum(heights) / 255 == pytest.approx(20, abs=0.2)
    assert any(0 < height < 255 for height in heights)


def test_v3_nothing_drawn_is_transparent_and_colour_is_straight() -> None:
    half = stroke("s", (20, 100), (236, 100), opacity=0.5)
    assert pixels([half], (128, 100), (128, 200)) == [(255, 0, 0, 128), CLEAR]


def test_v4_an_eraser_takes_away_what_lies_below_it_in_its_own_layer_only() -> None:
    records: list[Record] = [
        stroke("base", (20, 100), (236, 100), color="#0000ff"),
        layer("l"),
        stroke("below", (20, 100), (236, 100), layer="l", z="a0"),
        stroke("rub", (128, 20), (128, 236), layer="l", z="a1", erase=True, size=40.0),
        stroke("above", (20, 160), (236, 160), layer="l", z="a2"),
    ]
    assert pixels(records, (60, 100), (128, 100), (128, 160)) == [RED, BLUE, RED]


def test_v4_a_half_opaque_eraser_takes_half() -> None:
    records = [
        stroke("s", (20, 100), (236, 100)),
        stroke("rub", (128, 20), (128, 236), z="a1", erase=True, opacity=0.5),
    ]
    assert pixels(records, (128, 100)) == [(255, 0, 0, 127)]


def test_v5_order_is_by_z_then_id() -> None:
    red = stroke("b", (20, 100), (236, 100))
    blue = stroke("a", (128, 20), (128, 236), color="#0000ff")
    assert pixels([blue, red], (128, 100)) == [RED]
    assert pixels([red, blue], (128, 100)) == [RED]
    raised = stroke("a", (128, 20), (128, 236), color="#0000ff", z="a1")
    assert pixels([red, raised], (128, 100)) == [BLUE]


def test_v6_layers_lie_above_the_base_layer_in_their_own_order() -> None:
    spot = (128, 100)
    in_base = stroke("s1", (20, 100), (236, 100), z="zz")
    in_layer = stroke("s2", (20, 100), (236, 100), color="#0000ff", layer="l")
    assert pixels([in_layer, layer("l"), in_base], spot) == [BLUE]
    assert pixels([in_layer, layer("l", visible=False), in_base], spot) == [RED]
    higher = stroke("s3", (20, 100), (236, 100), color="#00ff00", layer="k")
    assert pixels([layer("l", "a1"), layer("k", "a0"), in_layer, higher], spot) == [BLUE]


def test_v6_a_layer_fades_as_one_picture() -> None:
    records: list[Record] = [
        layer("l", opacity=0.5),
        stroke("s1", (20, 100), (236, 100), layer="l"),
        stroke("s2", (20, 100), (236, 100), layer="l", z="a1", color="#0000ff"),
    ]
    assert pixels(records, (128, 100)) == [(0, 0, 255, 128)]


def test_v6_records_of_a_layer_that_is_gone_lie_in_the_base_layer() -> None:
    assert pixels([stroke("s", (20, 100), (236, 100), layer="gone")], (128, 100)) == [RED]


def test_v7_a_picture_of_the_frame_s_own_size_comes_out_unchanged() -> None:
    noise = Pixels.effect_noise((256, 256), 90).convert("RGB")
    room = Room({canvas.BLOB: canvas.encode(noise)})
    view = Viewport(1000.25, -3, 512, 512, 256, 256)
    result = room.render([image("i", 1000.25, -3, 512, 512)], view)
    assert result.image.convert("RGB").tobytes() == noise.tobytes()
    assert result.has_pictures


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_v7_pictures_are_scaled_placed_and_faded(format: str) -> None:
    data = canvas.encode(Pixels.new("RGB", (40, 10), "#0000ff"), format)
    room = Room({canvas.BLOB: data})
    result = room.render([image("i", 50, 100, 100, 60, opacity=0.5)]).image
    red, green, blue, alpha = result.crop((100, 130, 101, 131)).tobytes()
    assert max(red, green, 255 - blue) < 4
    assert alpha == 128
    assert result.getchannel("A").getbbox() == (50, 100, 150, 160)


def test_v7_a_picture_that_is_missing_or_broken_is_left_out_and_looked_for_again() -> None:
    room = Room()
    records = [image("i", 0, 0, 256, 256)]
    assert room.render(records).image.getchannel("A").getextrema() == (0, 0)
    room.blobs[canvas.BLOB] = b"GIF89a not one of ours"
    assert room.render(records).image.getchannel("A").getextrema() == (0, 0)
    room.blobs[canvas.BLOB] = canvas.png((8, 8), "#0000ff")
    assert room.render(records).image.getpixel((128, 128)) == BLUE


def test_v8_a_picture_with_too_many_pixels_is_not_decoded() -> None:
    room = Room({canvas.BLOB: canvas.png((300, 300))}, Renderer(max_picture_px=80_000))
    assert room.render([image("i", 0, 0, 256, 256)]).image.getchannel("A").getextrema() == (0, 0)


def test_v9_the_mask_is_made_of_the_frame_s_own_mask_strokes_in_order() -> None:
    records = [
        mask("m1", "frame", (20, 100), (236, 100)),
        mask("m2", "frame", (128, 20), (128, 236), z="a1", erase=True, size=30.0),
        mask("m3", "frame", (128, 180), (200, 180), z="a2"),
        mask("m4", "another", (20, 30), (236, 30)),
    ]
    result = Room().render(records)
    spots = [(60, 100), (128, 100), (128, 180), (60, 30), (128, 60)]
    assert [result.mask.getpixel(spot) for spot in spots] == [255, 0, 255, 0, 0]
    assert result.image.getchannel("A").getextrema() == (0, 0)


def test_v10_frames_jobs_and_candidates_are_no_part_of_the_picture() -> None:
    offered = Candidate(
        id="c", frame="frame", job="j", index=0, blob=canvas.BLOB, seed=1, x=0, y=0, w=256, h=256
    )
    job = Job(id="j", frame="frame", state="done", count=1)
    result = Room({canvas.BLOB: canvas.png((8, 8))}).render([canvas.frame(), offered, job])
    assert result.image.getchannel("A").getextrema() == (0, 0)
    assert result.drawn == 0


def test_v11_a_new_stroke_on_top_draws_only_itself() -> None:
    room = Room()
    records: list[Record] = [stroke(f"s{i}", (20, 9 * i), (236, 9 * i)) for i in range(25)]
    assert room.render(records).drawn == 25
    assert room.render(records).drawn == 0
    records.append(stroke("new", (20, 50), (236, 50), z="a1"))
    assert room.render(records).drawn == 1


def test_v11_a_change_below_draws_only_what_meets_the_damaged_part() -> None:
    room = Room()
    records: list[Record] = [stroke(f"s{i}", (20, 24 * i), (236, 24 * i)) for i in range(11)]
    room.render(records)
    del records[5]
    assert room.render(records).drawn <= 2


def test_v11_what_lies_outside_costs_nothing() -> None:
    room = Room()
    far: list[Record] = [stroke(f"s{i}", (5000, 24 * i), (6000, 24 * i)) for i in range(50)]
    assert room.render(far).drawn == 0


def test_v11_a_picture_is_read_and_decoded_once() -> None:
    room = Room({canvas.BLOB: canvas.png((8, 8))})
    records: list[Record] = [image("i", 0, 0, 100, 100)]
    room.render(records)
    room.render([image("i", 50, 0, 100, 100)])
    room.render([image("i", 50, 0, 100, 100), stroke("s", (60, 20), (100, 90), z="a1")])
    assert room.fetched == [canvas.BLOB]


def test_v12_layers_beyond_the_memory_that_is_kept_are_drawn_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records: list[Record] = []
    for i in range(6):
        records.append(layer(f"l{i}", f"a{i}", opacity=0.7))
        records.append(stroke(f"s{i}", (20, 40 * i), (200, 200), layer=f"l{i}"))
    expected = Room().render(records).image.tobytes()
    monkeypatch.setattr("server.render.view.MAX_LAYER_BYTES", 3 * 4 * 256 * 256)
    room = Room()
    room.render(records[:-1])
    assert room.render(records).image.tobytes() == expected


def test_a_stroke_as_large_as_the_canvas_allows_is_drawn() -> None:
    huge = stroke("s", (-4e6, -4e6), (4e6, 4e6), size=1024.0)
    assert pixels([huge], (128, 128), (10, 10)) == [RED, RED]


def test_v12_two_renders_of_one_frame_at_once_don_t_meet_in_one_picture() -> None:
    renderer = Renderer()
    data = canvas.png((8, 8), "#0000ff")
    under: list[Record] = [image("i", 0, 0, 256, 256), stroke("s", (20, 100), (236, 100), z="a1")]
    inner: list[bytes] = []

    def fetch(blob: str) -> bytes:
        # In the midst of the outer render, as another thread might come.
        result = renderer.render("room", "frame", [under[1]], VIEW, lambda name: None)
        inner.append(result.image.tobytes())
        return data

    outer = renderer.render("room", "frame", under, VIEW, fetch).image
    assert inner == [Room().render([under[1]]).image.tobytes()]
    assert outer.tobytes() == Room({canvas.BLOB: data}).render(under).image.tobytes()


def test_forgetting_a_room_frees_its_pictures() -> None:
    room = Room()
    room.render([stroke("s", (20, 20), (90, 90))])
    room.renderer.forget("room")
    assert room.render([stroke("s", (20, 20), (90, 90))]).drawn == 1


def test_support_lines_are_even() -> None:
    assert len(line((0, 0), (10, 0))) == 8 + 5 * 12
