/**
 * The shape that a brush leaves: perfect-freehand's outline as a path, and its bounds.
 *
 * The server draws the same curve around the same points (server/render/outline.py, curve.py);
 * tests/golden/strokes.json holds both to the same numbers.
 */

import { getStroke } from "perfect-freehand";
import { decodePoints } from "../protocol/strokes";
import { type Box, outset } from "./geometry";

/** x, y in canvas units, pressure 0 to 1. */
export type InkPoint = readonly [x: number, y: number, pressure: number];

const THINNING = 0.6;
const SMOOTHING = 0.5;
const STREAMLINE = 0.5;
/** A point at full pressure is this much of the brush size thick, to each side. */
const WIDEST_RADIUS = 0.5 * (1 + THINNING);

/** The outline of a finished stroke: control points of a closed curve. */
export function outline(points: readonly InkPoint[], size: number, pen: boolean): number[][] {
  return getStroke(points as unknown as number[][], {
    size,
    thinning: THINNING,
    smoothing: SMOOTHING,
    streamline: STREAMLINE,
    simulatePressure: !pen,
    last: true,
  });
}

/**
 * The curve around a finished stroke, to be filled by the non-zero rule.
 *
 * Each point of the outline bends a quadratic curve between the midpoints to its neighbours, as
 * perfect-freehand's README advises: straight lines would show corners on a wide brush.
 */
export function outlinePath(points: readonly InkPoint[], size: number, pen: boolean): Path2D {
  const path = new Path2D();
  const controls = outline(points, size, pen);
  const [firstX = 0, firstY = 0] = controls[0] ?? [];
  const [lastX = 0, lastY = 0] = controls.at(-1) ?? [];
  path.moveTo((lastX + firstX) / 2, (lastY + firstY) / 2);
  for (const [index, [x = 0, y = 0]] of controls.entries()) {
    const [nextX = 0, nextY = 0] = controls[index + 1] ?? [firstX, firstY];
    path.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  path.closePath();
  return path;
}

/** A box that the outline never leaves, without making the outline. */
export function inkBounds(points: readonly InkPoint[], size: number): Box {
  let left = Number.POSITIVE_INFINITY;
  let top = Number.POSITIVE_INFINITY;
  let right = Number.NEGATIVE_INFINITY;
  let bottom = Number.NEGATIVE_INFINITY;
  for (const [x, y] of points) {
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  }
  return outset({ x: left, y: top, w: right - left, h: bottom - top }, size * WIDEST_RADIUS + 1);
}

export interface Brushed {
  readonly points: Uint8Array;
  readonly size: number;
  readonly pen: boolean;
}

/** What can be known of a stroke from its geometry; made when first asked for, and kept. */
export class StrokeShape {
  readonly points: readonly InkPoint[];
  readonly bounds: Box;
  readonly size: number;
  readonly pen: boolean;
  #path: Path2D | null = null;

  constructor(stroke: Brushed) {
    this.points = decodePoints(stroke.points);
    this.size = stroke.size;
    this.pen = stroke.pen;
    this.bounds = inkBounds(this.points, stroke.size);
  }

  get path(): Path2D {
    this.#path ??= outlinePath(this.points, this.size, this.pen);
    return this.#path;
  }
}

const shapes = new WeakMap<Uint8Array, StrokeShape>();

/** Cached by the packed points: a stroke that is moved or recoloured keeps its outline. */
export function shapeOf(stroke: Brushed): StrokeShape {
  const known = shapes.get(stroke.points);
  if (known && known.size === stroke.size && known.pen === stroke.pen) return known;
  const shape = new StrokeShape(stroke);
  shapes.set(stroke.points, shape);
  return shape;
}
