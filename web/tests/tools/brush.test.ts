import { expect, test } from "vitest";
import { decodePoints } from "../../src/protocol/strokes";
import { dragged, fakeBench, sample } from "../../src/testing/fake-bench";
import { frame, mask } from "../../src/testing/records";
import { InkTool } from "../../src/tools/brush";

const path = [
  [10, 10],
  [20.3, 14.1],
  [40, 30],
] as const;

test("a press, moves and a release put one stroke with the brush's settings", () => {
  const bench = fakeBench();
  bench.desk.brush = { color: "#e5484d", size: 12, opacity: 0.5 };
  dragged(bench, new InkTool(bench, "brush"), path);
  const [record] = [...bench.room.records.values()];
  expect(record).toMatchObject({
    type: "stroke",
    color: "#e5484d",
    size: 12,
    opacity: 0.5,
    erase: false,
    pen: false,
    layer: null,
  });
  expect(bench.room.ops).toHaveLength(1);
  expect(bench.desk.ink).toBeNull();
});

test("U1 the ink in progress has exactly the points that are kept", () => {
  const bench = fakeBench();
  const tool = new InkTool(bench, "brush");
  tool.down(sample(bench, 10.123, 10.987));
  tool.move([sample(bench, 17.77, 22.222), sample(bench, 23.456, 31.9)]);
  const shown = bench.desk.ink;
  tool.up();
  const [record] = [...bench.room.records.values()];
  expect(record?.type === "stroke" && decodePoints(record.points)).toEqual(shown?.points);
  expect(record?.id).toBe(shown?.id);
});

test("others are sent the ink with the id that the stroke will have", () => {
  const bench = fakeBench();
  dragged(bench, new InkTool(bench, "brush"), path);
  const [id] = [...bench.room.records.keys()];
  expect(new Set(bench.room.sentInk.map(({ stroke }) => stroke))).toEqual(new Set([id]));
  expect(bench.room.sentInk.at(-1)?.count).toBe(3);
});

test("a pen's pressure is kept, and a click leaves a dot", () => {
  const bench = fakeBench();
  dragged(bench, new InkTool(bench, "brush"), [[5, 5]], { pen: true, pressure: 0.8 });
  const [record] = [...bench.room.records.values()];
  expect(record).toMatchObject({ pen: true });
  expect(record?.type === "stroke" && decodePoints(record.points)[0]?.[2]).toBeCloseTo(0.8, 2);
});

test("an eraser is a stroke of its own size that erases", () => {
  const bench = fakeBench();
  dragged(bench, new InkTool(bench, "eraser"), path);
  const [record] = [...bench.room.records.values()];
  expect(record).toMatchObject({ type: "stroke", erase: true, size: bench.desk.eraserSize });
});

test("each stroke lies above all that were there", () => {
  const bench = fakeBench();
  const tool = new InkTool(bench, "brush");
  for (let i = 0; i < 5; i++) dragged(bench, tool, path);
  const order = bench.view.scene.layer(null).items.map(({ id }) => id);
  expect(order).toEqual([...bench.room.records.keys()]);
});

test("a stroke that is given up leaves nothing, and others are told", () => {
  const bench = fakeBench();
  const tool = new InkTool(bench, "brush");
  tool.down(sample(bench, 0, 0));
  tool.move([sample(bench, 9, 9)]);
  tool.cancel();
  tool.up();
  expect(bench.room.ops).toEqual([]);
  expect(bench.room.abandoned).toHaveLength(1);
  expect(bench.desk.ink).toBeNull();
});

test("a very long stroke goes on as another one that begins where it ends", () => {
  const bench = fakeBench();
  const tool = new InkTool(bench, "brush");
  tool.down(sample(bench, 0, 0));
  const far = Array.from({ length: 8_001 }, (_, i) => sample(bench, i + 1, 0));
  tool.move(far);
  tool.move([sample(bench, 9_000, 50)]);
  tool.up();
  const kept = [...bench.room.records.values()].flatMap((record) =>
    record.type === "stroke" ? [decodePoints(record.points)] : [],
  );
  expect(kept).toHaveLength(2);
  expect(kept[1]?.[0]?.slice(0, 2)).toEqual(kept[0]?.at(-1)?.slice(0, 2));
});

test("U11 a mask stroke belongs to the frame it begins in, which becomes the selected one", () => {
  const bench = fakeBench(frame("f"), frame("other", { x: 2000 }));
  bench.desk.select(["other"]);
  dragged(bench, new InkTool(bench, "mask"), path);
  expect([...bench.desk.selection]).toEqual(["f"]);
  const [record] = bench.view.gallery.masksOf("f");
  expect(record).toMatchObject({ frame: "f", erase: false, size: bench.desk.maskSize });
});

test("U11 a mask can be erased, by a stroke above the others", () => {
  const bench = fakeBench(frame("f"), mask("m", "f", path));
  bench.desk.erasesMask = true;
  dragged(bench, new InkTool(bench, "mask"), path);
  const masks = bench.view.gallery.masksOf("f");
  expect(masks.map(({ erase }) => erase)).toEqual([false, true]);
});

test("U11 without a frame there is no mask: the person is told so", () => {
  const bench = fakeBench();
  dragged(bench, new InkTool(bench, "mask"), path);
  expect(bench.room.ops).toEqual([]);
  expect(bench.told).toEqual(["pickFrameFirst"]);
});
