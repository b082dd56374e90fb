"""A host, a guest who may only watch, and what the host decides about them. Rules U18, U19."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
LINE = [(0.0, 0.0), (60.0, 40.0), (120.0, 0.0)]


@pytest.fixture
def ann(atelier: ServerProcess, browser: Browser) -> Iterator[StudioPage]:
    """The host of a room, in which they have drawn something."""
    ann = StudioPage(browser).open(atelier.url + "/")
    ann.look_at(-400, -300)
    ann.draw(*LINE)
    ann.wait_until_saved()
    yield ann
    assert ann.errors == []
    ann.close()


def make_link(host: StudioPage, role: str) -> str:
    host.page.get_by_test_id("share").click()
    host.page.get_by_test_id("link-role").select_option(role)
    host.page.get_by_test_id("make-link").click()
    link = host.page.get_by_test_id("new-link").input_value()
    host.page.get_by_test_id("share").click()
    return link


def decide(host: StudioPage, *what: str) -> None:
    """Press these in the row of the only other person."""
    host.page.get_by_test_id("people").click()
    host.page.get_by_test_id("decide").click()
    for testid in what:
        host.page.get_by_test_id(testid).click()
    host.page.get_by_test_id("people").click()


def close_to_strangers(host: StudioPage) -> None:
    host.page.get_by_test_id("menu").click()
    host.page.get_by_test_id("access").select_option("closed")
    host.page.get_by_test_id("menu").click()
    host.wait_until_saved()


def outside(person: StudioPage) -> str | None:
    page = person.page.get_by_test_id("outside")
    page.wait_for()
    return page.get_attribute("data-code")


def test_u18_a_viewer_watches_until_a_host_lets_them_draw(
    ann: StudioPage, browser: Browser, pictures: Path
) -> None:
    link = make_link(ann, "viewer")
    assert "#link=" in link
    bo = StudioPage(browser).open(link)
    bo.look_at(-400, -300)
    bo.page.get_by_test_id("watching").wait_for()
    brush = bo.page.locator('[data-tool="brush"]')
    assert brush.is_disabled()
    bo.drag([(200.0, 0.0), (300.0, 80.0)])
    assert len(bo.records("stroke")) == 1
    bo.page.screenshot(path=pictures / "watching.png")

    ann.page.get_by_test_id("people").click()
    ann.page.get_by_test_id("decide").click()
    ann.page.screenshot(path=pictures / "people.png")
    ann.page.get_by_test_id("role-of").select_option("editor")
    ann.page.get_by_test_id("people").click()
    bo.wait("window.__atelier.room.mayChange")
    assert bo.page.get_by_test_id("watching").count() == 0
    bo.look_at(-400, -300)
    bo.draw((0.0, 60.0), (120.0, 90.0))
    ann.wait_for_count("stroke", 2)
    assert bo.errors == []
    bo.close()


def test_u18_who_is_sent_out_banned_or_came_by_an_ended_link_sees_a_plain_page(
    atelier: ServerProcess, ann: StudioPage, browser: Browser, pictures: Path
) -> None:
    link = make_link(ann, "editor")
    close_to_strangers(ann)
    stranger = StudioPage(browser)
    stranger.page.goto(ann.url)
    assert outside(stranger) == "4404"
    stranger.close()

    bo = StudioPage(browser).open(link)
    ann.wait("window.__atelier.room.peers.size === 1")
    decide(ann, "kick")
    assert outside(bo) == "4410"
    bo.page.screenshot(path=pictures / "outside.png")
    bo.page.get_by_test_id("outside").get_by_role("button").click()
    bo.wait("window.__atelier?.room.connection === 'online'")

    ann.page.get_by_test_id("share").click()
    ann.page.screenshot(path=pictures / "share.png")
    ann.page.get_by_test_id("link").get_by_role("button").click()
    assert outside(bo) == "4403"
    bo.page.reload()
    assert outside(bo) == "4404"
    bo.close()


def test_u19_a_host_mutes_takes_back_bans_and_clears(
    ann: StudioPage, browser: Browser, pictures: Path
) -> None:
    bo = StudioPage(browser).open(ann.url)
    bo.look_at(-400, -300)
    bo.draw((0.0, 60.0), (120.0, 90.0))
    ann.wait_for_count("stroke", 2)

    decide(ann, "mute")
    bo.page.get_by_test_id("watching").wait_for()
    decide(ann, "take-back", "take-back")
    bo.wait_for_count("stroke", 1)
    decide(ann, "ban", "ban")
    assert outside(bo) == "4411"
    bo.close()

    frame = ann.place_frame(0, 100, 128, 128)
    ann.page.get_by_test_id("lock").click()
    ann.wait(f"window.__atelier.room.records.has(':lock:{frame}')")
    ann.page.evaluate("""() => window.__atelier.room.submit([{ c: "put", record: {
        type: "layer", id: "sky", by: "", z: "a0", name: "Sky", visible: true, opacity: 1 } }])""")
    ann.page.get_by_test_id("layers").click()
    ann.page.get_by_test_id("lock-layer").click()
    ann.wait("window.__atelier.room.records.has(':lock:sky')")
    ann.page.get_by_test_id("menu").click()
    ann.page.screenshot(path=pictures / "menu.png")
    ann.page.get_by_test_id("clear").click()
    assert len(ann.records("frame")) == 1
    ann.page.get_by_test_id("clear").click()
    ann.wait_for_count("frame", 0)
    ann.wait_for_count("stroke", 0)
    assert ann.records("lock") == []
