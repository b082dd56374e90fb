import { expect, test } from "vitest";
import { merged, movedCaret } from "../../src/ui/caret";

test("U17 the caret stays where it was in the text, whatever others type around it", () => {
  // The caret stands before "tree".
  expect(movedCaret("a tree", "a green tree", 2)).toBe(2);
  expect(movedCaret("a tree", "a green tree", 4)).toBe(10);
  expect(movedCaret("a green tree", "a tree", 12)).toBe(6);
  expect(movedCaret("a green tree", "a tree", 5)).toBe(2);
  expect(movedCaret("tree", "a tree", 0)).toBe(0);
  expect(movedCaret("", "abc", 0)).toBe(0);
});

test("U17 what others type while an input method composes is not lost", () => {
  expect(merged("", "红心", "a ")).toBe("a 红心");
  expect(merged("树", "一棵树", "树，蓝天")).toBe("一棵树，蓝天");
  expect(merged("a tree", "a 树", "a big tree")).toBe("a big 树");
  expect(merged("same", "same", "other")).toBe("other");
});
