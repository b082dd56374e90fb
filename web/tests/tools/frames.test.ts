import { expect, test } from "vitest";
import { dragged, fakeBench } from "../../src/testing/fake-bench";
import { ASPECTS, type Aspect } from "../../src/tools/desk";
import { FrameTool, usualSize } from "../../src/tools/frames";

test("U10 a click places a frame of the usual size around the pointer and asks for its prompt", () => {
  const bench = fakeBench();
  dragged(bench, new FrameTool(bench), [[1000, 500]]);
  const [record] = [...bench.room.records.values()];
  expect(record).toMatchObject({ type: "frame", x: 744, y: 244, w: 512, h: 512, steps: 20 });
  expect(bench.framedIds).toEqual([record?.id]);
  expect([...bench.desk.selection]).toEqual([record?.id]);
  expect(bench.desk.tool).toBe("select");
});

test("U10 a drag places a frame of its own size, in steps of 16, from where it began", () => {
  const bench = fakeBench();
  dragged(bench, new FrameTool(bench), [
    [500, 500],
    [480, 490],
    [201, 333],
  ]);
  const [record] = [...bench.room.records.values()];
  expect(record).toMatchObject({ x: 196, y: 340, w: 304, h: 160 });
  expect(bench.desk.draft).toBeNull();
});

test("U10 with shift a dragged frame is square", () => {
  const bench = fakeBench();
  const to = [
    [0, 0],
    [320, 100],
  ] as const;
  dragged(bench, new FrameTool(bench), to, { shift: true });
  expect([...bench.room.records.values()][0]).toMatchObject({ w: 320, h: 320 });
});

test("every shape has about the same area and its own ratio", () => {
  for (const aspect of Object.keys(ASPECTS) as Aspect[]) {
    const { w, h } = usualSize(aspect);
    expect(Math.abs(w / h - ASPECTS[aspect])).toBeLessThan(0.05);
    expect(Math.abs(w * h - 512 * 512)).toBeLessThan(20_000);
  }
});
