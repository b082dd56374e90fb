"""Layers are made, named, ordered, hidden, locked and deleted, and drawn on. Rule U20."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.studio_page import StudioPage
from tests.e2e.test_talk import PHONE

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
RED, BLUE = (0xE5, 0x48, 0x4D), (0x3B, 0x6F, 0xF5)
SPOT = (200.0, 60.0)


def press(person: StudioPage, *names: str) -> None:
    for name in names:
        person.page.get_by_test_id(name).click()


def names(person: StudioPage) -> list[str]:
    """Topmost first."""
    return person.page.get_by_test_id("choose-layer").all_inner_texts()


def color_at_spot(person: StudioPage) -> tuple[int, ...]:
    return tuple(person.region(int(SPOT[0]), int(SPOT[1]), 1, 1)[:3])


def cross(person: StudioPage, color: str) -> None:
    person.draw((SPOT[0] - 40, SPOT[1]), (SPOT[0] + 40, SPOT[1]), color=color)


def test_u20_layers_are_made_named_ordered_hidden_and_deleted_and_undo_takes_it_back(
    ann: StudioPage, bo: StudioPage, pictures: Path
) -> None:
    press(ann, "layers", "new-layer")
    cross(ann, "#e5484d")
    press(ann, "rename-layer")
    ann.page.get_by_test_id("layer-name").fill("Sky")
    ann.page.get_by_test_id("layer-name").press("Enter")
    press(ann, "new-layer")
    cross(ann, "#3b6ff5")
    press(bo, "layers")
    bo.wait_for_count("stroke", 3)
    assert names(ann) == names(bo) == ["Layer 2", "Sky"]
    ann.page.screenshot(path=pictures / "layers.png")
    assert color_at_spot(bo) == BLUE

    press(ann, "layer-down")
    bo.wait("[...window.__atelier.room.records.values()].some((r) => r.z < 'a0')")
    assert names(bo) == ["Sky", "Layer 2"]
    assert color_at_spot(bo) == RED
    press(ann, "undo")
    ann.wait_until_saved()
    assert color_at_spot(ann) == BLUE

    ann.page.get_by_test_id("show-layer").first.click()
    bo.wait_for_record("r.type === 'layer' && !r.visible")
    assert color_at_spot(bo) == RED
    # Nobody draws what nobody would see.
    num_strokes = len(ann.records("stroke"))
    cross(ann, "#e5484d")
    assert "hidden" in ann.page.get_by_test_id("toast").inner_text()
    press(ann, "delete-layer")
    bo.wait_for_count("layer", 1)
    assert len(bo.records("stroke")) == num_strokes - 1
    # What is drawn on is gone: below all layers one can always draw.
    assert ann.page.get_by_test_id("choose-base").get_attribute("aria-pressed") == "true"
    press(ann, "undo", "undo")
    bo.wait_for_count("stroke", num_strokes)
    assert names(bo) == ["Layer 2", "Sky"]
    assert color_at_spot(bo) == BLUE


def test_u20_a_host_locks_a_layer_and_the_keyboard_reaches_everything(
    ann: StudioPage, bo: StudioPage, browser: Browser, pictures: Path
) -> None:
    keys = ann.page.keyboard
    ann.page.get_by_test_id("layers").focus()
    keys.press("Enter")
    ann.page.get_by_test_id("new-layer").focus()
    keys.press("Enter")
    ann.page.get_by_test_id("choose-layer").focus()
    keys.press("Tab")
    keys.press("Enter")
    bo.wait_for_count("lock", 1)
    press(bo, "layers")
    bo.page.get_by_test_id("choose-layer").click()
    assert bo.page.get_by_test_id("lock-layer").count() == 0
    for deed in ("show-layer", "rename-layer", "delete-layer"):
        assert bo.page.get_by_test_id(deed).is_disabled()
    cross(bo, "#e5484d")
    assert "locked" in bo.page.get_by_test_id("toast").inner_text()
    assert len(bo.records("stroke")) == 1
    bo.page.screenshot(path=pictures / "layers-locked.png")

    ann.page.get_by_test_id("rename-layer").focus()
    keys.press("Enter")
    keys.type("天空 and a name that is longer than the panel")
    keys.press("Enter")
    bo.wait_for_record("r.type === 'layer' && r.name.startsWith('天空')")

    phone = StudioPage(browser, locale="zh-CN", **PHONE).open(ann.url)
    phone.page.get_by_test_id("layers").tap()
    phone.page.get_by_test_id("new-layer").tap()
    phone.wait_for_count("layer", 2)
    assert names(phone)[0] == "图层 2"
    phone.page.screenshot(path=pictures / "phone-layers.png")
    phone.page.get_by_test_id("close-layers").tap()
    phone.page.screenshot(path=pictures / "phone-layer-chosen.png")
    assert phone.errors == []
    phone.close()
