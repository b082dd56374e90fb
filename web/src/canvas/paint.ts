/** Draws records into a context whose units are canvas units. One way to draw for all callers. */

import type { ImageRecord } from "../protocol/messages";
import { type Box, boxesIntersect } from "./geometry";
import { type InkPoint, outlinePath, shapeOf } from "./outline";
import { boundsOf, type Painted } from "./scene";

export type Surface = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** Decoded pictures by blob; null while one isn't there yet. */
export interface Pictures {
  get(blob: string): CanvasImageSource | null;
}

/** A stroke as it is being drawn, not yet a record. */
export interface LiveInk {
  readonly id: string;
  readonly points: readonly InkPoint[];
  readonly size: number;
  readonly color: string;
  readonly opacity: number;
  readonly erase: boolean;
  readonly pen: boolean;
}

const PLACEHOLDER = "rgb(128 128 128 / 0.12)";

export function itemsIn(items: readonly Painted[], box: Box): Painted[] {
  return items.filter((item) => boxesIntersect(boundsOf(item), box));
}

export function paintItem(ctx: Surface, item: Painted, pictures: Pictures): void {
  if (item.type === "image") paintImage(ctx, item, pictures);
  else {
    ctx.save();
    ctx.translate(item.x, item.y);
    fillInk(ctx, shapeOf(item).path, item);
    ctx.restore();
  }
}

export function paintInk(ctx: Surface, ink: LiveInk): void {
  ctx.save();
  fillInk(ctx, outlinePath(ink.points, ink.size, ink.pen), ink);
  ctx.restore();
}

function fillInk(
  ctx: Surface,
  path: Path2D,
  style: { readonly erase: boolean; readonly opacity: number; readonly color: string },
): void {
  ctx.globalCompositeOperation = style.erase ? "destination-out" : "source-over";
  ctx.globalAlpha = style.opacity;
  ctx.fillStyle = style.color;
  ctx.fill(path, "nonzero");
}

function paintImage(ctx: Surface, image: ImageRecord, pictures: Pictures): void {
  const picture = pictures.get(image.blob);
  ctx.save();
  ctx.globalAlpha = image.opacity;
  ctx.imageSmoothingQuality = "high";
  if (picture) ctx.drawImage(picture, image.x, image.y, image.w, image.h);
  else {
    ctx.fillStyle = PLACEHOLDER;
    ctx.fillRect(image.x, image.y, image.w, image.h);
  }
  ctx.restore();
}
