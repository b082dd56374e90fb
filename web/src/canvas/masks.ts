/** A frame's mask as people see it: translucent red with stripes, kept as pixels between strokes. */

import type { Frame, MaskStroke } from "../protocol/messages";
import { shapeOf } from "./outline";
import { type LiveInk, paintInk, type Surface } from "./paint";

const MAX_SIDE_PX = 1024;
const STRIPE_PX = 8;
/** Red on light pictures, white stripes on red ones: one of the two can always be seen. */
const TINT = "rgb(229 60 70 / 0.5)";
const STRIPE = "rgb(255 255 255 / 0.6)";

interface Entry {
  readonly canvas: HTMLCanvasElement;
  key: string;
  masks: readonly MaskStroke[];
}

export class MaskOverlay {
  readonly #entries = new Map<string, Entry>();
  #scratch: HTMLCanvasElement | null = null;

  /** Draw the mask of `frame` with strokes in progress on top; the context's units are canvas units. */
  draw(ctx: Surface, frame: Frame, masks: readonly MaskStroke[], live: readonly LiveInk[]): void {
    if (masks.length === 0 && live.length === 0) {
      this.#entries.delete(frame.id);
      return;
    }
    const done = this.#painted(frame, masks);
    const tinted = this.#tinted(frame, done, live);
    ctx.drawImage(tinted, frame.x, frame.y, frame.w, frame.h);
  }

  #painted(frame: Frame, masks: readonly MaskStroke[]): HTMLCanvasElement {
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(frame.w, frame.h));
    const width = Math.max(1, Math.round(frame.w * scale));
    const height = Math.max(1, Math.round(frame.h * scale));
    const key = `${frame.x},${frame.y},${frame.w},${frame.h}`;
    let entry = this.#entries.get(frame.id);
    if (!entry) {
      entry = { canvas: document.createElement("canvas"), key: "", masks: [] };
      this.#entries.set(frame.id, entry);
    }
    if (entry.key === key && sameItems(entry.masks, masks)) return entry.canvas;
    entry.key = key;
    entry.masks = masks;
    const ctx = cleared(entry.canvas, width, height);
    intoFrame(ctx, frame, entry.canvas);
    for (const mask of masks) paintMask(ctx, mask);
    return entry.canvas;
  }

  #tinted(frame: Frame, done: HTMLCanvasElement, live: readonly LiveInk[]): HTMLCanvasElement {
    this.#scratch ??= document.createElement("canvas");
    const ctx = cleared(this.#scratch, done.width, done.height);
    ctx.drawImage(done, 0, 0);
    intoFrame(ctx, frame, done);
    for (const ink of live) paintInk(ctx, { ...ink, color: "#000000", opacity: 1 });
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.globalCompositeOperation = "source-in";
    ctx.fillStyle = stripes(ctx);
    ctx.fillRect(0, 0, done.width, done.height);
    ctx.globalCompositeOperation = "source-over";
    return this.#scratch;
  }
}

function cleared(canvas: HTMLCanvasElement, width: number, height: number) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("this browser has no 2D canvas");
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

function intoFrame(ctx: CanvasRenderingContext2D, frame: Frame, canvas: HTMLCanvasElement): void {
  const across = canvas.width / frame.w;
  const down = canvas.height / frame.h;
  ctx.setTransform(across, 0, 0, down, -frame.x * across, -frame.y * down);
}

function paintMask(ctx: CanvasRenderingContext2D, mask: MaskStroke): void {
  ctx.save();
  ctx.translate(mask.x, mask.y);
  ctx.globalCompositeOperation = mask.erase ? "destination-out" : "source-over";
  ctx.fillStyle = "#000000";
  ctx.fill(shapeOf(mask).path, "nonzero");
  ctx.restore();
}

function stripes(ctx: CanvasRenderingContext2D): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = STRIPE_PX;
  tile.height = STRIPE_PX;
  const pen = tile.getContext("2d");
  if (!pen) return TINT;
  pen.fillStyle = TINT;
  pen.fillRect(0, 0, STRIPE_PX, STRIPE_PX);
  pen.strokeStyle = STRIPE;
  pen.lineWidth = 1.75;
  pen.beginPath();
  for (const shift of [-STRIPE_PX, 0, STRIPE_PX]) {
    pen.moveTo(shift - 1, STRIPE_PX + 1);
    pen.lineTo(shift + STRIPE_PX + 1, -1);
  }
  pen.stroke();
  return ctx.createPattern(tile, "repeat") ?? TINT;
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
