"""Draws the engine's figures beside its rivals': small charts in one PNG, by Pillow alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 44
_INK, _FAINT = "#1d2733", "#d8dee6"
_COLOURS = {
    "ours": "#d5482c", "requests": "#3566a8", "requests_10ms": "#7fa5d6", "superseding": "#2e8b6f",
    "objects": "#8a6bb1", "fifo": "#7a7f87", "forward": "#1d2733",
}  # fmt: skip
_NAMES = {
    "ours": "Atelier", "requests": "request batching", "requests_10ms": "… waiting 10 ms",
    "superseding": "… replacing stale ones", "objects": "step batching, scheduler objects",
    "fifo": "diffusers, one by one", "forward": "bare forward",
}  # fmt: skip
_LOADS = {"poisson03": 0.3, "poisson06": 0.6, "poisson08": 0.8, "poisson095": 0.95}
_ROOMS = {"rooms04": 4.0, "rooms12": 12.0, "rooms24": 24.0}


@dataclass(slots=True)
class Chart:
    """Lines over `ticks`, which stand at equal distances; values from 0, or by powers of ten."""

    title: str
    x_title: str
    ticks: Sequence[str]
    lines: dict[str, dict[int, float]] = field(default_factory=dict)
    """By arm: values by the number of their tick."""
    is_log: bool = False


def draw(figures: Mapping[str, Any]) -> Image.Image:
    """All charts for which there are figures, two beside each other.

    Where there are figures of the virtual clock, waits are of that: no noise is in them.
    """
    virtual = figures.get("virtual", {})
    figures = {**figures, **{name: virtual[name] for name in {**_LOADS, **_ROOMS} if virtual}}
    drawn = [_draw(chart) for chart in _charts(figures) if chart.lines]
    rows = max(1, math.ceil(len(drawn) / 2))
    sheet = Image.new("RGB", (2 * WIDTH, rows * HEIGHT + 24), "white")
    for number, picture in enumerate(drawn):
        sheet.paste(picture, (number % 2 * WIDTH, number // 2 * HEIGHT))
    note = (
        f"{figures['machine']}, {figures['threads']} thread(s) on as many cores, "
        f"{figures['dtype']}, latents {figures['latents']}, {figures['date']}"
        + (", waits on a virtual clock" if virtual else "")
    )
    ImageDraw.Draw(sheet).text((_LEFT, rows * HEIGHT + 4), note, _INK, _font(11))
    return sheet.quantize(64)


def _charts(figures: Mapping[str, Any]) -> list[Chart]:
    forwards = figures["forward_ms"]
    rows = {number: ms / int(rows) for number, (rows, ms) in enumerate(forwards.items())}
    return [
        Chart("a forward, ms a row", "rows", list(forwards), {"forward": rows}),
        _served("independent requests: first preview p95, ms", "part of capacity", figures, _LOADS),
        _served("rooms of live frames: first preview p95, ms", "rooms", figures, _ROOMS),
        _served("rooms of live frames: picture p95, ms", "rooms", figures, _ROOMS, "final"),
    ]


def _served(
    title: str,
    x_title: str,
    figures: Mapping[str, Any],
    loads: Mapping[str, float],
    what: str = "preview",
) -> Chart:
    chart = Chart(title, x_title, [f"{value:g}" for value in loads.values()], is_log=True)
    for number, load in enumerate(loads):
        for arm, waits in figures.get(load, {}).items():
            value = waits[what]["p95_ms"]
            if math.isfinite(value):
                chart.lines.setdefault(arm, {})[number] = value
    return chart


def _draw(chart: Chart) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((_LEFT, 12), chart.title, _INK, _font(14))
    values = [value for line in chart.lines.values() for value in line.values()]
    marks = _marks(max(values), min(values), is_log=chart.is_log)
    for mark in marks:
        y = _y(mark, marks, is_log=chart.is_log)
        pen.line((_LEFT, y, WIDTH - _RIGHT, y), _FAINT)
        pen.text((_LEFT - 6, y), f"{mark:g}", _INK, _font(11), anchor="rm")
    for number, tick in enumerate(chart.ticks):
        pen.text((_x(number, chart), HEIGHT - _BOTTOM + 6), tick, _INK, _font(11), anchor="ma")
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    pen.text((middle, HEIGHT - _BOTTOM + 22), chart.x_title, _INK, _font(11), anchor="ma")
    for place, (arm, line) in enumerate(chart.lines.items()):
        points = [
            (_x(number, chart), _y(value, marks, is_log=chart.is_log))
            for number, value in line.items()
        ]
        width = 3 if arm == "ours" else 2
        pen.line(points, _COLOURS[arm], width)
        for x, y in points:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), _COLOURS[arm])
        pen.text((_LEFT + 8, _TOP + 14 * place), _NAMES[arm], _COLOURS[arm], _font(11))
    return picture


def _marks(most: float, least: float, *, is_log: bool) -> list[float]:
    """Round values that the axis shows; the first and last are its ends."""
    if is_log:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(most) + 0.3)
        return [10.0**power for power in range(low, max(high, low + 1) + 1)]
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if most / s <= 6)
    return [step * number for number in range(math.ceil(most * 1.15 / step) + 1)]


def _x(number: int, chart: Chart) -> float:
    inside = WIDTH - _LEFT - _RIGHT
    return _LEFT + inside * (number + 0.5) / len(chart.ticks)


def _y(value: float, marks: Sequence[float], *, is_log: bool) -> float:
    scale = math.log10 if is_log else float
    low, high = scale(marks[0]), scale(marks[-1])
    return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (scale(value) - low) / (high - low)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
