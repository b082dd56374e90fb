import { afterEach, expect, test, vi } from "vitest";
import { actionOf, belongsToControl, type Key } from "../../src/tools/shortcuts";

function key(code: string, more: Partial<Key> = {}): Key {
  const plain = { ctrlKey: false, metaKey: false, shiftKey: false, altKey: false };
  return { ...plain, isComposing: false, code, ...more };
}

test("U9 keys go by their place on the keyboard", () => {
  expect(actionOf(key("KeyB"))).toEqual({ do: "tool", tool: "brush" });
  expect(actionOf(key("BracketRight"))).toEqual({ do: "thicker" });
});

test("undo and redo, with either command key", () => {
  expect(actionOf(key("KeyZ", { ctrlKey: true }))).toEqual({ do: "undo" });
  expect(actionOf(key("KeyZ", { metaKey: true, shiftKey: true }))).toEqual({ do: "redo" });
  expect(actionOf(key("KeyY", { ctrlKey: true }))).toEqual({ do: "redo" });
});

test("U9 a key that an input method composes with does nothing", () => {
  expect(actionOf(key("KeyB", { isComposing: true }))).toBeNull();
});

test("the browser keeps its own keys", () => {
  for (const code of ["KeyT", "KeyR", "KeyB", "KeyV", "Minus"]) {
    expect(actionOf(key(code, { ctrlKey: true }))).toBeNull();
  }
});

class FakeElement extends EventTarget {
  closest(): null {
    return null;
  }
}
class FakeInput extends FakeElement {}

afterEach(() => vi.unstubAllGlobals());

test("a slider or a switch that has the focus keeps the keys that work it", () => {
  vi.stubGlobal("HTMLElement", FakeElement);
  vi.stubGlobal("HTMLInputElement", FakeInput);
  for (const code of ["Space", "ArrowLeft", "Backspace", "Delete"]) {
    expect(belongsToControl(key(code), new FakeInput())).toBe(true);
    expect(belongsToControl(key(code), new FakeElement())).toBe(false);
  }
  expect(belongsToControl(key("KeyB"), new FakeInput())).toBe(false);
});
