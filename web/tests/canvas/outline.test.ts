import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { inkBounds, outline } from "../../src/canvas/outline";
import { decodePoints, encodePoints, type Point } from "../../src/protocol/strokes";

interface Golden {
  readonly tolerance: number;
  readonly strokes: readonly {
    readonly name: string;
    readonly size: number;
    readonly pen: boolean;
    readonly raw: readonly Point[];
    readonly packed: string;
    readonly points: readonly Point[];
    readonly outline: readonly (readonly [number, number])[];
  }[];
}

const path = new URL("../../../tests/golden/strokes.json", import.meta.url);
const golden = JSON.parse(readFileSync(path, "utf8")) as Golden;

describe("W20 strokes look the same here and on the server", () => {
  for (const { name, size, pen, raw, packed, outline: expected } of golden.strokes) {
    test(name, () => {
      const bytes = Uint8Array.from(Buffer.from(packed, "hex"));
      expect(Buffer.from(encodePoints(raw)).toString("hex")).toBe(packed);
      const drawn = outline(decodePoints(bytes), size, pen);
      expect(drawn).toHaveLength(expected.length);
      for (const [index, [x, y]] of expected.entries()) {
        expect(Math.abs((drawn[index]?.[0] ?? Number.NaN) - x)).toBeLessThan(golden.tolerance);
        expect(Math.abs((drawn[index]?.[1] ?? Number.NaN) - y)).toBeLessThan(golden.tolerance);
      }
    });

    test(`${name}: the outline stays within its bounds`, () => {
      const points = decodePoints(Uint8Array.from(Buffer.from(packed, "hex")));
      const box = inkBounds(points, size);
      for (const [x = 0, y = 0] of outline(points, size, pen)) {
        expect(x).toBeGreaterThanOrEqual(box.x);
        expect(x).toBeLessThanOrEqual(box.x + box.w);
        expect(y).toBeGreaterThanOrEqual(box.y);
        expect(y).toBeLessThanOrEqual(box.y + box.h);
      }
    });
  }
});
