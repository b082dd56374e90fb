import { expect, test } from "vitest";
import { dragged, fakeBench, sample } from "../../src/testing/fake-bench";
import { candidate, frame, image, mask, note, stroke } from "../../src/testing/records";
import { deleteSelection, SelectTool } from "../../src/tools/select";

const line = [
  [0, 0],
  [100, 0],
] as const;

test("a click selects what is under it, and a click on nothing selects nothing", () => {
  const bench = fakeBench(stroke("a", line), stroke("b", line, { y: 100 }));
  const tool = new SelectTool(bench);
  dragged(bench, tool, [[50, 100]]);
  expect([...bench.desk.selection]).toEqual(["b"]);
  dragged(bench, tool, [[500, 500]]);
  expect(bench.desk.selection.size).toBe(0);
  expect(bench.room.ops).toEqual([]);
});

test("with shift a click adds to the selection or takes from it", () => {
  const bench = fakeBench(stroke("a", line), stroke("b", line, { y: 100 }));
  const tool = new SelectTool(bench);
  dragged(bench, tool, [[50, 0]]);
  dragged(bench, tool, [[50, 100]], { shift: true });
  expect([...bench.desk.selection]).toEqual(["a", "b"]);
  dragged(bench, tool, [[50, 0]], { shift: true });
  expect([...bench.desk.selection]).toEqual(["b"]);
});

test("a drag over nothing selects what it touches", () => {
  const bench = fakeBench(stroke("a", line), stroke("b", line, { y: 100 }));
  const places = [
    [-50, -50],
    [20, 20],
    [30, 50],
  ] as const;
  dragged(bench, new SelectTool(bench), places);
  expect([...bench.desk.selection]).toEqual(["a"]);
  expect(bench.desk.marquee).toBeNull();
});

test("T6 a drag over nothing selects the notes that it touches, and all are moved together", () => {
  const far = note("far", { x: 900 });
  const bench = fakeBench(stroke("a", line), note("n", { x: 50, y: 60 }), far);
  const tool = new SelectTool(bench);
  const places = [
    [-50, -50],
    [20, 20],
    [60, 70],
  ] as const;
  dragged(bench, tool, places);
  expect([...bench.desk.selection]).toEqual(["a", "n"]);
  const moves = [
    [50, 0],
    [55, 5],
    [60, 10],
  ] as const;
  dragged(bench, tool, moves);
  expect(bench.room.ops).toEqual([
    [
      { c: "patch", id: "a", fields: { x: 10, y: 10 } },
      { c: "patch", id: "n", fields: { x: 60, y: 70 } },
    ],
  ]);
});

test("T6 what is selected with a note goes along with it", () => {
  const bench = fakeBench(stroke("a", line), note("n"));
  bench.desk.select(["a", "n"]);
  const tool = new SelectTool(bench);
  tool.carry({ x: 3, y: 4 });
  tool.carry({ x: 30, y: 40 });
  expect(bench.view.scene.isLifted("a")).toBe(true);
  tool.putDown();
  expect(bench.room.ops).toEqual([
    [
      { c: "patch", id: "a", fields: { x: 30, y: 40 } },
      { c: "patch", id: "n", fields: { x: 30, y: 40 } },
    ],
  ]);
  expect(bench.desk.drag).toBeNull();
  expect(bench.view.scene.isLifted("a")).toBe(false);
  tool.putDown();
  expect(bench.room.ops).toHaveLength(1);
});

test("dragging a selected thing moves all that is selected, in one op", () => {
  const bench = fakeBench(stroke("a", line), image("b", { x: 300, y: 300 }), stroke("c", line));
  bench.desk.select(["a", "b"]);
  const tool = new SelectTool(bench);
  tool.down(sample(bench, 350, 320));
  tool.move([sample(bench, 360, 330)]);
  expect(bench.desk.drag).toEqual({ x: 10, y: 10 });
  expect(bench.view.scene.isLifted("a")).toBe(true);
  tool.up(sample(bench, 360, 330));
  expect(bench.room.ops).toEqual([
    [
      { c: "patch", id: "a", fields: { x: 10, y: 10 } },
      { c: "patch", id: "b", fields: { x: 310, y: 310 } },
    ],
  ]);
  expect(bench.view.scene.isLifted("a")).toBe(false);
  expect(bench.desk.drag).toBeNull();
});

test("U12 a frame takes its mask along when it is moved", () => {
  const bench = fakeBench(frame("f"), mask("m", "f", line));
  const places = [
    [0, 200],
    [5, 210],
    [8, 216],
  ] as const;
  dragged(bench, new SelectTool(bench), places);
  expect(bench.room.records.get("f")).toMatchObject({ x: 8, y: 16 });
  expect(bench.room.records.get("m")).toMatchObject({ x: 8, y: 16 });
});

test("U12 a frame takes its mask along when it is deleted, in one op", () => {
  const bench = fakeBench(frame("f"), mask("m", "f", line));
  bench.desk.select(["f"]);
  deleteSelection(bench);
  expect(bench.room.records.size).toBe(0);
  expect(bench.room.ops).toHaveLength(1);
  expect(bench.desk.selection.size).toBe(0);
});

test("U16 an image keeps its ratio when a handle is dragged", () => {
  const bench = fakeBench(image("a", { x: 0, y: 0, w: 100, h: 50 }));
  bench.desk.select(["a"]);
  const places = [
    [100, 50],
    [150, 60],
    [300, 60],
  ] as const;
  dragged(bench, new SelectTool(bench), places);
  expect(bench.room.records.get("a")).toMatchObject({ x: 0, y: 0, w: 300, h: 150 });
});

test("U16 the corner across from the handle stays where it is", () => {
  const bench = fakeBench(image("a", { x: 0, y: 0, w: 100, h: 50 }));
  bench.desk.select(["a"]);
  const places = [
    [0, 0],
    [-50, 0],
    [-100, -10],
  ] as const;
  dragged(bench, new SelectTool(bench), places);
  expect(bench.room.records.get("a")).toMatchObject({ x: -100, y: -50, w: 200, h: 100 });
});

test("a frame that shows a picture is selected by a click on it", () => {
  const bench = fakeBench(frame("f"), stroke("under", line, { y: 100 }), candidate("c", "j"));
  dragged(bench, new SelectTool(bench), [[50, 100]]);
  expect([...bench.desk.selection]).toEqual(["f"]);
});

test("what is being dragged goes back when the drag is given up", () => {
  const bench = fakeBench(stroke("a", line));
  const tool = new SelectTool(bench);
  tool.down(sample(bench, 50, 0));
  tool.move([sample(bench, 90, 90)]);
  tool.cancel();
  expect(bench.room.ops).toEqual([]);
  expect(bench.view.scene.isLifted("a")).toBe(false);
});
