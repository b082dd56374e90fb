import { beforeAll, expect, test, vi } from "vitest";
import { paintItem, type Surface } from "../../src/canvas/paint";
import { Scene } from "../../src/canvas/scene";
import { image, stroke } from "../../src/testing/records";

beforeAll(() => {
  vi.stubGlobal(
    "Path2D",
    class {
      moveTo() {}
      quadraticCurveTo() {}
      closePath() {}
    },
  );
});

/** A context that writes down each mark with how it is composited. */
function recorder() {
  const marks: string[] = [];
  const state = { globalCompositeOperation: "source-over", globalAlpha: 1, fillStyle: "" };
  const saved: (typeof state)[] = [];
  const ctx = Object.assign(state, {
    save: () => saved.push({ ...state }),
    restore: () => Object.assign(state, saved.pop()),
    translate: () => {},
    fill: () => marks.push(`${state.globalCompositeOperation} ${state.fillStyle}`),
    fillRect: () => marks.push("placeholder"),
    drawImage: () => marks.push(`${state.globalCompositeOperation} picture`),
  });
  return { ctx: ctx as unknown as Surface, marks };
}

const line = [
  [0, 0],
  [50, 50],
] as const;

test("U2 an eraser takes away only what lies below it in its own layer", () => {
  const records = [
    stroke("over", line, { z: "a2", color: "#00ff00" }),
    stroke("eraser", line, { z: "a1", erase: true, color: "#1e1e1e" }),
    stroke("under", line, { z: "a0", color: "#ff0000" }),
  ];
  const scene = new Scene(new Map(records.map((record) => [record.id, record])));
  const { ctx, marks } = recorder();

  for (const item of scene.layer(null).items) paintItem(ctx, item, { get: () => null });

  expect(marks).toEqual(["source-over #ff0000", "destination-out #1e1e1e", "source-over #00ff00"]);
});

test("a picture that isn't there yet leaves a trace of where it will be", () => {
  const { ctx, marks } = recorder();
  paintItem(ctx, image("a"), { get: () => null });
  paintItem(ctx, image("a"), { get: () => ({}) as CanvasImageSource });
  expect(marks).toEqual(["placeholder", "source-over picture"]);
});
