"""Somebody names a version, goes back over the room and branches off. Rules T4, T10 to T12, T18."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.e2e.studio_page import StudioPage
from tests.e2e.test_talk import say

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def go_to(page: Page, moment: int) -> None:
    page.get_by_test_id("moment").fill(str(moment))


def num_dark(page: Page) -> int:
    """How many pixels of the upper part of the shown past are dark."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    count: int = page.evaluate("""() => {
        const canvas = document.querySelector('[data-testid="history-view"] canvas');
        const { data } = canvas.getContext("2d")
            .getImageData(0, 0, canvas.width, Math.floor(canvas.height * 0.7));
        let count = 0;
        for (let i = 0; i < data.length; i += 4)
            if (data[i + 3] > 128 && data[i] + data[i + 1] + data[i + 2] < 200) count++;
        return count;
    }""")
    return count


def test_t12_one_goes_back_over_a_room_and_branches_off(
    atelier: ServerProcess, browser: Browser, tmp_path: Path, pictures: Path
) -> None:
    ann = StudioPage(browser).open(atelier.url + "/")
    ann.look_at(-400, -300)
    ann.draw((0.0, 0.0), (60.0, 40.0), (120.0, 0.0))
    ann.wait_until_saved()
    ann.page.get_by_test_id("menu").click()
    ann.page.get_by_test_id("version-name").fill("One line")
    ann.page.get_by_test_id("name-version").click()
    ann.wait_for_count("version", 1)
    ann.wait_until_saved()
    ann.page.get_by_test_id("menu").click()
    ann.draw((0.0, 90.0), (60.0, 130.0), (120.0, 90.0))
    ann.draw((150.0, 90.0), (210.0, 130.0), (270.0, 90.0))
    ann.wait_until_saved()
    first = ann.url

    ann.page.get_by_test_id("menu").click()
    ann.page.get_by_test_id("history").click()
    ann.page.get_by_test_id("history-view").wait_for()
    three = num_dark(ann.page)
    go_to(ann.page, 1)
    assert num_dark(ann.page) == 0
    ann.page.get_by_test_id("version").click()
    one = num_dark(ann.page)
    assert 0 < one < three
    name = ann.page.evaluate("window.__atelier.room.name")
    assert name in ann.page.get_by_test_id("moment-label").inner_text()
    ann.page.screenshot(path=pictures / "history.png")
    with ann.page.expect_download() as filming:
        ann.page.get_by_test_id("film").click()
    film = tmp_path / "film.webp"
    filming.value.save_as(film)
    with Image.open(film) as webp:
        assert getattr(webp, "n_frames", 1) == 3

    with ann.page.expect_navigation():
        ann.page.get_by_test_id("branch").click()
    ann.wait("window.__atelier?.room.connection === 'online'")
    assert ann.url != first
    assert len(ann.records("stroke")) == 1
    ann.wait("window.__atelier.room.role === 'host'")
    assert ann.errors == []
    ann.close()


def test_t10_the_history_is_closed_again_and_nothing_has_changed(
    atelier: ServerProcess, browser: Browser, pictures: Path
) -> None:
    phone = StudioPage(
        browser, locale="zh-CN", viewport={"width": 390, "height": 844}, has_touch=True,
        is_mobile=True,
    ).open(atelier.url + "/")  # fmt: skip
    phone.draw((-100.0, -260.0), (0.0, -220.0), (60.0, -260.0))
    phone.wait_for_count("stroke", 1)
    phone.wait_until_saved()
    before = phone.records()
    phone.page.get_by_test_id("menu").tap()
    phone.page.get_by_test_id("history").tap()
    phone.page.get_by_test_id("history-view").wait_for()
    go_to(phone.page, 0)
    phone.page.keyboard.press("Control+z")
    phone.page.screenshot(path=pictures / "phone-history.png")
    phone.page.get_by_test_id("close-history").tap()
    assert phone.page.get_by_test_id("history-view").count() == 0
    assert phone.records() == before
    assert phone.errors == []
    phone.close()


def test_t4_what_was_said_on_the_canvas_is_shown_as_it_was_at_each_moment(
    ann: StudioPage, bo: StudioPage, browser: Browser, pictures: Path
) -> None:
    ann.tool("comment")
    ann.page.mouse.click(*ann.on_screen((130, 60)))
    say(ann, "comment-field", "Is this line too long?")
    bo.tool("select")
    bo.page.get_by_test_id("pin").click()
    say(bo, "answer-field", "A little. Half of it would do.")
    ann.wait_for_count("comment", 2)
    ann.page.get_by_test_id("resolve").click()
    bo.wait_for_record("r.type === 'comment' && r.resolved")
    ann.wait_until_saved()

    phone = StudioPage(
        browser, locale="zh-CN", viewport={"width": 390, "height": 844}, is_mobile=True
    ).open(ann.url)  # fmt: skip
    phone.look_at(-100, -100)
    for person, name in ((ann, "past-comments"), (phone, "phone-past-comments")):
        page = person.page
        page.get_by_test_id("menu").click()
        page.get_by_test_id("history").click()
        page.get_by_test_id("history-view").wait_for()
        resolved = int(page.get_by_test_id("moment").get_attribute("max") or "")
        assert page.get_by_test_id("past-pin").count() == 0
        go_to(page, resolved - 1)
        page.get_by_test_id("past-pin").click()
        thread = page.get_by_test_id("past-thread")
        assert "Is this line too long?" in thread.inner_text()
        assert "A little. Half of it would do." in thread.inner_text()
        page.screenshot(path=pictures / f"{name}.png")
        # Nothing can be done about what was: not even by its author.
        assert thread.get_by_test_id("delete-remark").count() == 0
        go_to(page, resolved - 2)
        assert "A little" not in thread.inner_text()
        go_to(page, resolved - 3)
        assert page.get_by_test_id("past-pin").count() == thread.count() == 0
        go_to(page, resolved - 2)
        page.keyboard.press("Escape")
        assert thread.count() == 0
        page.keyboard.press("Escape")
        assert page.get_by_test_id("history-view").count() == 0
    assert phone.errors == []
    phone.close()
