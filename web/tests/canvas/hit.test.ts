import { expect, test } from "vitest";
import {
  frameEdgeAt,
  handleAt,
  hitsPainted,
  paintedAt,
  recordsIn,
  withErasers,
} from "../../src/canvas/hit";
import { Scene } from "../../src/canvas/scene";
import type { RoomRecord } from "../../src/protocol/messages";
import { frame, image, stroke } from "../../src/testing/records";

function sceneOf(...records: RoomRecord[]): Scene {
  return new Scene(new Map(records.map((record) => [record.id, record])));
}

const line = [
  [0, 0],
  [100, 0],
] as const;

test("a stroke is hit near its line, not anywhere in its bounds", () => {
  const bent = stroke("a", [
    [0, 0],
    [100, 0],
    [100, 100],
  ]);
  expect(hitsPainted(bent, { x: 50, y: 4 }, 0)).toBe(true);
  expect(hitsPainted(bent, { x: 30, y: 70 }, 5)).toBe(false);
  expect(hitsPainted(bent, { x: 50, y: 9 }, 5)).toBe(true);
});

test("a moved stroke is hit where it was moved to", () => {
  const moved = stroke("a", line, { x: 0, y: 300 });
  expect(hitsPainted(moved, { x: 50, y: 300 }, 0)).toBe(true);
  expect(hitsPainted(moved, { x: 50, y: 0 }, 0)).toBe(false);
});

test("the topmost is hit first, and an eraser never", () => {
  const scene = sceneOf(
    image("low", { z: "a0" }),
    stroke("top", line, { z: "a1" }),
    stroke("eraser", line, { z: "a2", erase: true }),
  );
  expect(paintedAt(scene, { x: 50, y: 1 }, 1)?.id).toBe("top");
  expect(paintedAt(scene, { x: 50, y: 40 }, 1)?.id).toBe("low");
});

test("a marquee takes strokes that it touches and frames that lie in it whole", () => {
  const scene = sceneOf(stroke("a", line), stroke("far", line, { y: 500 }));
  const frames = [frame("in", { x: 20, y: 20, w: 64, h: 64 }), frame("out")];
  expect(recordsIn(scene, frames, { x: -10, y: -10, w: 200, h: 200 })).toEqual(["a", "in"]);
});

test("a frame is taken by its edge and by its name", () => {
  const frames = [frame("f", { x: 0, y: 0, w: 200, h: 200 })];
  expect(frameEdgeAt(frames, { x: 3, y: 90 }, 1)?.id).toBe("f");
  expect(frameEdgeAt(frames, { x: 40, y: -12 }, 1)?.id).toBe("f");
  expect(frameEdgeAt(frames, { x: 100, y: 100 }, 1)).toBeNull();
});

test("a handle can be taken from as near on the screen at every zoom", () => {
  const box = { x: 0, y: 0, w: 100, h: 100 };
  expect(handleAt(box, { x: 108, y: 100 }, 1)).toBe("se");
  expect(handleAt(box, { x: 108, y: 100 }, 4)).toBeNull();
});

test("U12 an eraser goes along with what it erased, if all of that goes", () => {
  const scene = sceneOf(
    stroke("a", line, { z: "a0" }),
    stroke("b", line, { z: "a1", x: 60 }),
    stroke("eraser of a", [[10, 0]], { z: "a2", erase: true }),
    stroke("eraser of both", [[80, 0]], { z: "a3", erase: true }),
  );
  expect([...withErasers(scene, new Set(["a"]))]).toEqual(["a", "eraser of a"]);
  expect(withErasers(scene, new Set(["a", "b"])).size).toBe(4);
});
