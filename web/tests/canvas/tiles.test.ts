import { beforeEach, expect, test } from "vitest";
import { camera } from "../../src/canvas/camera";
import type { Box } from "../../src/canvas/geometry";
import type { Surface } from "../../src/canvas/paint";
import {
  levelFor,
  levelScale,
  TILE_PX,
  TileCache,
  type TileSurface,
  tileBox,
  tilesIn,
} from "../../src/canvas/tiles";

/** What was painted where, and what was drawn. */
interface Log {
  painted: Box[];
  drawn: unknown[];
}

let log: Log;
let steps: number;
const never = () => false;
const seen = { x: 0, y: 0, w: 1000, h: 1000 };

function surface(): TileSurface {
  const ctx = { setTransform: () => {} } as unknown as Surface;
  return { image: {} as CanvasImageSource, ctx };
}

function cache(): TileCache {
  return new TileCache(function* (ctx, box) {
    log.painted.push(box);
    ctx();
    for (let i = 1; i < steps; i++) yield;
  }, surface);
}

function screen(): Surface {
  const drawImage = (image: unknown) => log.drawn.push(image);
  const nothing = () => {};
  const rest = {
    save: nothing,
    restore: nothing,
    beginPath: nothing,
    rect: nothing,
    clip: nothing,
  };
  return { drawImage, ...rest } as unknown as Surface;
}

beforeEach(() => {
  log = { painted: [], drawn: [] };
  steps = 1;
});

test("a level is never blurred and at most half a power of two too fine", () => {
  for (const scale of [0.02, 0.5, 0.99, 1, 1.01, 1.4, 2, 3.7, 64]) {
    const used = levelScale(levelFor(scale));
    expect(used).toBeGreaterThanOrEqual(scale - 1e-9);
    expect(used).toBeLessThan(scale * Math.SQRT2 + 1e-9);
  }
  expect(levelScale(levelFor(1))).toBe(1);
});

test("the tiles of a box cover it and don't overlap", () => {
  const tiles = tilesIn({ x: -10, y: 500, w: 600, h: 30 }, 0);
  expect(tiles.map(({ column, row }) => [column, row])).toEqual([
    [-1, 0],
    [0, 0],
    [1, 0],
    [-1, 1],
    [0, 1],
    [1, 1],
  ]);
  expect(tileBox({ level: 2, column: 1, row: 0 })).toEqual({ x: 256, y: 0, w: 256, h: 256 });
});

test("U4 only the tiles that a change touches are painted again", () => {
  const tiles = cache();
  tiles.look(seen, 1);
  expect(tiles.work(never)).toBe(true);
  expect(log.painted).toHaveLength(4);
  log.painted = [];

  tiles.invalidate({ x: 600, y: 100, w: 50, h: 50 });
  tiles.look(seen, 1);
  tiles.work(never);

  expect(log.painted).toEqual([{ x: 512, y: 0, w: TILE_PX, h: TILE_PX }]);
});

test("U4 what is added on top is drawn onto the tiles that are there, without painting them again", () => {
  const tiles = cache();
  tiles.look(seen, 1);
  tiles.work(never);
  log.painted = [];
  let added = 0;

  tiles.append({ x: 500, y: 10, w: 30, h: 10 }, () => added++);
  tiles.look(seen, 1);

  expect(tiles.work(never)).toBe(true);
  expect(added).toBe(2);
  expect(log.painted).toEqual([]);
});

test("U5 work stops when the time is up and goes on in the next frame", () => {
  steps = 3;
  const tiles = cache();
  tiles.look(seen, 1);
  expect(tiles.work(() => true)).toBe(false);
  expect(log.painted).toHaveLength(1);
  let frames = 1;
  while (!tiles.work(() => true)) {
    frames++;
    tiles.look(seen, 1);
  }
  expect(frames).toBeGreaterThan(8);
  expect(log.painted).toHaveLength(4);
});

test("a change during the painting of a tile starts it again", () => {
  steps = 3;
  const tiles = cache();
  tiles.look({ x: 0, y: 0, w: 100, h: 100 }, 1);
  tiles.work(() => true);
  tiles.invalidate({ x: 5, y: 5, w: 1, h: 1 });
  tiles.work(never);
  expect(log.painted).toHaveLength(2);
});

test("U5 until a tile is painted, those of one other level stand in for it", () => {
  const tiles = cache();
  tiles.look(seen, 1);
  tiles.work(never);
  tiles.look(seen, 2);
  tiles.draw(screen(), camera(0, 0, 2), 1, { x: 0, y: 0, w: 400, h: 400 });
  expect(log.drawn).toHaveLength(1);
});

test("tiles out of view are dropped, the oldest first, and those in view never", () => {
  const tiles = cache();
  for (let i = 0; i < 200; i++) {
    tiles.look({ x: i * 1024, y: 0, w: 1024, h: 1024 }, 1);
    tiles.work(never);
  }
  expect(tiles.size).toBeLessThanOrEqual(320);
});
