"""What the scheduler's turns are worth, on a virtual clock: the figures that were promised."""

from __future__ import annotations

import pytest

from scripts.benchmarks import loads
from scripts.benchmarks.virtual import Ours, Requests, figures

CURVE = {1: 0.0157, 2: 0.0237, 4: 0.0335, 8: 0.052, 12: 0.073, 16: 0.0955}
"""The embedded model's forwards of 8 x 8 latents, as measured on a core of its own."""
DECODE_S = 0.04


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return figures(CURVE, DECODE_S, seconds=40, seeds=2)


@pytest.mark.parametrize(
    ("figure", "most"),
    [
        ("poisson06_preview_p50_vs_request_batching", 0.55),
        ("poisson06_preview_p95_vs_request_batching", 0.50),
        ("rooms12_preview_p50_vs_superseding", 0.55),
        ("rooms12_preview_p95_vs_superseding", 0.52),
        ("rooms12_final_p95_vs_superseding", 0.92),
        ("hog_light_p95_ratio", 1.3),
    ],
)
def test_turns_are_worth_what_was_promised(
    found: dict[str, float], figure: str, most: float
) -> None:
    assert 0 < found[figure] <= most


def test_one_request_alone_takes_its_steps_and_its_decoding() -> None:
    asked = [loads.Request(1.0, loads.Maker(128, 1).job("room"))]
    for arm in (Ours(CURVE, DECODE_S), Requests(CURVE, DECODE_S)):
        (record,) = arm.play(asked)

        assert record.previews_s[0] == pytest.approx(1.0 + CURVE[1])
        assert record.ended_s == pytest.approx(1.0 + loads.STEPS * CURVE[1] + DECODE_S)


def test_a_step_beside_decoding_takes_twice_as_long() -> None:
    first, second = (loads.Maker(128, seed).job("room") for seed in (1, 2))
    begins_s = loads.STEPS * CURVE[1]
    asked = [loads.Request(0.0, first), loads.Request(begins_s, second)]

    records = Requests(CURVE, DECODE_S).play(asked)

    assert records[0].ended_s == pytest.approx(begins_s + 2 * DECODE_S)
    assert records[1].previews_s[0] == pytest.approx(begins_s + 2 * CURVE[1])
