import { expect, test } from "vitest";
import type { Change, Layer, RoomRecord } from "../../src/protocol/messages";
import { applyChange } from "../../src/sync/changes";
import { recordOf } from "../../src/sync/work";
import { dragged, fakeBench } from "../../src/testing/fake-bench";
import { image, stroke } from "../../src/testing/records";
import { InkTool } from "../../src/tools/brush";
import { deletedLayer, layersIn, movedLayer, newLayer } from "../../src/tools/layers";

function layer(id: string, z: string, fields: Partial<Layer> = {}): Layer {
  return { type: "layer", id, by: "", z, name: "", visible: true, opacity: 1, ...fields };
}

function room(...records: RoomRecord[]): Map<string, RoomRecord> {
  return new Map(records.map((record) => [record.id, record]));
}

function after(records: Map<string, RoomRecord>, changes: readonly Change[]): string[] {
  for (const change of changes) {
    const id = recordOf(change);
    const next = applyChange(records.get(id), change);
    if (next) records.set(id, next);
    else records.delete(id);
  }
  return layersIn(records).map(({ id }) => id);
}

test("U20 a new layer lies over all others", () => {
  const records = room(layer("a", "a0"), layer("b", "Zz"));
  expect(after(records, [{ c: "put", record: newLayer(records, "new", "Sky") }])).toEqual([
    "b",
    "a",
    "new",
  ]);
});

test("U20 a layer is moved one up or down by a change of its own alone", () => {
  const records = room(layer("a", "a0"), layer("b", "a1"), layer("c", "a2"), layer("d", "a3"));
  const up = movedLayer(records, "b", 1);
  expect(up).toHaveLength(1);
  expect(after(records, up)).toEqual(["a", "c", "b", "d"]);
  expect(after(records, movedLayer(records, "d", -1))).toEqual(["a", "c", "d", "b"]);
  expect(after(records, movedLayer(records, "c", -1))).toEqual(["c", "a", "d", "b"]);
  expect(movedLayer(records, "c", -1)).toEqual([]);
  expect(movedLayer(records, "b", 1)).toEqual([]);
  expect(movedLayer(records, "gone", 1)).toEqual([]);
});

test("U20 layers with the same key, or with one that is none, are moved all the same", () => {
  const alike = room(layer("a", "a0"), layer("b", "a0"), layer("c", "a0"));
  expect(after(alike, movedLayer(alike, "a", 1))).toEqual(["b", "a", "c"]);
  const odd = room(layer("a", "!"), layer("b", "a0"), layer("c", "a1"));
  expect(after(odd, movedLayer(odd, "c", -1))).toEqual(["a", "c", "b"]);
  expect(after(odd, movedLayer(odd, "c", -1))).toEqual(["c", "a", "b"]);
});

test("U20 what lies in a layer is deleted with it, and nothing else", () => {
  const records = room(
    layer("sky", "a0"),
    stroke("cloud", [[0, 0]], { layer: "sky" }),
    image("moon", { layer: "sky" }),
    stroke("tree", [[0, 0]]),
  );
  after(records, deletedLayer(records, "sky"));
  expect([...records.keys()]).toEqual(["tree"]);
});

test("U20 strokes go into the layer that was chosen, on top of what is there", () => {
  const bench = fakeBench(layer("sky", "a0"), stroke("cloud", [[0, 0]], { layer: "sky", z: "b0" }));
  bench.desk.layer = "sky";
  const line = [
    [0, 0],
    [9, 9],
  ] as const;
  dragged(bench, new InkTool(bench, "brush"), line);
  dragged(bench, new InkTool(bench, "eraser"), line);
  const drawn = [...bench.room.records.values()].filter((record) => record.type === "stroke");
  expect(drawn.map(({ layer }) => layer)).toEqual(["sky", "sky", "sky"]);
  const keys = drawn.map(({ z }) => z);
  expect(keys).toEqual([...keys].sort());
});

test("U20 nobody draws on a layer that is hidden, or locked for them: they are told", () => {
  const line = [
    [0, 0],
    [9, 9],
  ] as const;
  const hidden = fakeBench(layer("sky", "a0", { visible: false }));
  hidden.desk.layer = "sky";
  dragged(hidden, new InkTool(hidden, "brush"), line);
  expect(hidden.told).toEqual(["layerHidden"]);

  const locked = fakeBench(layer("sky", "a0"), {
    type: "lock",
    id: ":lock:sky",
    by: "",
    of: "sky",
  });
  locked.desk.layer = "sky";
  locked.room.role = "editor";
  dragged(locked, new InkTool(locked, "eraser"), line);
  expect(locked.told).toEqual(["layerLocked"]);
  expect([...hidden.room.ops, ...locked.room.ops]).toEqual([]);

  locked.room.role = "host";
  dragged(locked, new InkTool(locked, "brush"), line);
  expect(locked.room.ops).toHaveLength(1);
});
