"""What hands do at the canvas: pen, undo, moving, pictures from outside, the first screen."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.e2e.studio_page import StudioPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

_HAND_OVER = """([kind, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "picture.png", { type: "image/png" }));
    if (kind === "paste") {
        window.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    } else {
        const where = { clientX: 640, clientY: 300, bubbles: true, cancelable: true };
        const app = document.querySelector("[role=application]");
        app.dispatchEvent(new DragEvent("drop", { dataTransfer: data, ...where }));
    }
}"""


@pytest.fixture
def ann(atelier: ServerProcess, browser: Browser) -> Iterator[StudioPage]:
    page = StudioPage(browser).open(atelier.url + "/")
    page.look_at(-240, -60)
    yield page
    page.close()
    assert page.errors == []


def stroke_with_a_pen(page: StudioPage, points: list[tuple[float, float, float]]) -> None:
    """Draw with a pen: canvas x, y and force 0..1 of each point."""
    devtools = page.page.context.new_cdp_session(page.page)

    def touch(kind: str, x: float, y: float, force: float) -> None:
        fields: dict[str, Any] = {"x": x + 240, "y": y + 60, "force": force}
        pen = {"pointerType": "pen", "button": "left", "buttons": 1, "clickCount": 1}
        devtools.send("Input.dispatchMouseEvent", {"type": kind, **fields, **pen})

    touch("mousePressed", *points[0])
    for point in points[1:]:
        touch("mouseMoved", *point)
    touch("mouseReleased", *points[-1])


def test_a_pen_draws_wider_where_it_presses_harder(ann: StudioPage) -> None:
    ann.tool("brush")
    stroke_with_a_pen(ann, [(20 + 10 * i, 100, 0.1 + 0.04 * i) for i in range(20)])
    ann.wait_for_count("stroke", 1)

    (stroke,) = ann.records("stroke")
    assert stroke["pen"]
    picture = Image.frombytes("RGBA", (240, 200), ann.region(0, 0, 240, 200)).convert("L")
    light, hard = (sum(picture.crop((x, 0, x + 20, 200)).histogram()[:128]) for x in (40, 180))
    assert hard > 1.5 * light


def test_undo_takes_back_ones_own_strokes_only(ann: StudioPage, browser: Browser) -> None:
    bo = StudioPage(browser).open(ann.url)
    bo.look_at(-240, -60)
    ann.draw((20, 20), (200, 60))
    ann.wait_until_saved()
    bo.draw((20, 120), (200, 160))
    ann.wait_for_count("stroke", 2)
    (own,) = (stroke["id"] for stroke in ann.records("stroke") if stroke["by"] == me(ann))

    ann.page.get_by_test_id("undo").click()
    bo.wait_for_count("stroke", 1)
    assert own not in {stroke["id"] for stroke in bo.records("stroke")}

    ann.page.keyboard.press("Control+Shift+KeyZ")
    bo.wait_for_count("stroke", 2)
    assert own in {stroke["id"] for stroke in bo.records("stroke")}
    bo.close()


def me(page: StudioPage) -> str:
    return str(page.page.evaluate("window.__atelier.room.person"))


def test_what_is_drawn_is_erased_moved_and_deleted(ann: StudioPage) -> None:
    ann.draw((50, 50), (250, 50))
    ann.wait_until_saved()
    ann.tool("eraser")
    ann.drag([(150, 20), (150, 80)])
    ann.wait_for_count("stroke", 2)
    row = Image.frombytes("RGBA", (300, 1), ann.region(0, 50, 300, 1)).convert("L")
    assert row.getpixel((150, 0)) == 255
    assert row.getpixel((100, 0)) == row.getpixel((200, 0)) == 30

    ann.tool("select")
    ann.drag([(80, 50), (80, 90)])
    ann.wait_for_record("r.type === 'stroke' && !r.erase && r.y === 40")
    ann.page.keyboard.press("Delete")
    # The eraser goes along with all that it erased.
    ann.wait_for_count("stroke", 0)
    ann.wait_until_saved()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_from_outside_lands_on_the_canvas(
    ann: StudioPage, browser: Browser, kind: str
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "#12a0e0").save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()

    ann.page.evaluate(_HAND_OVER, [kind, data])
    ann.wait_for_count("image", 1)
    ann.wait_until_saved()

    late = StudioPage(browser).open(ann.url)
    (image,) = late.records("image")
    assert (image["w"], image["h"]) == (64, 48)
    where = (round(image["x"]), round(image["y"]), 64, 48)
    pixels = Image.frombytes("RGBA", (64, 48), late.region(*where))
    assert pixels.getpixel((32, 24)) == (0x12, 0xA0, 0xE0, 255)
    late.close()


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_first_screen_leads_to_a_first_picture(
    atelier: ServerProcess, browser: Browser, pictures: Path, locale: str
) -> None:
    page = StudioPage(browser, locale=locale).open(atelier.url + "/")
    page.page.get_by_test_id("welcome").wait_for()
    page.page.screenshot(path=pictures / f"first-screen-{locale}.png")

    page.page.get_by_test_id("example").first.click()
    page.wait_for_record("r.type === 'candidate' && r.state === 'open'")

    assert not page.page.get_by_test_id("welcome").is_visible()
    page.page.screenshot(path=pictures / f"first-picture-{locale}.png")
    page.close()


def test_a_phone_has_room_for_everything(
    atelier: ServerProcess, browser: Browser, pictures: Path
) -> None:
    size = {"width": 390, "height": 844}
    page = StudioPage(browser, viewport=size, has_touch=True).open(atelier.url + "/")
    page.page.screenshot(path=pictures / "phone-first-screen.png")
    page.page.get_by_test_id("example").nth(1).click()
    page.wait_for_record("r.type === 'candidate' && r.state === 'open'")
    page.page.screenshot(path=pictures / "phone-picture.png")

    wide = page.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size["width"]
    for id in ("accept", "generate", "save-state", "share"):
        box = page.page.get_by_test_id(id).first.bounding_box()
        assert box is not None, id
        assert box["x"] >= 0, id
        assert box["x"] + box["width"] <= size["width"], id
    page.close()
