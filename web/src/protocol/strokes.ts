/**
 * The geometry of a stroke as one binary value: `encodePoints` and `decodePoints`.
 *
 * Two little-endian f32 (the origin), then five bytes a point: i16 dx, i16 dy in 1/16 canvas unit
 * from the point before (the first one from the origin), u8 pressure (255 is 1.0). Knows nothing
 * of outlines or pixels. Bit for bit what `server/core/strokes.py` makes.
 */

/** x and y in canvas units, pressure from 0 to 1. */
export type Point = readonly [x: number, y: number, pressure: number];

export const MAX_POINTS = 20_000;
/** Points that fit one `ink` message. */
export const MAX_INK_POINTS = 2_000;
export const MAX_COORDINATE = 1e7;
const ORIGIN_BYTES = 8;
const POINT_BYTES = 5;
const UNITS_PER_PX = 16;
const MAX_DELTA = 32_767;

/**
 * Write one point or more; errors of rounding don't add up along the stroke.
 *
 * Where two points lie more than 2047 units apart, points are put in between. A stroke of more
 * than `MAX_POINTS` is thinned evenly and keeps its ends.
 */
export function encodePoints(points: readonly Point[]): Uint8Array<ArrayBuffer> {
  let kept = thin(points, MAX_POINTS);
  let stops = toStops(kept);
  while (stops.length > MAX_POINTS) {
    kept = thin(kept, Math.floor(kept.length / 2));
    stops = toStops(kept);
  }
  return write(kept[0] as Point, stops);
}

/** Whether `bytes` are the geometry of one point or more, starting within the canvas. */
export function isGeometry(bytes: Uint8Array): boolean {
  const body = bytes.length - ORIGIN_BYTES;
  if (body < POINT_BYTES || body % POINT_BYTES !== 0) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isWithin = (value: number) => Math.abs(value) <= MAX_COORDINATE;
  return isWithin(view.getFloat32(0, true)) && isWithin(view.getFloat32(4, true));
}

/** How many points `bytes` hold; throws RangeError unless they are the geometry of one or more. */
export function countPoints(bytes: Uint8Array): number {
  if (!isGeometry(bytes)) {
    throw new RangeError(
      `expected 8 bytes of origin within ±${MAX_COORDINATE} and 5 bytes for each point, got ${bytes.length} bytes`,
    );
  }
  return (bytes.length - ORIGIN_BYTES) / POINT_BYTES;
}

/** Read the points of a stroke; throws RangeError. */
export function decodePoints(bytes: Uint8Array): Point[] {
  const points = new Array<Point>(countPoints(bytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const left = view.getFloat32(0, true);
  const top = view.getFloat32(4, true);
  let x = 0;
  let y = 0;
  for (let i = 0, at = ORIGIN_BYTES; i < points.length; i++, at += POINT_BYTES) {
    x += view.getInt16(at, true);
    y += view.getInt16(at + 2, true);
    points[i] = [left + x / UNITS_PER_PX, top + y / UNITS_PER_PX, view.getUint8(at + 4) / 255];
  }
  return points;
}

type Stop = readonly [x: number, y: number, level: number];

/** Where the pen stops, in 1/16 units from the origin, no two of them further apart than 16 bits. */
function toStops(points: readonly Point[]): Stop[] {
  const [left, top] = originOf(points[0]);
  const stops: Stop[] = [];
  let x = 0;
  let y = 0;
  for (const [px, py, pressure] of points) {
    const dx = Math.round((px - left) * UNITS_PER_PX) - x;
    const dy = Math.round((py - top) * UNITS_PER_PX) - y;
    const level = Math.round(Math.min(1, Math.max(0, pressure)) * 255);
    const hops = Math.max(1, Math.ceil(Math.max(Math.abs(dx), Math.abs(dy)) / MAX_DELTA));
    for (let hop = 1; hop <= hops; hop++) {
      stops.push([x + Math.floor((dx * hop) / hops), y + Math.floor((dy * hop) / hops), level]);
    }
    x += dx;
    y += dy;
  }
  return stops;
}

function write(start: Point, stops: readonly Stop[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ORIGIN_BYTES + POINT_BYTES * stops.length);
  const view = new DataView(bytes.buffer);
  const [left, top] = originOf(start);
  view.setFloat32(0, left, true);
  view.setFloat32(4, top, true);
  let at = ORIGIN_BYTES;
  let fromX = 0;
  let fromY = 0;
  for (const [x, y, level] of stops) {
    view.setInt16(at, x - fromX, true);
    view.setInt16(at + 2, y - fromY, true);
    view.setUint8(at + 4, level);
    fromX = x;
    fromY = y;
    at += POINT_BYTES;
  }
  return bytes;
}

function originOf(start: Point | undefined): readonly [left: number, top: number] {
  if (start === undefined) throw new RangeError("expected at least one point, got none");
  return [Math.fround(start[0]), Math.fround(start[1])];
}

function thin(points: readonly Point[], most: number): readonly Point[] {
  if (points.length <= most) return points;
  const stride = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => points[Math.round(i * stride)] as Point);
}
