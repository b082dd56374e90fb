"""A backup is put back under pages that are open, and have seen what came after it. Rule J11."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.support import backups
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_j11_pages_take_the_room_as_it_is_and_send_what_they_had_not_sent(
    tmp_path: Path, browser: Browser
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with ServerProcess(data, "--model", "none") as server:
        ann = StudioPage(browser).open(server.url + "/")
        bo = StudioPage(browser).open(ann.url)
        for person in (ann, bo):
            person.look_at(-240, -60)
        ann.draw((20, 20), (200, 60))
        ann.wait_until_saved()
        server.stop()
        shutil.copytree(data, backup)

        server.start()
        for row in range(3):
            ann.draw((20, 100 + 40 * row), (200, 100 + 40 * row))
        bo.wait_for_count("stroke", 4)
        bo.set_offline(True)
        server.stop()
        backups.anew(backup, data)

        server.start()
        ann.wait_for_count("stroke", 1)
        assert "may be missing" in ann.page.get_by_test_id("toast").inner_text()
        # Past where Bo stands: what came since would seem to follow what he has.
        for row in range(5):
            ann.draw((220, 100 + 40 * row), (300, 100 + 40 * row))
        ann.wait_until_saved()
        bo.draw((20, 300), (200, 340))
        assert len(bo.records("stroke")) == 5
        bo.set_offline(False)
        for person in (ann, bo):
            person.wait_for_count("stroke", 7)
            person.wait_until_saved()
        assert ann.records() == bo.records()
        for person in (ann, bo):
            assert person.errors == []
            person.close()
        assert "what was done after the copy was made isn't in it" in server.log.read_text()
