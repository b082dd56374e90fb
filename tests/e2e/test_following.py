"""Pointing with a laser, following, being brought along, a timer. Rules T14 to T17."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.studio_page import StudioPage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_REDDISH = """([x, y, r]) => {
    const canvas = document.querySelector('[data-testid="canvas"]');
    const k = canvas.width / canvas.getBoundingClientRect().width;
    const { data } = canvas.getContext("2d").getImageData((x - r) * k, (y - r) * k, 2*r*k, 2*r*k);
    let count = 0;
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 60 && data[i] > 150 && data[i + 1] < 130) count++;
    return count;
}"""


def middle(person: StudioPage) -> tuple[int, int]:
    """The canvas point in the middle of what somebody sees."""
    x, y = person.page.evaluate("""() => {
        const { camera, size } = window.__atelier.view;
        return [camera.x + size.width / 2 / camera.zoom, camera.y + size.height / 2 / camera.zoom];
    }""")
    return round(x), round(y)


def sees(x: float, y: float) -> str:
    """That the middle of what one sees is about there, as an expression in the page."""
    view = "window.__atelier.view"
    across = f"{view}.camera.x + {view}.size.width / 2 / {view}.camera.zoom"
    down = f"{view}.camera.y + {view}.size.height / 2 / {view}.camera.zoom"
    return f"Math.hypot({across} - {x}, {down} - {y}) < 2"


def test_t14_who_follows_sees_what_the_other_sees_until_they_move_themselves(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.look_at(-500, -350)
    bo.page.get_by_test_id("people").click()
    bo.page.get_by_test_id("follow").click()
    bo.page.get_by_test_id("people").click()
    bo.page.get_by_test_id("following").wait_for()
    bo.wait(sees(*middle(ann)))
    ann.look_at(3000, 200, zoom=2.0)
    bo.wait(sees(*middle(ann)))
    bo.page.screenshot(path=pictures / "following.png")

    bo.page.mouse.move(640, 400)
    bo.page.mouse.wheel(0, 120)
    bo.wait("!document.querySelector('[data-testid=\"following\"]')")
    left = middle(bo)
    ann.look_at(-900, -900)
    ann.wait_until_saved()
    assert middle(bo) == left


def test_t15_a_host_brings_everybody_to_what_they_see(ann: StudioPage, bo: StudioPage) -> None:
    ann.look_at(700, -3000)
    ann.page.get_by_test_id("people").click()
    ann.page.get_by_test_id("gather").click()
    bo.page.get_by_test_id("following").wait_for()
    bo.wait(sees(*middle(ann)))
    bo.page.get_by_test_id("following").click()
    assert bo.page.get_by_test_id("following").count() == 0
    bo.page.get_by_test_id("people").click()
    assert bo.page.get_by_test_id("gather").count() == 0


def test_t16_a_laser_leaves_a_trail_that_fades(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.look_at(-400, -300)
    bo.look_at(-400, -300)
    ann.tool("laser")
    ann.page.mouse.move(500, 420)
    bo.wait("[...window.__atelier.room.peers.values()].some(p => p.tool === 'laser')")
    ann.page.mouse.move(800, 520, steps=12)
    # On the way there, where no cursor is.
    bo.wait(f"({_REDDISH})([650, 470, 20]) > 30")
    bo.page.screenshot(path=pictures / "laser.png")
    bo.wait(f"({_REDDISH})([650, 470, 20]) === 0")
    assert len(ann.records("stroke")) == len(bo.records("stroke")) == 1


def test_t17_everybody_sees_how_much_time_a_host_gave(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.page.get_by_test_id("people").click()
    ann.page.get_by_test_id("timer-3").click()
    ann.page.screenshot(path=pictures / "timer.png")
    # The server's clock is known but for the time that a message takes.
    left = bo.page.get_by_test_id("timer").inner_text()
    assert re.fullmatch(r"3:0[0-5]|2:[45]\d", left), left
    assert bo.page.get_by_test_id("stop-timer").count() == 0
    ann.page.get_by_test_id("people").click()
    ann.page.get_by_test_id("stop-timer").click()
    bo.wait_for_count("timer", 0)
    assert bo.page.get_by_test_id("timer").count() == 0
