/** Other people's cursors with their names. */

import type { Peer } from "../sync/room-client";
import { type Camera, type Size, toScreen } from "./camera";

const MARGIN_PX = 24;
const FONT = '600 12px system-ui, -apple-system, "Segoe UI", sans-serif';

export function drawCursors(
  ctx: CanvasRenderingContext2D,
  view: Camera,
  size: Size,
  peers: Iterable<Peer>,
): void {
  for (const { cursor, name, color } of peers) {
    if (!cursor) continue;
    const { x, y } = toScreen(view, { x: cursor[0], y: cursor[1] });
    const isOutside =
      x < -MARGIN_PX || y < -MARGIN_PX || x > size.width + MARGIN_PX || y > size.height + MARGIN_PX;
    if (!isOutside) drawCursor(ctx, x, y, name, color);
  }
}

function drawCursor(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  name: string,
  color: string,
): void {
  ctx.save();
  ctx.translate(x, y);
  ctx.beginPath();
  ctx.moveTo(0, 0);
  ctx.lineTo(4.6, 15.2);
  ctx.lineTo(7.6, 8.6);
  ctx.lineTo(14.2, 5.6);
  ctx.closePath();
  ctx.lineJoin = "round";
  ctx.lineWidth = 2.5;
  ctx.strokeStyle = "#ffffff";
  ctx.stroke();
  ctx.fillStyle = color;
  ctx.fill();
  if (name) drawName(ctx, name, color);
  ctx.restore();
}

function drawName(ctx: CanvasRenderingContext2D, name: string, color: string): void {
  const shown = name.length > 24 ? `${name.slice(0, 23)}…` : name;
  ctx.font = FONT;
  const width = ctx.measureText(shown).width + 14;
  ctx.fillStyle = color;
  ctx.beginPath();
  ctx.roundRect(11, 15, width, 21, 7);
  ctx.fill();
  ctx.fillStyle = inkOn(color);
  ctx.textBaseline = "alphabetic";
  ctx.fillText(shown, 18, 30);
}

/** Black or white, whichever can be read on `color` (#rrggbb). */
export function inkOn(color: string): string {
  const value = Number.parseInt(color.slice(1), 16);
  const red = (value >> 16) & 255;
  const green = (value >> 8) & 255;
  const blue = value & 255;
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? "#1e1e1e" : "#ffffff";
}
