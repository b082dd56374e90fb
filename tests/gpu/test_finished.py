"""What counts as the same request, and how many pictures are kept. Rule G46."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gpu.api import Control, Job
from gpu.finished import FinishedPictures, fingerprint
from tests.gpu.pictures import gradient, job, picture, square_mask

WHOSE = {"id": "another", "room": "another", "person": "another", "slot": "another", "live": True}
OTHERS: dict[str, Any] = {
    "model": "dreams",
    "prompt": "a blue house",
    "negative": "fog",
    "clip_skip": 1,
    "loras": {"ink": 1.0},
    "width": 256,
    "height": 256,
    "steps": 5,
    "guidance": 3.5,
    "seed": 8,
    "variation_seed": 1,
    "variation": 0.5,
    "sampler": "euler",
    "strength": 0.5,
    "hires_strength": 0.4,
    "image": picture(gradient()),
    "mask": picture(square_mask()),
    "control": Control(name="controlnet", image=picture(square_mask())),
}


@pytest.mark.parametrize("field", Job.__struct_fields__)
def test_g46_all_that_decides_the_pixels_counts_and_nothing_else(field: str) -> None:
    request = job()
    value = WHOSE.get(field, OTHERS.get(field))
    assert value is not None, f"say whether {field} decides the pixels"

    other = msgspec.structs.replace(request, **{field: value})

    assert (fingerprint(other) == fingerprint(request)) == (field in WHOSE)


def test_g46_adapters_count_whatever_their_order() -> None:
    one, two = {"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}

    assert fingerprint(job(loras=one, id="x")) == fingerprint(job(loras=two, id="x"))


def test_g46_the_pictures_used_last_are_kept_within_a_bound() -> None:
    pictures = FinishedPictures(max_bytes=10)
    pictures.put(b"a", b"1234")
    pictures.put(b"b", b"1234")
    assert pictures.get(b"a") == b"1234"
    pictures.put(b"c", b"1234")

    assert pictures.get(b"b") is None
    assert pictures.get(b"a") == pictures.get(b"c") == b"1234"
    pictures.put(b"huge", bytes(11))
    assert pictures.get(b"huge") is None
