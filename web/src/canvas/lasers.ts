/** Trails of laser pointers, one's own and others', which fade behind them. Knows no clock. */

import { type Camera, toScreen } from "./camera";
import type { Point } from "./geometry";

const FADE_MS = 900;
const WIDTH_PX = 6;

interface Trail {
  color: string;
  readonly spots: { readonly at: Point; readonly ms: number }[];
}

export class Lasers {
  readonly #trails = new Map<string, Trail>();

  /** Somebody points here now; null: nowhere, and what they pointed at before fades. */
  point(who: string, color: string, at: Point | null, ms: number): void {
    if (at === null) return;
    const trail = this.#trails.get(who) ?? { color, spots: [] };
    trail.color = color;
    const last = trail.spots.at(-1);
    if (last?.at.x === at.x && last.at.y === at.y) return;
    trail.spots.push({ at, ms });
    this.#trails.set(who, trail);
  }

  /** How many spots haven't faded yet. */
  get numSpots(): number {
    return [...this.#trails.values()].reduce((sum, { spots }) => sum + spots.length, 0);
  }

  /** Forget what has faded; true while something is left that will. */
  fade(ms: number): boolean {
    for (const [who, { spots }] of this.#trails) {
      while (spots[0] !== undefined && ms - spots[0].ms >= FADE_MS) spots.shift();
      if (spots.length === 0) this.#trails.delete(who);
    }
    return this.#trails.size > 0;
  }

  draw(ctx: CanvasRenderingContext2D, view: Camera, ms: number): void {
    ctx.save();
    ctx.lineCap = "round";
    for (const { color, spots } of this.#trails.values()) {
      ctx.strokeStyle = color;
      ctx.shadowColor = color;
      ctx.shadowBlur = 8;
      for (const [index, { at, ms: born }] of spots.entries()) {
        const fresh = 1 - (ms - born) / FADE_MS;
        const from = toScreen(view, spots[index - 1]?.at ?? at);
        const to = toScreen(view, at);
        ctx.globalAlpha = fresh;
        ctx.lineWidth = 1 + (WIDTH_PX - 1) * fresh;
        ctx.beginPath();
        ctx.moveTo(from.x, from.y);
        ctx.lineTo(to.x, to.y);
        ctx.stroke();
      }
    }
    ctx.restore();
  }
}
