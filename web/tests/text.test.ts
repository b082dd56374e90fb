import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Delta } from "../src/protocol/records";
import { apply, compose, DeltaError, diff, invert, length, transform } from "../src/sync/text";
import { golden } from "./support/golden";

interface Vectors {
  readonly apply: readonly { text: string; delta: Delta; result: string }[];
  readonly bad: readonly { text: string; delta: Delta }[];
  readonly transform: readonly {
    text: string;
    first: Delta;
    second: Delta;
    second_after_first: Delta;
    first_after_second: Delta;
    result: string;
  }[];
}

const vectors = golden<Vectors>("protocol/text.json");

describe("golden vectors", () => {
  it.each(vectors.apply)("$text $delta", ({ text, delta, result }) => {
    expect(apply(text, delta)).toBe(result);
  });

  it.each(vectors.bad)("refuses $delta on $text", ({ text, delta }) => {
    expect(() => apply(text, delta)).toThrow(DeltaError);
  });

  it.each(vectors.transform)("$text: $first, then $second", (vector) => {
    const { text, first, second } = vector;
    expect(transform(second, first, { first: false })).toEqual(vector.second_after_first);
    expect(transform(first, second, { first: true })).toEqual(vector.first_after_second);
    expect(apply(apply(text, first), vector.second_after_first)).toBe(vector.result);
    expect(apply(apply(text, second), vector.first_after_second)).toBe(vector.result);
  });
});

const someText = fc
  .array(fc.constantFrom("a", "b", "é", "日", "😀", " "), { maxLength: 12 })
  .map((points) => points.join(""));

/** Any well-formed delta of `text`. */
function deltaOf(text: string): fc.Arbitrary<Delta> {
  const part = fc.oneof(someText, fc.integer({ min: -3, max: 3 }));
  return fc.array(part, { maxLength: 6 }).map((parts) => {
    let left = length(text);
    return parts.flatMap((part): (number | string)[] => {
      if (part === "" || part === 0) return [];
      if (typeof part === "string") return [part];
      const count = Math.min(left, Math.abs(part));
      left -= count;
      return count === 0 ? [] : [Math.sign(part) * count];
    });
  });
}

const oneEdit = someText.chain((text) => fc.tuple(fc.constant(text), deltaOf(text)));
const twoEdits = someText.chain((text) =>
  fc.tuple(fc.constant(text), deltaOf(text), deltaOf(text)),
);
const editsInARow = oneEdit.chain(([text, a]) =>
  fc.tuple(fc.constant(text), fc.constant(a), deltaOf(apply(text, a))),
);

describe("any edits", () => {
  it("end in the same text in both orders", () => {
    fc.assert(
      fc.property(twoEdits, ([text, a, b]) => {
        const ab = apply(apply(text, a), transform(b, a, { first: false }));
        const ba = apply(apply(text, b), transform(a, b, { first: true }));
        expect(ab).toBe(ba);
      }),
      { numRuns: 2_000 },
    );
  });

  it("lose nothing that somebody typed", () => {
    fc.assert(
      fc.property(twoEdits, ([text, a, b]) => {
        const both = apply(apply(text, a), transform(b, a, { first: false }));
        for (const part of [...a, ...b]) if (typeof part === "string") expect(both).toContain(part);
      }),
      { numRuns: 1_000 },
    );
  });

  it("compose to one that does both", () => {
    fc.assert(
      fc.property(editsInARow, ([text, a, b]) => {
        expect(apply(text, compose(a, b))).toBe(apply(apply(text, a), b));
      }),
      { numRuns: 2_000 },
    );
  });

  it("are taken back by their inverse", () => {
    fc.assert(
      fc.property(oneEdit, ([text, delta]) => {
        expect(apply(apply(text, delta), invert(delta, text))).toBe(text);
      }),
      { numRuns: 1_000 },
    );
  });

  it("are found by comparing two texts, never splitting a code point", () => {
    fc.assert(
      fc.property(someText, someText, (before, after) => {
        const delta = diff(before, after);
        expect(apply(before, delta)).toBe(after);
        expect(delta.length === 0).toBe(before === after);
      }),
      { numRuns: 1_000 },
    );
  });
});
