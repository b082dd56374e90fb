import { expect, test } from "vitest";
import { BASE_LAYER, boundsOf, Scene, zAbove } from "../../src/canvas/scene";
import type { RoomRecord } from "../../src/protocol/messages";
import { image, stroke } from "../../src/testing/records";

function sceneOf(...records: RoomRecord[]) {
  const map = new Map(records.map((record) => [record.id, record]));
  const scene = new Scene(map);
  const change = (id: string, after: RoomRecord | undefined) => {
    const before = map.get(id);
    if (after) map.set(id, after);
    else map.delete(id);
    return scene.apply([{ id, before, after }]);
  };
  return { scene, change };
}

const line = [
  [0, 0],
  [100, 0],
] as const;
const layer = (id: string, z: string): RoomRecord => ({
  type: "layer",
  id,
  by: "",
  z,
  name: id,
  visible: true,
  opacity: 1,
});
const ids = (scene: Scene) => scene.layers.map(({ id, items }) => [id, items.map((i) => i.id)]);

test("U3 layers and what lies in them are painted by (z, id), the base layer lowest", () => {
  const { scene } = sceneOf(
    stroke("b", line, { z: "a1" }),
    layer("upper", "a2"),
    stroke("a", line, { z: "a1" }),
    layer("lower", "a1"),
    image("c", { z: "a0" }),
    stroke("in upper", line, { layer: "upper" }),
    stroke("orphan", line, { z: "a5", layer: "gone" }),
  );
  expect(ids(scene)).toEqual([
    [BASE_LAYER, ["c", "a", "b", "orphan"]],
    ["lower", []],
    ["upper", ["in upper"]],
  ]);
});

test("U4 a stroke on top damages nothing but its own bounds, and needs only to be appended", () => {
  const { change } = sceneOf(stroke("a", line, { z: "a0" }));
  const added = stroke("b", line, { z: "a1", x: 500 });
  expect(change("b", added)).toEqual([
    { layer: BASE_LAYER, box: boundsOf(added), appended: added },
  ]);
});

test("U4 a stroke that comes in between others is not appended", () => {
  const { change } = sceneOf(stroke("a", line, { z: "a0" }), stroke("c", line, { z: "a2" }));
  const damages = change("b", stroke("b", line, { z: "a1" }));
  expect(damages).toMatchObject([{ appended: null }]);
});

test("U4 moving damages where it was and where it is", () => {
  const before = stroke("a", line);
  const { change } = sceneOf(before);
  const after = { ...before, x: 1000 };
  expect(change("a", after)).toMatchObject([{ box: boundsOf(before) }, { box: boundsOf(after) }]);
});

test("U4 the server's echo of an own edit damages nothing", () => {
  const mine = stroke("a", line);
  const { scene, change } = sceneOf(mine);
  const echoed = { ...mine, points: mine.points.slice(), by: "somebody" };
  expect(change("a", echoed)).toEqual([]);
  expect(scene.layers[0]?.items[0]).toBe(echoed);
});

test("a change of the layers themselves damages everything", () => {
  const { scene, change } = sceneOf(stroke("a", line, { layer: "l" }));
  expect(change("l", layer("l", "a0"))).toBe("all");
  expect(scene.layer("l").items.map(({ id }) => id)).toEqual(["a"]);
});

test("what is lifted damages its place once, and once more when it settles", () => {
  const { scene } = sceneOf(stroke("a", line), stroke("b", line));
  expect(scene.lift(["a"])).toHaveLength(1);
  expect(scene.isLifted("a")).toBe(true);
  expect(scene.settle()).toHaveLength(1);
  expect(scene.settle()).toEqual([]);
});

test("a z above the top sorts above it, even above one that is no proper key", () => {
  for (const top of ["a0", "Zz", "zzzz", "0", "a00", "A"]) {
    expect(zAbove(top) > top).toBe(true);
    expect(zAbove(top)).toMatch(/^[0-9A-Za-z]{1,200}$/);
  }
});
