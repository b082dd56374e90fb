import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  countPoints,
  decodePoints,
  encodePoints,
  MAX_POINTS,
  type Point,
} from "../src/protocol/strokes";
import { fromHex, golden, toHex } from "./support/golden";

interface Vectors {
  readonly decode: readonly { hex: string; points: Point[] }[];
  readonly encode: readonly { hex: string; points: Point[] }[];
  readonly bad: readonly string[];
}
interface Outlines {
  readonly strokes: readonly { name: string; packed: string; points: Point[]; raw: Point[] }[];
}

const vectors = golden<Vectors>("protocol/strokes.json");
const outlines = golden<Outlines>("strokes.json");

describe("golden geometry", () => {
  it.each(vectors.decode)("decodes $hex", ({ hex, points }) => {
    expect(decodePoints(fromHex(hex))).toEqual(points);
  });

  it.each(vectors.encode)("encodes to $hex", ({ hex, points }) => {
    expect(toHex(encodePoints(points))).toBe(hex);
  });

  it.each(vectors.bad)("refuses %s", (hex) => {
    expect(() => decodePoints(fromHex(hex))).toThrow(RangeError);
  });

  it.each(outlines.strokes)("agrees on the stroke $name", ({ packed, points, raw }) => {
    expect(decodePoints(fromHex(packed))).toEqual(points);
    expect(toHex(encodePoints(raw))).toBe(packed);
  });
});

describe("any stroke", () => {
  const coordinate = fc.double({ min: -1e6, max: 1e6, noNaN: true });
  const pressure = fc.double({ min: 0, max: 1, noNaN: true });

  it("comes back within half a step, start and end included", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(coordinate, coordinate, pressure), { minLength: 1 }), (raw) => {
        const decoded = decodePoints(encodePoints(raw));
        for (const [from, to] of [
          [raw[0], decoded[0]],
          [raw.at(-1), decoded.at(-1)],
        ]) {
          expect(Math.abs((to?.[0] ?? 0) - (from?.[0] ?? 0))).toBeLessThanOrEqual(1 / 32 + 1e-6);
          expect(Math.abs((to?.[1] ?? 0) - (from?.[1] ?? 0))).toBeLessThanOrEqual(1 / 32 + 1e-6);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("is thinned where it has too many points, and keeps its ends", () => {
    const raw = Array.from({ length: 3 * MAX_POINTS }, (_, i): Point => [i / 100, 0, 1]);
    const bytes = encodePoints(raw);
    expect(countPoints(bytes)).toBe(MAX_POINTS);
    const decoded = decodePoints(bytes);
    expect(decoded[0]).toEqual([0, 0, 1]);
    expect(decoded.at(-1)?.[0]).toBeCloseTo(raw.at(-1)?.[0] ?? 0, 1);
  });

  it("fits even where it jumps across the canvas again and again", () => {
    const raw = Array.from({ length: 200 }, (_, i): Point => [i % 2 ? 1e7 : -1e7, 0, 1]);
    expect(countPoints(encodePoints(raw))).toBeLessThanOrEqual(MAX_POINTS);
  });
});
