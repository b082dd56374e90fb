import { beforeEach, expect, test, vi } from "vitest";
import { toCanvas, toScreen } from "../../src/canvas/camera";
import { type FakeBench, fakeBench } from "../../src/testing/fake-bench";
import { InkTool } from "../../src/tools/brush";
import { Pointers } from "../../src/tools/pointers";

/** As much of an element as pointers need. */
class FakeElement extends EventTarget {
  readonly style = { cursor: "" };
  setPointerCapture(): void {}
  getBoundingClientRect() {
    return { left: 0, top: 0 };
  }
}

let bench: FakeBench;
let element: FakeElement;
let pointers: Pointers;

beforeEach(() => {
  vi.stubGlobal("HTMLElement", FakeElement);
  vi.stubGlobal("document", { activeElement: null });
  vi.stubGlobal("WheelEvent", { DOM_DELTA_LINE: 1 });
  bench = fakeBench();
  element = new FakeElement();
  const brush = new InkTool(bench, "brush");
  pointers = new Pointers(element as unknown as HTMLElement, {
    view: bench.view,
    tool: () => brush,
    setCursor: () => {},
  });
});

function fire(type: string, x: number, y: number, more: object = {}): void {
  const event = new Event(type, { cancelable: true });
  const plain = { pointerId: 1, pointerType: "mouse", button: 0, shiftKey: false, pressure: 0 };
  element.dispatchEvent(Object.assign(event, plain, { clientX: x, clientY: y, ...more }));
}

const strokes = () => bench.room.records.size;
const touch = (pointerId: number) => ({ pointerType: "touch", pointerId });

test("a mouse draws, also where the browser tells no coalesced events", () => {
  fire("pointerdown", 10, 10);
  fire("pointermove", 60, 60);
  fire("pointerup", 60, 60);
  expect(strokes()).toBe(1);
});

test("all coalesced positions are drawn", () => {
  fire("pointerdown", 0, 0);
  const coalesced = [1, 2, 3].map((i) => ({ clientX: i * 10, clientY: 0, pointerType: "mouse" }));
  fire("pointermove", 30, 0, { getCoalescedEvents: () => coalesced });
  expect(bench.desk.ink?.points).toHaveLength(4);
});

test("U7 a second finger gives up the stroke of the first, and both move the view", () => {
  fire("pointerdown", 100, 100, touch(1));
  fire("pointermove", 110, 100, touch(1));
  fire("pointerdown", 200, 100, touch(2));
  const fixed = toCanvas(bench.view.camera, { x: 110, y: 100 });
  fire("pointermove", 290, 100, touch(2));
  fire("pointerup", 290, 100, touch(2));
  fire("pointermove", 300, 300, touch(1));
  fire("pointerup", 300, 300, touch(1));
  expect(strokes()).toBe(0);
  expect(bench.room.abandoned).toHaveLength(1);
  expect(bench.view.camera.zoom).toBeCloseTo(2, 6);
  expect(toScreen(bench.view.camera, fixed).x).toBeCloseTo(110, 6);
});

test("U7 the middle button and the space bar move the view whatever the tool", () => {
  fire("pointerdown", 0, 0, { button: 1 });
  fire("pointermove", 30, 40);
  fire("pointerup", 30, 40);
  pointers.isSpaceDown = true;
  fire("pointerdown", 0, 0);
  fire("pointermove", 10, 0);
  fire("pointerup", 10, 0);
  expect(bench.view.camera).toMatchObject({ x: -40, y: -40 });
  expect(strokes()).toBe(0);
});

test("U7 the wheel moves the view, and zooms it with the control key", () => {
  fire("wheel", 50, 50, { deltaX: 5, deltaY: 20, deltaMode: 0, ctrlKey: false, metaKey: false });
  expect(bench.view.camera).toMatchObject({ x: 5, y: 20, zoom: 1 });
  fire("wheel", 50, 50, { deltaX: 0, deltaY: -100, deltaMode: 0, ctrlKey: true });
  expect(bench.view.camera.zoom).toBeGreaterThan(1.1);
});

test("U8 once a pen was seen, a finger moves the view", () => {
  fire("pointerdown", 10, 10, { pointerType: "pen", pressure: 0.7 });
  fire("pointerup", 10, 10, { pointerType: "pen" });
  fire("pointerdown", 100, 100, touch(2));
  fire("pointermove", 150, 100, touch(2));
  fire("pointerup", 150, 100, touch(2));
  expect(strokes()).toBe(1);
  expect(bench.view.camera.x).toBe(-50);
});

test("a pointer that the system takes away leaves no stroke", () => {
  fire("pointerdown", 10, 10);
  fire("pointermove", 60, 60);
  fire("pointercancel", 60, 60);
  expect(strokes()).toBe(0);
});

test("a stroke that is interrupted by taking another tool is kept", () => {
  fire("pointerdown", 10, 10);
  fire("pointermove", 60, 60);
  pointers.finish();
  fire("pointermove", 90, 90);
  fire("pointerup", 90, 90);
  expect(strokes()).toBe(1);
  expect(bench.desk.ink).toBeNull();
});
