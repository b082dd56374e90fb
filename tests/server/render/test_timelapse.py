"""A room's history as a film. Rule T18."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
from PIL import Image

from server.core.messages import Moment, Preview, Snapshot
from server.core.records import Candidate, Change, Chat, Delete, Layer, Patch, Put
from server.core.records import Image as Picture
from server.core.schema import STRIP_BYTES, cost_bytes
from server.render import strips, timelapse
from server.render.timelapse import as_folder, as_webp, draw, scenes
from tests.support.canvas import BLOB, frame, png, stroke

STRIP = "ab" * 32


def history(*ops: list[Change]) -> list[Snapshot | Moment]:
    first = Moment(seq=7, by="", at_ms=0, changes=[])
    past = [Moment(seq=8 + n, by="ann", at_ms=n, changes=changes) for n, changes in enumerate(ops)]
    return [Snapshot(records=[Layer(id="layer", z="a0")]), first, *past]


def across(n: int, color: str = "#ff0000") -> Put:
    return Put(stroke(f"s{n}", (0, 40 * n), (200, 40 * n), color=color))


def film(*ops: list[Change]) -> list[Image.Image]:
    return list(draw(scenes(history(*ops)), "room", lambda _blob: png((8, 8), "#00ff00")))


def ids(ops: list[list[Change]], most: int) -> list[list[str]]:
    return [[r.id for r in scene if r.id != "layer"] for scene in scenes(history(*ops), most)]


def colors(picture: Image.Image) -> set[str]:
    wanted = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    there = {color for _, color in picture.getcolors(1 << 20) or []}
    return {name for name, color in wanted.items() if color in there}


def test_t18_each_moment_that_changed_what_is_seen_is_shown() -> None:
    talk: list[Change] = [Put(Chat(id="line", text="hi"))]
    moved: list[Change] = [Patch("s0", {"x": 5.0})]
    ops: list[list[Change]] = [talk, [across(0)], [across(1)], [Put(frame())], moved]
    assert ids(ops, 90) == [["s0"], ["s0", "s1"], ["s0", "s1"]]


def test_t18_of_many_moments_some_are_shown_evenly_and_always_the_last() -> None:
    ops: list[list[Change]] = [[across(n)] for n in range(100)]
    shown = ids(ops, 10)
    assert [len(scene) for scene in shown] == [1, 12, 23, 34, 45, 56, 67, 78, 89, 100]


def test_t18_pictures_have_one_size_within_bounds_and_show_what_was_there() -> None:
    far: Change = Put(stroke("far", (0, 0), (5_000, 900), color="#0000ff", size=200.0))
    first, second, third = film([across(0)], [far], [Delete("s0")])
    assert first.size == second.size == third.size
    assert max(first.size) == timelapse.MAX_SIDE_PX
    assert first.mode == "RGB"
    assert "blue" not in colors(first)
    assert "blue" in colors(second)
    assert first.getpixel((0, 0)) == (255, 255, 255)
    assert first.tobytes() != second.tobytes() != third.tobytes()


def test_t18_the_newest_open_picture_of_a_frame_lies_in_its_place() -> None:
    offer = Candidate(
        id="cand", frame="frame", job="job", index=0, blob=BLOB, seed=1,
        x=0.0, y=0.0, w=100.0, h=100.0,
    )  # fmt: skip
    before, offered, discarded = film(
        [across(0)], [Put(offer)], [Patch("cand", {"state": "discarded"})]
    )
    assert colors(before) == colors(discarded) == {"red"}
    assert "green" in colors(offered)


def test_t18_a_film_is_an_animated_webp_or_a_folder_of_frames() -> None:
    pictures = film([across(0)], [across(1, "#0000ff")], [across(2)])
    with Image.open(io.BytesIO(as_webp(pictures))) as webp:
        assert webp.format == "WEBP"
        assert getattr(webp, "n_frames", 1) == 3
        assert webp.size == pictures[0].size
    with zipfile.ZipFile(io.BytesIO(as_folder(pictures))) as folder:
        assert folder.namelist() == ["frame-0001.png", "frame-0002.png", "frame-0003.png"]
        with Image.open(io.BytesIO(folder.read("frame-0002.png"))) as png_frame:
            assert png_frame.convert("RGB").tobytes() == pictures[1].tobytes()


def test_t18_where_nothing_was_drawn_there_is_no_film() -> None:
    assert film([Put(Chat(id="line", text="hi"))]) == []
    assert scenes([]) == []
    assert as_webp([]) == as_folder([]) == b""


def offer(strip: str, num_previews: int, id: str = "cand") -> Candidate:
    return Candidate(
        id=id, frame="frame", job="job", index=0, blob=BLOB, seed=1, x=0.0, y=0.0, w=100.0,
        h=100.0, strip=strip, num_previews=num_previews,
    )  # fmt: skip


def preview(step: int, color: str, box: tuple[float, float, float, float]) -> Preview:
    out = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(out, "JPEG", quality=95)
    return Preview(
        frame="frame", job="job", index=0, step=step, steps=9, box=box, jpeg=out.getvalue()
    )


WHOLE = (0.0, 0.0, 100.0, 100.0)


def near(a: object, b: tuple[int, int, int]) -> bool:
    assert isinstance(a, tuple)
    return all(abs(x - y) < 24 for x, y in zip(a, b, strict=True))


def test_t18_a_picture_comes_into_being_before_it_is_there() -> None:
    joined = strips.join(
        [preview(1, "#ff0000", WHOLE), preview(5, "#0000ff", (50.0, 0.0, 50.0, 50.0))],
        frame(x=0.0, y=0.0, w=100.0, h=100.0),
    )
    assert joined is not None
    strip, num = joined
    assert num == 2
    blobs = {STRIP: strip, BLOB: png((8, 8), "#00ff00")}
    past = history([across(0, "#000000")], [Put(offer(STRIP, num))], [Delete("cand")])
    pictures = list(draw(scenes(past), "room", blobs.get))
    assert len(pictures) == 5
    seen = timelapse._viewport(scenes(past))
    assert seen is not None
    scale = pictures[0].width / seen.w
    at_left, at_right = (
        (round((x - seen.x) * scale), round((30 - seen.y) * scale)) for x in (30, 90)
    )
    red, blue, green, white = (255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)
    for place, colors_then in (
        (at_left, (white, red, white, green, white)),
        (at_right, (white, red, blue, green, white)),
    ):
        for picture, color in zip(pictures, colors_then, strict=True):
            assert near(picture.getpixel(place), color), (place, color)


def test_t18_previews_count_as_moments_and_give_way_evenly() -> None:
    ops: list[list[Change]] = [[Put(offer(STRIP, 4, f"cand-{n}"))] for n in range(30)]
    assert len(scenes(history(*ops), 1_000)) == 150
    shown = scenes(history(*ops), 90)
    assert len(shown) == 90
    places = [record.blob for scene in shown for record in scene if isinstance(record, Picture)]
    assert places[-1] == BLOB
    assert {place.partition("#")[2] for place in places} == {"", "0/4", "1/4", "2/4", "3/4"}


def webp(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def bomb() -> bytes:
    """A few bytes that say they are more pixels than Pillow would ever decode."""
    data = bytearray(webp(16_383, 1))
    # The height lies in bits 14 to 27 of what follows the lossless format's signature.
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (bits | 16_382 << 14).to_bytes(4, "little")
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    return bytes(data)


def test_t18_a_strip_that_is_damaged_or_gone_leaves_the_canvas_as_it_was() -> None:
    past = history([across(0)], [Put(offer(STRIP, 2))])
    for kept in (None, b"no picture", bomb(), webp(1, 8)):
        blobs = {BLOB: png((8, 8), "#00ff00")} | ({STRIP: kept} if kept else {})
        before, first, second, done = draw(scenes(past), "room", blobs.get)
        assert before.tobytes() == first.tobytes() == second.tobytes()
        assert "green" in colors(done)


def test_t18_a_strip_is_small_whatever_is_in_it() -> None:
    rng = random.Random(5)
    noisy = []
    for step in range(12):
        out = io.BytesIO()
        Image.frombytes("RGB", (256, 256), rng.randbytes(256 * 256 * 3)).save(out, "JPEG")
        noisy.append(
            Preview(frame="frame", job="job", index=0, step=step, steps=12, box=WHOLE,
                    jpeg=out.getvalue())
        )  # fmt: skip
    joined = strips.join(noisy, frame(x=0.0, y=0.0, w=100.0, h=100.0))
    assert joined is None or len(joined[0]) <= STRIP_BYTES
    assert strips.join([], frame()) is None
    assert [p.step for p in strips.evenly(noisy, 4)] == [2, 5, 8, 11]
    assert cost_bytes(offer(STRIP, 4)) - cost_bytes(offer("", 0)) == STRIP_BYTES
