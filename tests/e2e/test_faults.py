"""What people see when a part of the machinery dies under them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.support.server_process import ROOT, ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_WATCH_ENGINE = """() => {
    const seen = (window.__engine = []);
    const look = () => {
        const shown = document.querySelector("[data-testid=engine-state]");
        if (shown) seen.push(shown.innerText);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
}"""


def worker_of(server: ServerProcess) -> int:
    """The process id of a server's GPU worker."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    (worker,) = (
        int(pid) for pid in children if b"gpu.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return worker


def test_after_the_worker_is_killed_the_picture_is_made_all_the_same(
    atelier: ServerProcess, browser: Browser
) -> None:
    ann = StudioPage(browser).open(atelier.url + "/")
    bo = StudioPage(browser).open(ann.url)
    ann.look_at(-240, -60)
    frame = ann.place_frame(100, 100, 256, 256)
    ann.set_frame(frame, steps=60)
    ann.write_prompt("a red heart on a white background")
    ann.wait_until_saved()
    ann.wait("window.__atelier.room.engine.state === 'ready'")
    ann.generate()
    bo.wait("window.__atelier.room.previews.size > 0")

    for person in (ann, bo):
        person.page.evaluate(_WATCH_ENGINE)

    os.kill(worker_of(atelier), signal.SIGKILL)

    for person in (ann, bo):
        person.wait("window.__engine.some((text) => text.includes('starting again'))")
        person.wait_for_record("r.type === 'candidate' && r.state === 'open'")
        (job,) = person.records("job")
        assert (job["state"], job["done"], job["attempt"]) == ("done", 1, 2)
        assert not person.page.get_by_test_id("engine-state").is_visible()
        person.close()


def test_the_browsers_sync_holds_against_the_real_server(tmp_path: Path) -> None:
    """The web client's own live tests: broken lines, crashed pages, ink, blobs over HTTP."""
    with ServerProcess(tmp_path, "--model", "none") as server:
        live = subprocess.run(
            ["node", "node_modules/vitest/vitest.mjs", "run", "tests/live.test.ts"],
            cwd=ROOT / "web",
            env={
                **os.environ,
                "ATELIER_SERVER": server.url,
                "NODE_OPTIONS": "--experimental-websocket",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert live.returncode == 0, live.stdout + live.stderr
    assert "4 passed" in live.stdout
