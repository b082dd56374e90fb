"""A person at a browser: opens a room, draws with the mouse, reads what the page shows."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Page

Point = tuple[float, float]
WAIT_MS = 60_000

_RECORDS = """() => [...window.__atelier.room.records.values()].map((record) => {
    const { points, ...rest } = record;
    return points ? { ...rest, points: Array.from(points).join() } : rest;
}).sort((a, b) => (a.id < b.id ? -1 : 1))"""

_REGION = """([x, y, w, h]) => {
    const { data } = window.__atelier.view.renderRegion(x, y, w, h, w, h);
    let text = "";
    for (let i = 0; i < data.length; i += 8192)
        text += String.fromCharCode(...data.subarray(i, i + 8192));
    return btoa(text);
}"""

_WATCH = """() => {
    const seen = (window.__previews = new Map());
    window.__atelier.room.on("previews", () => {
        for (const { job, index, step, jpeg } of window.__atelier.room.previews.values())
            seen.set(`${job}/${index}/${step}`, jpeg.length);
    });
}"""


class StudioPage:
    def __init__(self, browser: Browser, *, locale: str = "en-US", **context: Any) -> None:
        viewport = context.pop("viewport", {"width": 1280, "height": 800})
        # Without motion a screenshot shows what people see, not a moment of its fading in.
        still = {"reduced_motion": "reduce"} | context
        self._context = browser.new_context(locale=locale, viewport=viewport, **still)
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str) -> Self:
        self.page.goto(url)
        self.wait("window.__atelier?.room.connection === 'online'")
        self.page.evaluate(_WATCH)
        return self

    @property
    def url(self) -> str:
        return self.page.url

    def close(self) -> None:
        self._context.close()

    def set_offline(self, is_offline: bool) -> None:
        """Cut the page off from the network, or let it back."""
        self._context.set_offline(is_offline)

    def call(self, name: str, color: str) -> None:
        """Give the person a name and a colour that others see."""
        self.page.evaluate("([n, c]) => window.__atelier.room.setProfile(n, c)", [name, color])

    # --- hands ---------------------------------------------------------------------------

    def look_at(self, x: float, y: float, zoom: float = 1.0) -> None:
        """Put the canvas point (x, y) at the viewport's top left corner."""
        self.page.evaluate(
            "([x, y, zoom]) => window.__atelier.view.look({ x, y, zoom })", [x, y, zoom]
        )

    def tool(self, name: str) -> None:
        self.page.locator(f'[data-tool="{name}"]').click()

    def drag(self, points: Sequence[Point]) -> None:
        """Press at the first canvas point, move through the others, release."""
        screen = [self.on_screen(point) for point in points]
        self.page.mouse.move(*screen[0])
        self.page.mouse.down()
        for x, y in screen[1:]:
            self.page.mouse.move(x, y, steps=6)
        self.page.mouse.up()

    def draw(self, *points: Point, color: str | None = None) -> None:
        self.tool("brush")
        if color:
            self.page.locator(f'[data-color="{color}"]').click()
        self.drag(points)

    def place_frame(self, x: float, y: float, w: float, h: float) -> str:
        before = {frame["id"] for frame in self.records("frame")}
        self.tool("frame")
        self.drag([(x, y), (x + w, y + h)])
        self.page.get_by_test_id("frame-panel").wait_for()
        (frame,) = (f for f in self.records("frame") if f["id"] not in before)
        return str(frame["id"])

    def write_prompt(self, text: str) -> None:
        self.page.get_by_test_id("prompt").fill(text)

    def set_frame(self, frame: str, **fields: Any) -> None:
        """Set what would take many clicks; goes the same way as the panel's own changes."""
        self.page.evaluate(
            "([id, fields]) => window.__atelier.room.submit([{ c: 'patch', id, fields }])",
            [frame, fields],
        )

    def generate(self) -> None:
        self.page.get_by_test_id("generate").click()

    # --- eyes ----------------------------------------------------------------------------

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate(_RECORDS)
        return [record for record in found if kind in (None, record["type"])]

    def candidates(self, frame: str) -> list[dict[str, Any]]:
        return [
            record
            for record in self.records("candidate")
            if record["frame"] == frame and record["state"] == "open"
        ]

    def region(self, x: int, y: int, w: int, h: int) -> bytes:
        """What the page shows there, RGBA, one pixel a canvas unit."""
        # The first look asks for the pictures that lie there.
        self.page.evaluate(_REGION, [x, y, w, h])
        self.wait("window.__atelier.view.pictures.isIdle")
        return base64.b64decode(self.page.evaluate(_REGION, [x, y, w, h]))

    def num_previews(self, job: str) -> int:
        """How many different previews of a job's first picture came."""
        keys: list[str] = self.page.evaluate("[...window.__previews.keys()]")
        return sum(key.startswith(f"{job}/0/") for key in keys)

    def wait(self, expression: str) -> None:
        """Wait until `expression` holds in the page."""
        # Playwright's own wait_for_function evaluates text, which the page's policy forbids.
        self.page.evaluate(
            f"""(deadline) => new Promise((resolve, reject) => {{
                const look = () => {{
                    if ({expression}) resolve();
                    else if (performance.now() > deadline) reject(new Error("waited in vain"));
                    else setTimeout(look, 15);
                }};
                deadline += performance.now();
                look();
            }})""",
            WAIT_MS,
        )

    def wait_for_record(self, condition: str) -> None:
        """Wait until `condition` holds for a record r."""
        self.wait(f"[...window.__atelier.room.records.values()].some((r) => {condition})")

    def wait_for_count(self, kind: str, count: int) -> None:
        """Wait until there are so many records of a kind."""
        records = f"[...window.__atelier.room.records.values()].filter(r => r.type === '{kind}')"
        self.wait(f"{records}.length === {count}")

    def wait_until_saved(self) -> None:
        self.wait("window.__atelier.room.unsaved === 0")

    def on_screen(self, point: Point) -> Point:
        """Where on the page a canvas point is."""
        camera = self.page.evaluate("() => ({ ...window.__atelier.view.camera })")
        return (
            (point[0] - camera["x"]) * camera["zoom"],
            (point[1] - camera["y"]) * camera["zoom"],
        )
