/** Where a person looks from. Pure: a camera never changes, moving it makes another one. */

import { type Box, boxCenter, distance, type Point } from "./geometry";

/** (x, y) is the canvas point at the viewport's top left corner; zoom is CSS pixels per unit. */
export interface Camera {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Room that panels take at each side of the viewport, in CSS pixels. */
export interface Insets {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

export const MIN_ZOOM = 0.02;
export const MAX_ZOOM = 32;
/** So that every point in view stays within what a record's coordinates may be. */
const FARTHEST = 5e6;

export function camera(x: number, y: number, zoom: number): Camera {
  const clamp = (value: number) => Math.max(-FARTHEST, Math.min(FARTHEST, value));
  return { x: clamp(x), y: clamp(y), zoom: Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom)) };
}

export function toCanvas(view: Camera, screen: Point): Point {
  return { x: view.x + screen.x / view.zoom, y: view.y + screen.y / view.zoom };
}

export function toScreen(view: Camera, point: Point): Point {
  return { x: (point.x - view.x) * view.zoom, y: (point.y - view.y) * view.zoom };
}

export function boxToScreen(view: Camera, box: Box): Box {
  const corner = toScreen(view, box);
  return { x: corner.x, y: corner.y, w: box.w * view.zoom, h: box.h * view.zoom };
}

/** The part of the canvas that a viewport of this size shows. */
export function visibleBox(view: Camera, size: Size): Box {
  return { x: view.x, y: view.y, w: size.width / view.zoom, h: size.height / view.zoom };
}

/** Move what is seen by (dx, dy) CSS pixels. */
export function panned(view: Camera, dx: number, dy: number): Camera {
  return camera(view.x - dx / view.zoom, view.y - dy / view.zoom, view.zoom);
}

/** Zoom so that the canvas point under `screen` stays where it is. */
export function zoomedAt(view: Camera, screen: Point, zoom: number): Camera {
  const fixed = toCanvas(view, screen);
  const next = Math.max(MIN_ZOOM, Math.min(MAX_ZOOM, zoom));
  return camera(fixed.x - screen.x / next, fixed.y - screen.y / next, next);
}

/** Two fingers went from `before` to `after`: both canvas points stay under them. */
export function pinched(
  view: Camera,
  before: readonly [Point, Point],
  after: readonly [Point, Point],
): Camera {
  const middle = (pair: readonly [Point, Point]) => ({
    x: (pair[0].x + pair[1].x) / 2,
    y: (pair[0].y + pair[1].y) / 2,
  });
  const from = middle(before);
  const to = middle(after);
  const spread = distance(before[0], before[1]);
  const factor = spread > 0 ? distance(after[0], after[1]) / spread : 1;
  return zoomedAt(panned(view, to.x - from.x, to.y - from.y), to, view.zoom * factor);
}

/** See all of `box`, centred in what the panels leave free, no larger than `maxZoom`. */
export function fitted(box: Box, size: Size, insets: Insets, maxZoom = 1): Camera {
  const width = Math.max(1, size.width - insets.left - insets.right);
  const height = Math.max(1, size.height - insets.top - insets.bottom);
  const zoom = Math.max(MIN_ZOOM, Math.min(maxZoom, width / box.w, height / box.h));
  const center = boxCenter(box);
  return camera(
    center.x - (insets.left + width / 2) / zoom,
    center.y - (insets.top + height / 2) / zoom,
    zoom,
  );
}

/** The same camera, moved by less than a device pixel so that tiles land on whole ones. */
export function snapped(view: Camera, pixelRatio: number): Camera {
  const scale = view.zoom * pixelRatio;
  return {
    x: Math.round(view.x * scale) / scale,
    y: Math.round(view.y * scale) / scale,
    zoom: view.zoom,
  };
}
