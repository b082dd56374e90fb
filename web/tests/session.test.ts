import { describe, expect, it } from "vitest";
import type { PeerInk } from "../src/protocol/messages";
import { encodePoints, type Point } from "../src/protocol/strokes";
import { DesyncError } from "../src/sync/replica";
import { Bench, makeWelcome } from "./support/ports";
import { INK_STYLE, makeFrame, makeJob, makeStroke } from "./support/records";

const line = (length: number): Point[] => Array.from({ length }, (_, i) => [i, 0, 1]);

function ink(first: number, points: readonly Point[], fields: Partial<PeerInk> = {}): PeerInk {
  const bytes = points.length > 0 ? encodePoints(points) : new Uint8Array(0);
  const style = first === 0 ? INK_STYLE : null;
  const message = { t: "peer_ink", session: "s2", stroke: "stroke-1", first } as const;
  return { ...message, points: bytes, style, end: false, ...fields };
}

describe("one's own edits", () => {
  it("w3_are seen at once, kept until acknowledged, and then somebody's", () => {
    const bench = new Bench();
    bench.join();
    const id = bench.session.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    expect(bench.session.records.has("stroke-1")).toBe(true);
    expect([...bench.kept.keys()]).toEqual([id]);
    expect(bench.session.unsaved).toBe(1);
    expect(bench.sent()).toMatchObject([{ t: "op", id }]);
    bench.receive({ t: "ack", id, seq: 1 });
    expect(bench.session.records.get("stroke-1")?.by).toBe("ann");
    expect(bench.session.unsaved).toBe(0);
    expect(bench.kept.size).toBe(0);
  });

  it("w4_are rolled back when refused, and the person is told", () => {
    const bench = new Bench();
    bench.join(makeStroke("stroke-1", { x: 1 }));
    const id = bench.session.submit([{ c: "patch", id: "stroke-1", fields: { x: 2 } }]);
    expect(bench.session.records.get("stroke-1")).toMatchObject({ x: 2 });
    bench.sent();
    bench.receive({ t: "refused", id, code: "room_full", reason: "a room holds so much" });
    expect(bench.session.records.get("stroke-1")).toMatchObject({ x: 1 });
    expect(bench.refusals).toEqual(["room_full"]);
    expect(bench.session.unsaved).toBe(0);
  });

  it("w5_that the server could never take are not even sent", () => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"), makeJob("job-1"));
    bench.session.submit([{ c: "put", record: makeStroke("stroke-1", { size: Number.NaN }) }]);
    bench.session.submit([{ c: "patch", id: "frame-1", fields: { prompt: "mine" } }]);
    bench.session.submit([{ c: "patch", id: "frame-1", fields: { by: "bob" } }]);
    bench.session.submit([{ c: "delete", id: "job-1" }]);
    expect(bench.refusals).toEqual(["invalid", "invalid", "invalid", "invalid"]);
    expect(bench.sent()).toEqual([]);
    expect(bench.session.records.size).toBe(2);
  });

  it.each([
    { sampler: "brownian" },
    { clip_skip: 13 },
    { loras: { ink: 5 } },
    { loras: { ink: Number.NaN } },
    { loras: { "": 1 } },
    { loras: JSON.parse('{"__proto__": 1}') },
    { loras: { ["a".repeat(81)]: 1 } },
    { loras: Object.fromEntries(Array.from({ length: 9 }, (_, n) => [String(n), 1])) },
    { loras: ["ink"] },
    { control: "a\nb" },
    { control: null },
    { control_strength: 2.5 },
    { control_end: -0.1 },
    { variation: 1.1 },
    { variation_seed: 2 ** 32 },
    { hires: 0.5 },
    { hires_strength: 1.5 },
  ])("w5_of a frame's settings that no frame may have are not sent: %j", (fields) => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"));
    bench.session.submit([{ c: "patch", id: "frame-1", fields }]);
    expect(bench.refusals).toEqual(["invalid"]);
    expect(bench.sent()).toEqual([]);
  });

  it("sets what a frame may have", () => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"));
    const fields = { loras: { "ink wash": -0.5 }, control: "", variation: 0.5, hires: 2 };
    bench.session.submit([{ c: "patch", id: "frame-1", fields }]);
    expect(bench.refusals).toEqual([]);
    expect(bench.session.records.get("frame-1")).toMatchObject(fields);
  });

  it("stay on top of what others do to the same field, until the server has decided", () => {
    const bench = new Bench();
    bench.join(makeStroke("stroke-1"));
    const id = bench.session.submit([{ c: "patch", id: "stroke-1", fields: { x: 5 } }]);
    bench.sent();
    const theirs = { c: "patch", id: "stroke-1", fields: { x: 9, y: 9 } } as const;
    bench.receive({ t: "applied", seq: 1, id: "op-of-bob", by: "bob", changes: [theirs] });
    expect(bench.session.records.get("stroke-1")).toMatchObject({ x: 5, y: 9 });
    bench.receive({ t: "ack", id, seq: 2 });
    expect(bench.session.records.get("stroke-1")).toMatchObject({ x: 5, y: 9 });
  });

  it("w6_are cut into ops that fit the wire", () => {
    const bench = new Bench();
    bench.join();
    const points = encodePoints(line(20_000));
    const strokes = Array.from({ length: 12 }, (_, i) => makeStroke(`stroke-${i}`, { points }));
    bench.session.submit(strokes.map((record) => ({ c: "put", record })));
    const ops = bench.sent();
    expect(ops.length).toBeGreaterThan(1);
    expect(bench.session.records.size).toBe(12);
  });

  it("w7_go out in the order in which they were made, a window of them at a time", () => {
    const bench = new Bench();
    bench.join();
    const ids = Array.from({ length: 50 }, (_, i) =>
      bench.session.submit([{ c: "put", record: makeStroke(`stroke-${i}`) }]),
    );
    expect(bench.sent()).toHaveLength(32);
    bench.receive({ t: "ack", id: ids[0] ?? "", seq: 1 });
    expect(bench.sent()).toMatchObject([{ id: ids[32] }]);
  });
});

describe("a server that can't save", () => {
  const put = (id: string) => [{ c: "put", record: makeStroke(id) }] as const;

  it("w25_gets nothing until it can, and then all of it in order", () => {
    const bench = new Bench();
    bench.join();
    const first = bench.session.submit(put("stroke-1"));
    bench.sent();
    bench.receive({ t: "disk", state: "full" });
    const second = bench.session.submit(put("stroke-2"));
    bench.session.undo();
    bench.session.generate("frame-1");
    expect(bench.session.disk).toBe("full");
    expect(bench.session.hasOutgoing).toBe(false);
    expect(bench.sent()).toEqual([]);
    expect(bench.session.records.has("stroke-2")).toBe(true);
    expect(bench.session.unsaved).toBe(3);
    expect(bench.kept.has(second)).toBe(true);

    bench.receive({ t: "disk", state: "ok" });
    // What was on its way is answered, or its line is closed: it isn't sent twice on one line.
    expect(bench.sent()).toMatchObject([{ id: second }, { t: "undo" }, { t: "generate" }]);
    bench.receive({ t: "ack", id: first, seq: 1 }, { t: "ack", id: second, seq: 2 });
    expect(bench.session.unsaved).toBe(1);
  });

  it("w25_is known for it from the join on, until a join says nothing of it", () => {
    const bench = new Bench();
    bench.join();
    const lost = bench.session.submit(put("stroke-1"));
    bench.sent();
    bench.session.closed("offline", "", 4503);
    bench.session.opened(new Uint8Array(32));
    bench.receive(makeWelcome({ mode: "tail" }), { t: "disk", state: "failing" });
    bench.receive({ t: "ready", seq: 0 });
    expect(bench.session.disk).toBe("failing");
    expect(bench.sent()).toEqual([]);

    bench.session.closed("offline", "");
    bench.session.opened(new Uint8Array(32));
    bench.receive(makeWelcome({ mode: "tail" }), { t: "ready", seq: 0 });
    expect(bench.session.disk).toBe("ok");
    expect(bench.sent()).toMatchObject([{ id: lost }]);
  });

  it("w25_doesn't keep cursors and ink from the others", () => {
    const bench = new Bench();
    bench.join();
    bench.receive({ t: "disk", state: "full" });
    bench.session.setCursor([1, 2], "brush");
    expect(bench.session.takeEphemeral()).toMatchObject([{ t: "presence" }]);
  });
});

describe("typing", () => {
  it("w8_has one edit of a text on its way and gathers the rest", () => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"));
    bench.session.setText("frame-1", "prompt", "a");
    const [first] = bench.sent();
    for (const text of ["a ", "a r", "a re", "a red"]) {
      bench.session.setText("frame-1", "prompt", text);
    }
    expect(bench.sent()).toEqual([]);
    bench.receive({ t: "ack", id: first && "id" in first ? String(first.id) : "", seq: 1 });
    const [second, ...more] = bench.sent();
    expect(second).toMatchObject({ changes: [{ base: 1, delta: [1, " red"] }] });
    expect(more).toEqual([]);
  });

  it("w9_is sent before the picture that it asks for", () => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"));
    bench.session.setText("frame-1", "prompt", "a");
    const [first] = bench.sent();
    bench.session.setText("frame-1", "prompt", "a house");
    bench.session.generate("frame-1");
    expect(bench.sent()).toEqual([]);
    bench.receive({ t: "ack", id: first && "id" in first ? String(first.id) : "", seq: 1 });
    expect(bench.sent()).toMatchObject([{ t: "op" }, { t: "generate", frame: "frame-1" }]);
  });

  it("w21_stays in its place after a snapshot, whether or not the room had the last edit", () => {
    for (const [had, seq, delta] of [
      ["ab", 1, [1, "X"]],
      ["", 0, ["ab"]],
    ] as const) {
      const bench = new Bench();
      bench.join(makeFrame("frame-1"));
      bench.session.setText("frame-1", "prompt", "ab");
      const [first] = bench.sent();
      bench.session.setText("frame-1", "prompt", "aXb");
      bench.session.closed("offline", "");
      bench.session.opened(new Uint8Array(32));
      const records = [makeFrame("frame-1", { prompt: had })];
      bench.receive(makeWelcome({ seq: 1 }), { t: "snapshot", records }, { t: "ready", seq: 1 });
      expect(bench.session.records.get("frame-1")).toMatchObject({ prompt: "aXb" });
      const id = first && "id" in first ? String(first.id) : "";
      expect(bench.sent()).toMatchObject([{ id, changes: [{ c: "delete", id }] }]);
      bench.receive({ t: "ack", id, seq });
      expect(bench.session.records.get("frame-1")).toMatchObject({ prompt: "aXb" });
      expect(bench.sent()).toMatchObject([{ changes: [{ c: "edit", base: 1, delta }] }]);
    }
  });

  it("is cut to what a prompt may hold, and carries no half characters", () => {
    const bench = new Bench();
    bench.join(makeFrame("frame-1"));
    bench.session.setText("frame-1", "prompt", `\ud83d${"😀".repeat(5_000)}`);
    const frame = bench.session.records.get("frame-1");
    const text = frame?.type === "frame" ? frame.prompt : "";
    expect(Array.from(text)).toHaveLength(4_000);
    expect(text.startsWith("\ufffd😀")).toBe(true);
  });
});

describe("undo", () => {
  it("w10_counts what is pending, and leaves the doing to the server", () => {
    const bench = new Bench();
    bench.join();
    expect(bench.session.canUndo).toBe(false);
    const id = bench.session.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    expect(bench.session.canUndo).toBe(true);
    bench.session.undo();
    bench.session.undo();
    expect([bench.session.canUndo, bench.session.canRedo]).toEqual([false, true]);
    const [, undo, ...more] = bench.sent();
    expect(more).toEqual([]);
    bench.receive({ t: "ack", id, seq: 1 }, { t: "history", undo: 1, redo: 0 });
    const changes = [{ c: "delete", id: "stroke-1" }] as const;
    const undoId = undo && "id" in undo ? String(undo.id) : "";
    bench.receive({ t: "applied", seq: 2, id: undoId, by: "ann", changes });
    bench.receive({ t: "history", undo: 0, redo: 1 });
    expect(bench.session.records.size).toBe(0);
    expect([bench.session.canUndo, bench.session.canRedo]).toEqual([false, true]);
  });
});

describe("a connection that comes back", () => {
  it("w11_resumes where it stood, and sends again what was not acknowledged", () => {
    const bench = new Bench();
    bench.join();
    const id = bench.session.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    bench.sent();
    bench.session.closed("offline", "");
    expect(bench.session.connection).toBe("offline");
    expect(bench.session.opened(new Uint8Array(32)).resume).toEqual({ epoch: "e1", seq: 0 });
    bench.receive(makeWelcome({ mode: "tail" }), { t: "ready", seq: 0 });
    expect(bench.sent()).toMatchObject([{ t: "op", id }]);
  });

  it("w12_knows its own op in what it missed", () => {
    const bench = new Bench();
    bench.join();
    const stroke = makeStroke("stroke-1");
    const id = bench.session.submit([{ c: "put", record: stroke }]);
    bench.sent();
    bench.session.closed("offline", "");
    bench.session.opened(new Uint8Array(32));
    const changes = [{ c: "put", record: { ...stroke, by: "ann" } }] as const;
    const applied = { t: "applied", seq: 1, id, by: "ann", changes } as const;
    bench.receive(makeWelcome({ mode: "tail", seq: 1 }), applied, { t: "ready", seq: 1 });
    expect(bench.sent()).toEqual([]);
    expect(bench.session.unsaved).toBe(0);
  });

  it("w26_takes another copy of the room as it is, and says that something may be missing", () => {
    const bench = new Bench();
    bench.join(makeStroke("stroke-1"));
    let numTold = 0;
    bench.session.on("restored", () => {
      numTold += 1;
    });
    const id = bench.session.submit([{ c: "put", record: makeStroke("stroke-2") }]);
    bench.sent();
    for (const epoch of ["e1", "e2", "e2"]) {
      bench.session.closed("offline", "");
      bench.session.opened(new Uint8Array(32));
      bench.receive(makeWelcome({ mode: "snapshot", epoch }), { t: "snapshot", records: [] });
      bench.receive({ t: "ready", seq: 0 });
      expect(numTold).toBe(epoch === "e1" ? 0 : 1);
    }
    expect([...bench.session.records.keys()]).toEqual(["stroke-2"]);
    expect(bench.sent()).toMatchObject([{ t: "op", id }]);
  });

  it("w13_refuses numbers with a gap, and then asks for everything", () => {
    const bench = new Bench();
    bench.join();
    const applied = { t: "applied", seq: 3, id: "op-of-bob", by: "bob", changes: [] } as const;
    expect(() => bench.receive(applied)).toThrow(DesyncError);
    bench.session.distrust();
    expect(bench.session.opened(new Uint8Array(32)).resume).toBeNull();
  });
});

describe("ink", () => {
  it("grows, closes gaps, and is gone when its stroke lands", () => {
    const bench = new Bench();
    bench.join();
    bench.receive(ink(0, line(3)), ink(5, line(7).slice(5)));
    const points = bench.session.ink.get("stroke-1")?.points ?? [];
    expect(points.map(([x]) => x)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const changes = [{ c: "put", record: makeStroke("stroke-1") }] as const;
    const seen: boolean[] = [];
    bench.session.on("records", () => seen.push(bench.session.ink.has("stroke-1")));
    bench.receive({ t: "applied", seq: 1, id: "op-of-bob", by: "bob", changes });
    expect(seen).toEqual([false]);
    bench.receive(ink(0, line(3)));
    expect(bench.session.ink.size).toBe(0);
  });

  it("ends when it is abandoned, or when whoever drew it leaves", () => {
    const bench = new Bench();
    bench.join();
    bench.receive(ink(0, line(3)), ink(0, line(2), { stroke: "stroke-2" }));
    bench.receive(ink(3, [], { end: true }));
    expect([...bench.session.ink.keys()]).toEqual(["stroke-2"]);
    bench.receive({ t: "left", session: "s2" });
    expect(bench.session.ink.size).toBe(0);
  });

  it("of somebody who hasn't told its style yet is not shown", () => {
    const bench = new Bench();
    bench.join();
    bench.receive(ink(3, line(3)));
    expect(bench.session.ink.size).toBe(0);
  });

  it("is sent as new points only, from the start again over a new connection", () => {
    const bench = new Bench();
    bench.join();
    bench.session.takeEphemeral();
    bench.session.sendInk("stroke-9", INK_STYLE, line(3));
    expect(bench.session.takeEphemeral()).toMatchObject([{ first: 0, style: INK_STYLE }]);
    bench.session.sendInk("stroke-9", INK_STYLE, line(5));
    expect(bench.session.takeEphemeral()).toMatchObject([{ first: 3, style: null }]);
    bench.session.closed("offline", "");
    expect(bench.session.takeEphemeral()).toEqual([]);
    bench.join();
    expect(bench.session.takeEphemeral()).toMatchObject([{ first: 0, style: INK_STYLE }, {}]);
    bench.session.submit([{ c: "put", record: makeStroke("stroke-9") }]);
    expect(bench.session.takeEphemeral()).toEqual([]);
  });
});
