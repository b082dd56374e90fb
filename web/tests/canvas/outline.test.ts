import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { inkBounds, outline, outlinePath } from "../../src/canvas/outline";
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
    readonly outline: readonly Corner[];
    readonly curve: {
      readonly area: number;
      readonly bounds: readonly [left: number, top: number, right: number, bottom: number];
    };
  }[];
}

type Corner = readonly [x: number, y: number];

/** A quadratic Bézier curve. */
interface Piece {
  readonly start: Corner;
  readonly control: Corner;
  readonly end: Corner;
}

/** Writes down the curves that it is made of, where a canvas would draw them. */
class RecordedPath {
  readonly pieces: Piece[] = [];
  isClosed = false;
  #pen: Corner = [Number.NaN, Number.NaN];

  moveTo(x: number, y: number) {
    this.#pen = [x, y];
  }
  quadraticCurveTo(controlX: number, controlY: number, x: number, y: number) {
    this.pieces.push({ start: this.#pen, control: [controlX, controlY], end: [x, y] });
    this.#pen = [x, y];
  }
  closePath() {
    this.isClosed = true;
  }
}

/** The polygon of the ends, and two thirds of the triangle over each of its sides. */
function signedArea(pieces: readonly Piece[]): number {
  const origin = pieces[0]?.start ?? [0, 0];
  return pieces.reduce(
    (area, { start, control, end }) =>
      area + cross(origin, start, end) / 2 + cross(start, control, end) / 3,
    0,
  );
}

function cross(a: Corner, b: Corner, c: Corner): number {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

/** A coordinate of a piece at its ends and where it turns back, if it does. */
function extremes({ start, control, end }: Piece, axis: 0 | 1): number[] {
  const [from, bender, to] = [start[axis], control[axis], end[axis]];
  const bend = from - 2 * bender + to;
  const turn = (from - bender) / bend;
  if (!(turn > 0 && turn < 1)) return [from, to];
  return [from, to, from + 2 * turn * (bender - from) + turn * turn * bend];
}

const path = new URL("../../../tests/golden/strokes.json", import.meta.url);
const golden = JSON.parse(readFileSync(path, "utf8")) as Golden;

describe("U1 strokes look the same here and on the server", () => {
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

describe("V14 the curve that is filled is the golden one", () => {
  beforeAll(() => void vi.stubGlobal("Path2D", RecordedPath));
  afterAll(() => void vi.unstubAllGlobals());

  for (const { name, size, pen, points, curve } of golden.strokes) {
    test(name, () => {
      const { pieces, isClosed } = outlinePath(points, size, pen) as unknown as RecordedPath;
      expect(isClosed).toBe(true);
      expect(pieces.at(-1)?.end).toEqual(pieces[0]?.start);
      expect(signedArea(pieces)).toBeCloseTo(curve.area, 4);
      const reached = ([0, 1] as const).map((axis) => pieces.flatMap((p) => extremes(p, axis)));
      const [xs = [], ys = []] = reached;
      const found = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
      for (const [index, edge] of curve.bounds.entries()) expect(found[index]).toBeCloseTo(edge, 6);
    });
  }
});
