"""Two people chat, comment, stick notes and vote; a viewer joins in. Rules T1 to T6, T13."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.e2e.test_access import make_link

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def say(person: StudioPage, field: str, text: str) -> None:
    person.page.get_by_test_id(field).fill(text)
    person.page.get_by_test_id(field).press("Enter")


def press(person: StudioPage, x: float, y: float) -> None:
    person.page.mouse.click(*person.on_screen((x, y)))


def test_t1_what_is_said_in_the_chat_is_there_for_everybody_and_counted_until_it_is_read(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.page.get_by_test_id("talk").click()
    say(ann, "chat-field", "Shall we make the sky darker?")
    say(ann, "chat-field", "I like the lines on the left.")
    bo.wait_for_count("chat", 2)
    assert bo.page.get_by_test_id("unread").inner_text() == "2"
    bo.page.get_by_test_id("talk").click()
    assert bo.page.get_by_test_id("unread").count() == 0
    say(bo, "chat-field", "Yes, with a moon in it 🌙")
    ann.wait_for_count("chat", 3)
    assert [line["name"] for line in ann.records("chat")].count("Ann") == 2
    remarks = ann.page.get_by_test_id("remark")
    assert "with a moon" in remarks.nth(2).inner_text()
    assert "Bo" in remarks.nth(2).inner_text()
    ann.page.screenshot(path=pictures / "chat.png")

    bo.page.get_by_test_id("remark").nth(2).hover()
    bo.page.get_by_test_id("delete-remark").click()
    ann.wait_for_count("chat", 2)


def test_t4_a_comment_is_pinned_answered_and_resolved(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.tool("comment")
    press(ann, 130, 60)
    say(ann, "comment-field", "Is this line too long?")
    bo.page.get_by_test_id("pin").wait_for()
    bo.tool("select")
    bo.page.get_by_test_id("pin").click()
    say(bo, "answer-field", "A little. Half of it would do.")
    ann.wait_for_count("comment", 2)
    ann.page.get_by_test_id("talk").click()
    ann.page.get_by_test_id("tab-comments").click()
    ann.page.screenshot(path=pictures / "comments.png")
    ann.page.get_by_test_id("resolve").click()
    bo.wait_for_record("r.type === 'comment' && r.resolved")
    assert ann.page.get_by_test_id("pin").count() == 0

    ann.page.get_by_test_id("show-resolved").check()
    ann.page.get_by_test_id("thread-item").click()
    ann.page.get_by_test_id("delete-thread").click()
    bo.wait_for_count("comment", 0)


def test_t6_a_note_is_stuck_written_on_by_two_moved_and_taken_back(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    ann.tool("note")
    press(ann, 300, 100)
    ann.page.keyboard.type("Colours: warm")
    bo.wait_for_record("r.type === 'note' && r.text === 'Colours: warm'")
    bo.tool("select")
    press(bo, 300, 100)
    press(bo, 300, 100)
    bo.page.keyboard.press("Control+End")
    bo.page.keyboard.type(", no grey")
    ann.wait_for_record("r.type === 'note' && r.text === 'Colours: warm, no grey'")
    bo.page.get_by_test_id("note-color").nth(3).click()
    ann.wait_for_record("r.type === 'note' && r.color === '#b8e0ff'")
    ann.page.screenshot(path=pictures / "note.png")

    bo.page.keyboard.press("Escape")
    bo.drag([(300.0, 100.0), (100.0, 220.0)])
    bo.wait_until_saved()
    (note,) = bo.records("note")
    assert (note["x"], note["y"]) == (0, 120)
    bo.page.get_by_test_id("undo").click()
    ann.wait_for_record("r.type === 'note' && r.x === 200 && r.y === 0")
    num_strokes = len(ann.records("stroke"))
    ann.draw((-60.0, 0.0), (-20.0, 40.0))
    bo.wait_for_count("stroke", num_strokes + 1)
    ann.tool("select")
    ann.drag([(-120.0, -40.0), (260.0, 90.0)])
    ann.page.screenshot(path=pictures / "marquee.png")
    # What is selected together is moved together, whichever part of it is taken hold of.
    ann.drag([(300.0, 100.0), (340.0, 130.0)])
    bo.wait_for_record("r.type === 'note' && r.x === 240 && r.y === 30")
    bo.wait_for_record("r.type === 'stroke' && r.x === 40 && r.y === 30")
    ann.page.get_by_test_id("undo").click()
    bo.wait_for_record("r.type === 'note' && r.x === 200 && r.y === 0")
    ann.page.get_by_test_id("undo").click()
    bo.wait_for_count("stroke", num_strokes)

    ann.page.get_by_test_id("menu").click()
    ann.page.get_by_test_id("history").click()
    then = ann.page.get_by_test_id("past-note")
    last = ann.page.get_by_test_id("moment").get_attribute("max") or ""
    ann.page.get_by_test_id("moment").fill(last)
    assert then.inner_text() == "Colours: warm, no grey"
    ann.page.screenshot(path=pictures / "past-note.png")
    ann.page.get_by_test_id("moment").fill("0")
    assert then.count() == 0
    ann.page.get_by_test_id("close-history").click()

    ann.look_at(9_000, 9_000)
    ann.page.get_by_test_id("fit").click()
    ann.page.get_by_test_id("note").click()
    ann.page.keyboard.press("Delete")
    bo.wait_for_count("note", 0)


def test_t5_a_viewer_comments_once_a_host_lets_them(
    ann: StudioPage, browser: Browser, pictures: Path
) -> None:
    viewer = StudioPage(browser).open(make_link(ann, "viewer"))
    viewer.call("Vi", "#3d9a50")
    viewer.look_at(-400, -300)
    viewer.page.get_by_test_id("watching").wait_for()
    assert viewer.page.locator('[data-tool="comment"]').is_disabled()
    ann.page.get_by_test_id("menu").click()
    ann.page.get_by_test_id("viewers-talk").check()
    ann.page.get_by_test_id("menu").click()
    viewer.wait("window.__atelier.room.mayTalk")
    viewer.tool("comment")
    press(viewer, 60, 20)
    say(viewer, "comment-field", "Lovely!")
    ann.page.get_by_test_id("pin").wait_for()
    assert viewer.page.locator('[data-tool="brush"]').is_disabled()
    viewer.page.screenshot(path=pictures / "viewer-comments.png")
    assert viewer.errors == []
    viewer.close()


def test_t4_on_a_phone_talk_takes_the_lower_half(
    ann: StudioPage, browser: Browser, pictures: Path
) -> None:
    ann.tool("comment")
    press(ann, 130, 60)
    say(ann, "comment-field", "Is this line too long?")
    phone = StudioPage(browser, locale="zh-CN", **PHONE).open(ann.url)
    phone.call("小林", "#3b6ff5")
    phone.page.screenshot(path=pictures / "phone-pins.png")
    phone.page.get_by_test_id("talk").tap()
    say(phone, "chat-field", "天空再暗一点好吗？")
    phone.page.screenshot(path=pictures / "phone-chat.png")
    phone.page.get_by_test_id("tab-comments").tap()
    phone.page.get_by_test_id("thread-item").tap()
    phone.page.screenshot(path=pictures / "phone-thread.png")
    say(phone, "answer-field", "有点长。")
    ann.wait_for_count("comment", 2)
    assert phone.errors == []
    phone.close()


def test_t13_dots_are_hidden_until_a_host_reveals_them(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    for x, text in ((60, "Moon"), (300, "Sun")):
        ann.tool("note")
        press(ann, x, 150)
        ann.page.keyboard.type(text)
    ann.page.keyboard.press("Escape")
    ann.wait_until_saved()
    ann.page.get_by_test_id("talk").click()
    ann.page.get_by_test_id("tab-votes").click()
    ann.page.get_by_test_id("poll-dots").select_option("3")
    ann.page.get_by_test_id("start-poll").click()

    bo.page.get_by_test_id("dot-more").nth(0).click()
    bo.page.get_by_test_id("own-dots").wait_for()
    bo.page.get_by_test_id("dot-more").nth(0).click()
    ann.wait_for_record("r.type === 'poll' && r.voters === 1")
    bo.wait_until_saved()
    assert bo.records("ballot") != []
    assert ann.records("ballot") == []
    ann.page.get_by_test_id("dot-more").nth(1).click()
    ann.wait_for_record("r.type === 'poll' && r.voters === 2")
    assert ann.page.get_by_test_id("dots-left").inner_text() == "2 dots left"
    ann.page.screenshot(path=pictures / "poll.png")

    ann.page.get_by_test_id("reveal").click()
    bo.page.get_by_test_id("tally").first.wait_for()
    assert bo.page.get_by_test_id("tally").all_inner_texts() == ["2", "1"]
    assert bo.records("ballot") == []
    bo.page.screenshot(path=pictures / "poll-revealed.png")
    ann.page.get_by_test_id("close-poll").click()
    bo.wait_for_count("poll", 0)
