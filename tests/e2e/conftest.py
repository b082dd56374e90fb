"""Fixtures of the browser tests: the real server, the real worker, a real Chromium."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.studio_page import StudioPage
from tests.support.server_process import ROOT, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Chromium's own services would try to reach the network, which tests never do.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


# Not for the whole session: its event loop would be in the way of other tests' loops.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("ATELIER_CHROMIUM") or shutil.which("chromium")
    assert path, "expected Chromium: run scripts/test, or set ATELIER_CHROMIUM to the path of one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def atelier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("atelier")) as server:
        yield server


@pytest.fixture
def ann(atelier: ServerProcess, browser: Browser) -> Iterator[StudioPage]:
    """The host of a room, in which they have drawn a line."""
    ann = StudioPage(browser).open(atelier.url + "/")
    ann.call("Ann", "#e5484d")
    ann.look_at(-400, -300)
    ann.draw((0.0, 0.0), (60.0, 40.0), (120.0, 0.0))
    ann.wait_until_saved()
    yield ann
    assert ann.errors == []
    ann.close()


@pytest.fixture
def bo(ann: StudioPage, browser: Browser) -> Iterator[StudioPage]:
    """Somebody else in that room."""
    bo = StudioPage(browser).open(ann.url)
    bo.call("Bo", "#3b6ff5")
    bo.look_at(-400, -300)
    yield bo
    assert bo.errors == []
    bo.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are left for people to look at."""
    folder = ROOT / "test-results" / "e2e"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
