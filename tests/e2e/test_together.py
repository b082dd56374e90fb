"""Two people at one canvas, at the same moment: cursors, ink, and a picture that emerges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SCENES = (
    ("a red mushroom on a meadow, blue sky", 11),
    ("an orange boat on the sea", 5),
    ("a yellow house in the snow", 3),
)


def wave(x: float, y: float, width: float) -> list[tuple[float, float]]:
    return [(x + i, y + 14 * math.sin(i / 18)) for i in range(0, int(width), 12)]


def ring(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    angles = [math.pi * i / 12 for i in range(26)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def test_each_sees_the_others_hand_and_the_picture_that_emerges(
    atelier: ServerProcess, browser: Browser, pictures: Path
) -> None:
    ann = StudioPage(browser).open(atelier.url + "/")
    bo = StudioPage(browser).open(ann.url)
    for person, name, color in ((ann, "Ann", "#e0592a"), (bo, "Bo", "#2f6fe4")):
        person.page.evaluate(
            "([name, color]) => window.__atelier.room.setProfile(name, color)", [name, color]
        )
        person.look_at(-60, -120)
    for number, (prompt, seed) in enumerate(SCENES):
        frame = bo.place_frame(20 + 288 * number, 0, 256, 256)
        bo.write_prompt(prompt)
        bo.set_frame(frame, seed=seed)
        bo.wait_until_saved()
        bo.generate()
        bo.wait_for_record(f"r.type === 'candidate' && r.frame === '{frame}'")
        if number < 2:
            bo.page.get_by_test_id("accept").first.click()
    bo.draw(*ring(140, 390, 46), color="#f2892e")
    bo.draw(*wave(30, 500, 230), color="#3b6ff5")
    bo.draw(*wave(44, 528, 200), color="#35a7c9")
    frame = ann.place_frame(308, 300, 256, 256)
    ann.write_prompt("a pink flower on a meadow")
    ann.set_frame(frame, steps=100, seed=2)
    ann.wait_until_saved()
    ann.generate()
    bo.tool("brush")
    path = [bo.on_screen(point) for point in wave(60, 556, 190)]
    bo.page.mouse.move(*path[0])
    bo.page.mouse.down()
    for x, y in path[1:]:
        bo.page.mouse.move(x, y)

    for person in (ann, bo):
        person.wait("[...window.__atelier.room.previews.values()].some((p) => p.step > 45)")
    ann.wait("window.__atelier.room.ink.size === 1")
    ann.wait("[...window.__atelier.room.peers.values()].some((p) => p.name === 'Bo' && p.cursor)")
    ann.page.screenshot(path=pictures / "studio.png")

    bo.page.mouse.up()
    ann.wait("window.__atelier.room.ink.size === 0")
    ann.wait_for_count("stroke", 4)
    for person in (ann, bo):
        assert person.errors == []
        person.close()
