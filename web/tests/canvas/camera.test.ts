import { expect, test } from "vitest";
import {
  boxToScreen,
  camera,
  fitted,
  MAX_ZOOM,
  panned,
  pinched,
  snapped,
  toCanvas,
  toScreen,
  zoomedAt,
} from "../../src/canvas/camera";

const view = camera(-120, 40, 1.7);

test("to the screen and back is where it was", () => {
  const there = toScreen(view, { x: 33, y: -8 });
  const back = toCanvas(view, there);
  expect(back.x).toBeCloseTo(33, 9);
  expect(back.y).toBeCloseTo(-8, 9);
});

test("U6 zooming keeps the canvas point under the pointer", () => {
  const pointer = { x: 311, y: 97 };
  const before = toCanvas(view, pointer);
  const after = toCanvas(zoomedAt(view, pointer, 5.3), pointer);
  expect(after.x).toBeCloseTo(before.x, 9);
  expect(after.y).toBeCloseTo(before.y, 9);
});

test("U6 a pinch keeps both canvas points under the fingers", () => {
  const before = [
    { x: 100, y: 100 },
    { x: 300, y: 200 },
  ] as const;
  // Twice as far apart, in the same direction, somewhere else.
  const after = [
    { x: 40, y: 60 },
    { x: 440, y: 260 },
  ] as const;
  const next = pinched(view, before, after);
  for (const finger of [0, 1] as const) {
    const was = toCanvas(view, before[finger]);
    const is = toCanvas(next, after[finger]);
    expect(is.x).toBeCloseTo(was.x, 9);
    expect(is.y).toBeCloseTo(was.y, 9);
  }
});

test("zoom stays within its limits, and the point under the pointer where it is", () => {
  const pointer = { x: 10, y: 20 };
  const far = zoomedAt(view, pointer, 1e9);
  expect(far.zoom).toBe(MAX_ZOOM);
  expect(toCanvas(far, pointer).x).toBeCloseTo(toCanvas(view, pointer).x, 9);
});

test("panning moves what is seen by as many pixels", () => {
  const point = { x: 5, y: 5 };
  const moved = toScreen(panned(view, 30, -12), point);
  expect(moved.x - toScreen(view, point).x).toBeCloseTo(30, 9);
  expect(moved.y - toScreen(view, point).y).toBeCloseTo(-12, 9);
});

test("fitting shows the whole box in what the panels leave free", () => {
  const insets = { top: 80, right: 340, bottom: 150, left: 40 };
  const box = { x: -900, y: 2000, w: 3000, h: 700 };
  const seen = boxToScreen(fitted(box, { width: 1280, height: 800 }, insets), box);
  expect(seen.x).toBeGreaterThanOrEqual(40 - 1e-6);
  expect(seen.y).toBeGreaterThanOrEqual(80 - 1e-6);
  expect(seen.x + seen.w).toBeLessThanOrEqual(1280 - 340 + 1e-6);
  expect(seen.y + seen.h).toBeLessThanOrEqual(800 - 150 + 1e-6);
});

test("snapping moves by less than a device pixel", () => {
  const next = snapped(view, 2);
  expect(Math.abs(next.x - view.x) * view.zoom * 2).toBeLessThanOrEqual(0.5 + 1e-9);
  expect((next.x * view.zoom * 2) % 1).toBeCloseTo(0, 6);
});
