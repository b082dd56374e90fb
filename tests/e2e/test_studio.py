"""The main job, end to end: two browsers, one room, the real server, worker and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.studio_page import StudioPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FRAME = (100, 100, 256, 256)


@pytest.fixture
def pair(atelier: ServerProcess, browser: Browser) -> Iterator[tuple[StudioPage, StudioPage]]:
    """Ann and Bo, in one new room, looking at the same part of the canvas."""
    ann = StudioPage(browser).open(atelier.url + "/")
    bo = StudioPage(browser).open(ann.url)
    for person in (ann, bo):
        person.look_at(-240, -60)
    yield ann, bo
    errors = ann.errors + bo.errors
    ann.close()
    bo.close()
    assert errors == []


def finished(page: StudioPage, frame: str) -> dict[str, Any]:
    """Wait for the frame's newest job to end well and return its candidate."""
    page.wait_for_record(f"r.type === 'candidate' && r.frame === '{frame}' && r.state === 'open'")
    (candidate,) = page.candidates(frame)
    return candidate


def generated(page: StudioPage, frame: str, prompt: str) -> dict[str, Any]:
    page.write_prompt(prompt)
    page.wait_until_saved()
    page.generate()
    return finished(page, frame)


def test_a_stroke_drawn_in_one_browser_appears_in_the_other(
    pair: tuple[StudioPage, StudioPage],
) -> None:
    ann, bo = pair
    blank = bo.region(0, 0, 300, 300)

    ann.draw((20, 20), (150, 200), (280, 40))
    bo.wait_for_record("r.type === 'stroke'")

    assert bo.region(0, 0, 300, 300) == ann.region(0, 0, 300, 300) != blank
    assert bo.records() == ann.records()


def test_a_prompt_gives_previews_and_one_picture_in_both(
    pair: tuple[StudioPage, StudioPage], pictures: Path
) -> None:
    ann, bo = pair
    frame = ann.place_frame(*FRAME)

    candidate = generated(ann, frame, "a red heart on a white background")
    assert finished(bo, frame) == candidate

    for person in (ann, bo):
        assert person.num_previews(candidate["job"]) >= 3
    bo.page.screenshot(path=pictures / "picture-in-place.png")

    blank = ann.region(*FRAME)
    ann.page.get_by_test_id("accept").first.click()
    bo.wait_for_record("r.type === 'image'")
    assert bo.region(*FRAME) == ann.region(*FRAME) != blank
    assert bo.candidates(frame) == []


def test_a_mask_changes_only_what_it_covers(
    pair: tuple[StudioPage, StudioPage], pictures: Path
) -> None:
    ann, bo = pair
    frame = ann.place_frame(*FRAME)
    generated(ann, frame, "a green tree on a meadow, blue sky")
    ann.page.get_by_test_id("accept").first.click()
    ann.wait_for_record("r.type === 'image'")
    ann.wait_until_saved()
    before = ann.region(*FRAME)

    ann.tool("mask")
    x, y, _, _ = FRAME
    for row in range(4):
        ann.drag([(x + 30, y + 30 + 15 * row), (x + 90, y + 30 + 15 * row)])
    ann.page.screenshot(path=pictures / "mask.png")
    masked = generated(ann, frame, "a yellow sun, blue sky")
    assert masked["masked"]
    ann.page.get_by_test_id("accept").first.click()
    bo.wait_for_count("image", 2)

    after = bo.region(*FRAME)
    changed = {i // 4 for i in range(len(before)) if before[i] != after[i]}
    assert changed, "the mask changed nothing"
    (size,) = {mask["size"] for mask in ann.records("mask")}
    # The widest that perfect-freehand makes a brush of this size, and half a pixel's antialiasing.
    reach = 0.8 * size + 1
    assert all(30 - reach <= i % 256 <= 90 + reach for i in changed)
    assert all(30 - reach <= i // 256 <= 75 + reach for i in changed)


def test_a_live_frame_follows_the_brush(
    pair: tuple[StudioPage, StudioPage], pictures: Path
) -> None:
    ann, bo = pair
    frame = ann.place_frame(*FRAME)
    ann.write_prompt("a blue circle on a white background")
    ann.set_frame(frame, seed=7)
    ann.page.locator(".live").click()
    ann.wait_until_saved()

    ann.draw((160, 228), (228, 160), (296, 228), (228, 296), (160, 228))
    first = finished(bo, frame)
    ann.draw((180, 180), (276, 276))
    bo.wait_for_record(
        f"r.type === 'candidate' && r.frame === '{frame}' && r.blob !== '{first['blob']}'"
    )

    assert finished(bo, frame)["live"]
    bo.page.screenshot(path=pictures / "live.png")


def test_who_joins_late_sees_it_all(pair: tuple[StudioPage, StudioPage], browser: Browser) -> None:
    ann, _ = pair
    ann.draw((20, 20), (60, 60))
    frame = ann.place_frame(*FRAME)
    generated(ann, frame, "a yellow star, night sky")
    ann.set_frame(frame, steps=100)
    ann.wait_until_saved()
    ann.generate()
    ann.wait("window.__atelier.room.previews.size > 0")

    late = StudioPage(browser).open(ann.url)
    # The picture that was already on its way when they came.
    late.wait("window.__atelier.room.previews.size > 0")
    ann.page.get_by_test_id("cancel").click()
    late.wait_for_record("r.type === 'job' && r.state === 'cancelled'")
    ann.wait_for_record("r.type === 'job' && r.state === 'cancelled'")

    assert late.records() == ann.records()
    assert late.region(0, 0, 400, 400) == ann.region(0, 0, 400, 400)
    late.close()


def test_after_kill_9_both_reconnect_and_nothing_is_missing(
    pair: tuple[StudioPage, StudioPage], atelier: ServerProcess
) -> None:
    ann, bo = pair
    ann.draw((20, 20), (200, 60))
    frame = ann.place_frame(*FRAME)
    candidate = generated(ann, frame, "a yellow star, night sky")
    finished(bo, frame)
    before = ann.records()

    atelier.kill()
    for person in (ann, bo):
        person.wait("window.__atelier.room.connection !== 'online'")
    # What is drawn meanwhile isn't lost either.
    bo.draw((20, 200), (60, 260))
    assert bo.page.get_by_test_id("save-state").inner_text() == "Offline"
    atelier.start()
    for person in (ann, bo):
        person.wait("window.__atelier.room.connection === 'online'")
        person.wait_until_saved()
        person.wait_for_count("stroke", 2)

    assert ann.records() == bo.records()
    assert [record for record in bo.records() if record in before] == before
    reloaded = StudioPage(pair[1].page.context.browser or pytest.fail("no browser")).open(ann.url)
    assert reloaded.records() == ann.records()
    assert reloaded.candidates(frame) == [candidate]
    reloaded.close()
