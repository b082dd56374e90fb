"""Somebody saves a room as a file and opens it as a new one. Rules T7, T8, T9."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.support.canvas import png

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_t8_a_room_is_saved_and_opened_again_with_its_pictures(
    atelier: ServerProcess, browser: Browser, tmp_path: Path, pictures: Path
) -> None:
    ann = StudioPage(browser).open(atelier.url + "/")
    ann.look_at(-400, -300)
    ann.draw((0.0, 0.0), (60.0, 40.0), (120.0, 0.0))
    file = tmp_path / "green.png"
    file.write_bytes(png((64, 64)))
    ann.page.get_by_test_id("picture-input").set_input_files(file)
    ann.wait_for_count("image", 1)
    ann.wait_until_saved()
    before = ann.region(-100, -100, 400, 300)
    first = ann.url

    ann.page.get_by_test_id("menu").click()
    ann.page.screenshot(path=pictures / "menu-files.png")
    with ann.page.expect_download() as downloading:
        ann.page.get_by_test_id("save-room").click()
    saved = tmp_path / "room.zip"
    downloading.value.save_as(saved)

    with ann.page.expect_navigation():
        ann.page.get_by_test_id("room-file").set_input_files(saved)
    ann.wait("window.__atelier?.room.connection === 'online'")
    assert ann.url != first
    assert ann.region(-100, -100, 400, 300) == before
    ann.wait("window.__atelier.room.role === 'host'")

    ann.page.get_by_test_id("menu").click()
    saved.write_bytes(saved.read_bytes()[:-7])
    ann.page.get_by_test_id("room-file").set_input_files(saved)
    ann.page.get_by_text("That did not work with the file.").wait_for()
    assert ann.errors == []
    ann.close()
