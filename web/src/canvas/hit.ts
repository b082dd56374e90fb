/** What lies under a point or within a box, and where a thing can be taken hold of. */

import type { Frame, RecordId, RoomRecord, Stroke } from "../protocol/messages";
import { NOTE_SIDE } from "../protocol/records";
import {
  type Box,
  boxContains,
  boxesIntersect,
  distanceToSegment,
  outset,
  type Point,
} from "./geometry";
import { shapeOf } from "./outline";
import { boundsOf, isPainted, type Painted, type Scene } from "./scene";

/** Height of the name above a frame, in CSS pixels. */
export const FRAME_LABEL_PX = 24;
const HANDLE_REACH_PX = 11;

export type Corner = "nw" | "ne" | "se" | "sw";
export const CORNERS: readonly Corner[] = ["nw", "ne", "se", "sw"];

export function cornerOf(box: Box, corner: Corner): Point {
  return {
    x: corner === "nw" || corner === "sw" ? box.x : box.x + box.w,
    y: corner === "nw" || corner === "ne" ? box.y : box.y + box.h,
  };
}

/** The corner handle within reach of `point`; `zoom` keeps the reach the same on the screen. */
export function handleAt(box: Box, point: Point, zoom: number): Corner | null {
  const reach = HANDLE_REACH_PX / zoom;
  for (const corner of CORNERS) {
    const { x, y } = cornerOf(box, corner);
    if (Math.abs(x - point.x) <= reach && Math.abs(y - point.y) <= reach) return corner;
  }
  return null;
}

/** Whether the visible mark of `record` is within `reach` canvas units of `point`. */
export function hitsPainted(record: Painted, point: Point, reach: number): boolean {
  if (!boxContains(outset(boundsOf(record), reach), point)) return false;
  if (record.type === "image") return boxContains(boundsOf(record), point);
  const { points } = shapeOf(record);
  const local = { x: point.x - record.x, y: point.y - record.y };
  const limit = record.size / 2 + reach;
  return points.some(([x, y], index) => {
    const [nextX, nextY] = points[index + 1] ?? [x, y];
    return distanceToSegment(local, { x, y }, { x: nextX, y: nextY }) <= limit;
  });
}

/** The topmost stroke or image under `point`. Erasers leave no mark to take hold of. */
export function paintedAt(scene: Scene, point: Point, reach: number): Painted | null {
  for (const layer of [...scene.layers].reverse()) {
    if (!layer.visible) continue;
    for (let index = layer.items.length - 1; index >= 0; index--) {
      const item = layer.items[index];
      if (!item || (item.type === "stroke" && item.erase)) continue;
      if (hitsPainted(item, point, reach)) return item;
    }
  }
  return null;
}

/**
 * These records and the erasers that belong to them: an eraser goes along with what it erased if
 * all of that goes. (What it erased would come back otherwise, as soon as it is moved away.)
 */
export function withErasers(scene: Scene, ids: ReadonlySet<RecordId>): Set<RecordId> {
  const all = new Set(ids);
  for (const { items } of scene.layers) {
    const moved = items.filter(({ id }) => ids.has(id));
    if (moved.length === 0) continue;
    for (const [index, eraser] of items.entries()) {
      if (eraser.type !== "stroke" || !eraser.erase) continue;
      const erased = items.slice(0, index).filter((item) => erases(eraser, item));
      if (erased.length > 0 && erased.every(({ id }) => ids.has(id))) all.add(eraser.id);
    }
  }
  return all;
}

/** Whether the eraser touches what this record has drawn. */
function erases(eraser: Stroke, item: Painted): boolean {
  if (item.type === "stroke" && item.erase) return false;
  if (!boxesIntersect(boundsOf(eraser), boundsOf(item))) return false;
  if (item.type === "image") return true;
  return passesOver(eraser, item) || passesOver(item, eraser);
}

/** Whether a point of `a` lies on the mark of `b`. */
function passesOver(a: Stroke, b: Stroke): boolean {
  return shapeOf(a).points.some(([x, y]) => hitsPainted(b, { x: x + a.x, y: y + a.y }, a.size / 2));
}

/** The topmost frame whose edge or name is under `point`. */
export function frameEdgeAt(frames: readonly Frame[], point: Point, zoom: number): Frame | null {
  const reach = 6 / zoom;
  return topmost(frames, (frame) => {
    const label = { x: frame.x, y: frame.y - FRAME_LABEL_PX / zoom, w: frame.w, h: 0 };
    if (boxContains({ ...label, h: FRAME_LABEL_PX / zoom }, point)) return true;
    const inner = outset(frame, -reach);
    return boxContains(outset(frame, reach), point) && !boxContains(inner, point);
  });
}

export function frameAt(frames: readonly Frame[], point: Point): Frame | null {
  return topmost(frames, (frame) => boxContains(frame, point));
}

function topmost(frames: readonly Frame[], isHit: (frame: Frame) => boolean): Frame | null {
  for (let index = frames.length - 1; index >= 0; index--) {
    const frame = frames[index];
    if (frame && isHit(frame)) return frame;
  }
  return null;
}

/** Strokes and images that `box` touches, and frames that lie in it whole. */
export function recordsIn(scene: Scene, frames: readonly Frame[], box: Box): RecordId[] {
  const ids: RecordId[] = [];
  for (const layer of scene.layers) {
    if (!layer.visible) continue;
    for (const item of layer.items) {
      if (item.type === "stroke" && item.erase) continue;
      if (touches(item, box)) ids.push(item.id);
    }
  }
  for (const frame of frames) {
    const end = { x: frame.x + frame.w, y: frame.y + frame.h };
    if (boxContains(box, frame) && boxContains(box, end)) ids.push(frame.id);
  }
  return ids;
}

/** Notes that `box` touches; they lie over the picture and are no part of its scene. */
export function notesIn(records: Iterable<RoomRecord>, box: Box): RecordId[] {
  const ids: RecordId[] = [];
  for (const record of records) {
    if (record.type !== "note") continue;
    const { x, y } = record;
    if (boxesIntersect({ x, y, w: NOTE_SIDE, h: NOTE_SIDE }, box)) ids.push(record.id);
  }
  return ids;
}

function touches(item: Painted, box: Box): boolean {
  if (!boxesIntersect(boundsOf(item), box)) return false;
  if (item.type === "image") return true;
  const reach = outset(box, item.size / 2);
  return shapeOf(item).points.some(([x, y]) =>
    boxContains(reach, { x: x + item.x, y: y + item.y }),
  );
}

/** Where a record that can be selected lies; null for one that can't. */
export function selectableBounds(record: RoomRecord | undefined): Box | null {
  if (isPainted(record)) return boundsOf(record);
  if (record?.type === "frame") return { x: record.x, y: record.y, w: record.w, h: record.h };
  return null;
}
