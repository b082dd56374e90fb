/**
 * One layer's pixels, kept in square tiles so that panning draws pictures and not strokes.
 *
 * A level is a scale of half a power of two; tiles of the level that is looked at are painted
 * a little per frame, and until they are there, tiles of other levels stand in for them. Knows
 * nothing of records: what is in a tile is painted by a function it is given.
 */

import type { Camera } from "./camera";
import { type Box, boxesIntersect } from "./geometry";
import type { Surface } from "./paint";

export const TILE_PX = 512;
const MAX_TILES = 320;

export interface Tile {
  readonly level: number;
  readonly column: number;
  readonly row: number;
}

/** The smallest level that isn't blurred at `scale` device pixels per canvas unit. */
export function levelFor(scale: number): number {
  return Math.ceil(2 * Math.log2(scale) - 1e-9);
}

export function levelScale(level: number): number {
  return 2 ** (level / 2);
}

export function tileBox({ level, column, row }: Tile): Box {
  const side = TILE_PX / levelScale(level);
  return { x: column * side, y: row * side, w: side, h: side };
}

export function tilesIn(box: Box, level: number): Tile[] {
  const side = TILE_PX / levelScale(level);
  const tiles: Tile[] = [];
  const lastRow = Math.ceil((box.y + box.h) / side) - 1;
  const lastColumn = Math.ceil((box.x + box.w) / side) - 1;
  for (let row = Math.floor(box.y / side); row <= lastRow; row++) {
    for (let column = Math.floor(box.x / side); column <= lastColumn; column++) {
      tiles.push({ level, column, row });
    }
  }
  return tiles;
}

export interface TileSurface {
  readonly image: CanvasImageSource;
  readonly ctx: Surface;
}

/** Paints what lies in `box`, a bit between two yields; returns at once if nothing does. */
export type TilePainter = (ctx: () => Surface, box: Box) => Generator<void, void, void>;

interface Entry {
  readonly tile: Tile;
  readonly box: Box;
  /** null: painted, and found empty. */
  surface: TileSurface | null;
  painted: boolean;
  stale: boolean;
  usedAt: number;
}

interface Work {
  readonly entry: Entry;
  readonly steps: Generator<void, void, void>;
  surface: TileSurface | null;
}

export class TileCache {
  readonly #entries = new Map<string, Entry>();
  readonly #paint: TilePainter;
  readonly #createSurface: () => TileSurface;
  #work: Work | null = null;
  #level = 0;
  #wanted: Entry[] = [];
  #frame = 0;

  constructor(paint: TilePainter, createSurface: () => TileSurface) {
    this.#paint = paint;
    this.#createSurface = createSurface;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Something in `box` changed: its tiles are painted again when they are next seen. */
  invalidate(box: Box): void {
    for (const [key, entry] of this.#entries) {
      if (!boxesIntersect(entry.box, box)) continue;
      if (entry.tile.level !== this.#level) this.#entries.delete(key);
      else entry.stale = true;
      if (this.#work?.entry === entry) this.#work = null;
    }
  }

  /** Something was added on top: `paint` draws it onto the tiles that are there. */
  append(box: Box, paint: (ctx: Surface) => void): void {
    for (const [key, entry] of this.#entries) {
      if (!boxesIntersect(entry.box, box)) continue;
      if (entry.tile.level !== this.#level) this.#entries.delete(key);
      else if (entry.painted) {
        entry.surface ??= this.#surfaceFor(entry);
        paint(entry.surface.ctx);
      }
      if (this.#work?.entry === entry) this.#work = null;
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#work = null;
  }

  /** Say what is looked at; `work` then paints what is missing of it, nearest the middle first. */
  look(box: Box, scale: number): void {
    this.#frame++;
    this.#level = levelFor(scale);
    const entries = tilesIn(box, this.#level).map((tile) => this.#entry(tile));
    for (const entry of entries) entry.usedAt = this.#frame;
    const middle = { x: box.x + box.w / 2, y: box.y + box.h / 2 };
    const far = ({ box: { x, y, w } }: Entry) =>
      Math.hypot(x + w / 2 - middle.x, y + w / 2 - middle.y);
    this.#wanted = entries
      .filter((entry) => entry.stale || !entry.painted)
      .sort((a, b) => far(a) - far(b));
    if (this.#work && !this.#wanted.includes(this.#work.entry)) this.#work = null;
    this.#evict();
  }

  /** Paint until `isTimeUp`; true when nothing is left to do. */
  work(isTimeUp: () => boolean): boolean {
    for (;;) {
      this.#work ??= this.#nextWork();
      if (!this.#work) return true;
      const { entry, steps } = this.#work;
      if (steps.next().done) {
        entry.surface = this.#work.surface;
        entry.painted = true;
        entry.stale = false;
        this.#work = null;
      }
      if (isTimeUp()) return this.#work === null && this.#nextWork() === null;
    }
  }

  /** Draw what is there. The context's units are device pixels. */
  draw(ctx: Surface, view: Camera, pixelRatio: number, box: Box): void {
    const scale = view.zoom * pixelRatio;
    const tiles = tilesIn(box, this.#level);
    const missing = tiles.filter((tile) => !this.#entries.get(keyOf(tile))?.painted);
    if (missing.length > 0) this.#drawStandIns(ctx, view, scale, missing);
    for (const tile of tiles) {
      const entry = this.#entries.get(keyOf(tile));
      if (entry?.surface) drawTile(ctx, view, scale, entry.box, entry.surface);
    }
  }

  #drawStandIns(ctx: Surface, view: Camera, scale: number, missing: readonly Tile[]): void {
    const boxes = missing.map(tileBox);
    ctx.save();
    ctx.beginPath();
    for (const box of boxes) {
      const edge = deviceEdges(view, scale, box);
      ctx.rect(edge.x, edge.y, edge.w, edge.h);
    }
    ctx.clip();
    const level = this.#standInLevel(boxes);
    for (const entry of this.#entries.values()) {
      if (entry.tile.level !== level || !entry.surface) continue;
      if (boxes.some((box) => boxesIntersect(box, entry.box))) {
        drawTile(ctx, view, scale, entry.box, entry.surface);
      }
    }
    ctx.restore();
  }

  /** One level only: tiles of two levels over each other would double what is half transparent. */
  #standInLevel(boxes: readonly Box[]): number | null {
    let latest: Entry | null = null;
    for (const entry of this.#entries.values()) {
      if (entry.tile.level === this.#level || !entry.surface) continue;
      if (latest && entry.usedAt <= latest.usedAt) continue;
      if (boxes.some((box) => boxesIntersect(box, entry.box))) latest = entry;
    }
    return latest?.tile.level ?? null;
  }

  #entry(tile: Tile): Entry {
    const key = keyOf(tile);
    let entry = this.#entries.get(key);
    if (!entry) {
      const box = tileBox(tile);
      entry = { tile, box, surface: null, painted: false, stale: false, usedAt: this.#frame };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  #nextWork(): Work | null {
    const entry = this.#wanted.find(({ stale, painted }) => stale || !painted);
    if (!entry) return null;
    const work: Work = {
      entry,
      surface: null,
      steps: this.#paint(() => {
        work.surface ??= this.#surfaceFor(entry);
        return work.surface.ctx;
      }, entry.box),
    };
    return work;
  }

  #surfaceFor({ tile, box }: Entry): TileSurface {
    const surface = this.#createSurface();
    const scale = levelScale(tile.level);
    surface.ctx.setTransform(scale, 0, 0, scale, -box.x * scale, -box.y * scale);
    return surface;
  }

  #evict(): void {
    if (this.#entries.size <= MAX_TILES) return;
    const oldest = [...this.#entries].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key, entry] of oldest.slice(0, this.#entries.size - MAX_TILES)) {
      if (entry.usedAt < this.#frame) this.#entries.delete(key);
    }
  }
}

function keyOf({ level, column, row }: Tile): string {
  return `${level}:${column}:${row}`;
}

/** Rounded by edges, not by sizes, so that neighbours meet without a seam. */
function deviceEdges(view: Camera, scale: number, box: Box): Box {
  const x = Math.round((box.x - view.x) * scale);
  const y = Math.round((box.y - view.y) * scale);
  return {
    x,
    y,
    w: Math.round((box.x + box.w - view.x) * scale) - x,
    h: Math.round((box.y + box.h - view.y) * scale) - y,
  };
}

function drawTile(ctx: Surface, view: Camera, scale: number, box: Box, surface: TileSurface): void {
  const edge = deviceEdges(view, scale, box);
  ctx.drawImage(surface.image, edge.x, edge.y, edge.w, edge.h);
}
