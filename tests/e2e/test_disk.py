"""What people see, and what becomes of their work, while the server's disk fails. Rule J8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.support.server_process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

IN_ENGLISH = "The server's disk isn't working, so nothing can be saved."
IN_CHINESE = "服务器磁盘出现故障，暂时无法保存。"


def test_j8_people_are_told_and_what_they_draw_meanwhile_is_saved_later(
    tmp_path: Path, browser: Browser, pictures: Path
) -> None:
    with ServerProcess(tmp_path, "--model", "none", "--disk-retry-s", "0.2") as server:
        ann = StudioPage(browser).open(server.url + "/")
        bo = StudioPage(browser, locale="zh-CN").open(ann.url)
        for person in (ann, bo):
            person.look_at(-240, -60)
        ann.draw((20, 20), (200, 60))
        ann.wait_until_saved()
        bo.wait_for_count("stroke", 1)

        server.break_disk()
        ann.draw((20, 100), (200, 140))
        for person, text in ((ann, IN_ENGLISH), (bo, IN_CHINESE)):
            note = person.page.get_by_test_id("disk-trouble")
            note.wait_for()
            assert text in note.inner_text()
            person.wait("window.__atelier.room.connection === 'online'")
        bo.draw((20, 200), (200, 240))
        bo.draw((20, 300), (200, 340))
        assert bo.page.get_by_test_id("save-state").inner_text() == "暂未保存"
        ann.page.screenshot(path=pictures / "disk-trouble.png")
        # Who comes now sees what was saved.
        late = StudioPage(browser).open(ann.url)
        assert len(late.records("stroke")) == 1
        # A page that is closed meanwhile keeps what it has for its next visit.
        bo.page.reload()
        bo.wait("window.__atelier?.room.connection === 'online'")
        assert len(bo.records("stroke")) == 3

        server.mend_disk()
        for person in (ann, bo, late):
            person.wait_for_count("stroke", 4)
            person.wait_until_saved()
            person.page.get_by_test_id("disk-trouble").wait_for(state="detached")
        assert ann.records() == bo.records() == late.records()
        for person in (ann, bo, late):
            assert person.errors == []
            person.close()
