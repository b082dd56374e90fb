import { describe, expect, it } from "vitest";
import type { Access, Chat, Comment, Note, RoomRecord } from "../src/protocol/records";
import { Board } from "../src/sync/board";
import { Bench, makeWelcome } from "./support/ports";
import { makeStroke } from "./support/records";

const said = { by: "bob", name: "Bob", at_ms: 5, text: "hello" } as const;

function chat(id: string, fields: Partial<Chat> = {}): Chat {
  return { type: "chat", id, ...said, ...fields };
}

function comment(id: string, fields: Partial<Comment> = {}): Comment {
  return { type: "comment", id, ...said, x: 1, y: 2, thread: null, resolved: false, ...fields };
}

function note(id: string, z: string): Note {
  return { type: "note", id, by: "bob", z, x: 0, y: 0, text: "", color: "#ffe27a" };
}

function boardOf(...records: readonly RoomRecord[]): Board {
  return new Board(new Map(records.map((record) => [record.id, record])));
}

describe("the board", () => {
  it("orders notes as they lie and what was said by when", () => {
    const board = boardOf(note("low", "a0"), note("high", "a2"), note("middle", "a1"));
    expect(board.notes.map(({ id }) => id)).toEqual(["low", "middle", "high"]);
    const lines = boardOf(chat("b", { at_ms: 9 }), chat("c"), chat("a")).lines;
    expect(lines.map(({ id }) => id)).toEqual(["a", "c", "b"]);
  });

  it("gathers answers below what they answer, and knows none without it", () => {
    const answer = comment("two", { thread: "one", at_ms: 7 });
    const lost = comment("three", { thread: "gone" });
    const board = boardOf(answer, lost, comment("one"), comment("other", { at_ms: 6 }));
    expect(board.threads).toEqual([
      { first: comment("one"), answers: [answer] },
      { first: comment("other", { at_ms: 6 }), answers: [] },
    ]);
  });

  it("follows changes, and says when none are its own", () => {
    const board = boardOf(chat("a"));
    const stroke = makeStroke("stroke-1");
    expect(board.apply([{ id: "stroke-1", before: undefined, after: stroke }])).toBe(false);
    expect(board.apply([{ id: "b", before: undefined, after: chat("b") }])).toBe(true);
    expect(board.apply([{ id: "a", before: chat("a"), after: undefined }])).toBe(true);
    expect(board.lines).toEqual([chat("b")]);
  });
});

describe("talk", () => {
  function watching(talk: boolean, muted = false): Bench {
    const access: Access = {
      type: "access",
      id: ":access:room",
      by: "",
      open: true,
      role: "viewer",
      talk,
      model: "",
    };
    const me = { session: "mine", person: "ann", name: "Ann", color: "#aa0000" } as const;
    const bench = new Bench();
    bench.session.opened(new Uint8Array(32));
    bench.receive(
      makeWelcome({ people: [{ ...me, role: "viewer", muted }] }),
      { t: "snapshot", records: [access, comment("thread"), makeStroke("stroke-1")] },
      { t: "ready", seq: 0 },
    );
    return bench;
  }

  it("W23 of viewers goes out where the room lets them, and nothing else of theirs does", () => {
    const bench = watching(true);
    expect([bench.session.mayTalk, bench.session.mayChange]).toEqual([true, false]);
    bench.session.submit([{ c: "put", record: chat("line") }]);
    bench.session.submit([{ c: "patch", id: "thread", fields: { resolved: true } }]);
    expect(bench.sent()).toHaveLength(2);
    bench.session.submit([{ c: "put", record: makeStroke("mine") }]);
    bench.session.submit([
      { c: "put", record: chat("another") },
      { c: "delete", id: "stroke-1" },
    ]);
    expect(bench.sent()).toEqual([]);
    expect(bench.refusals).toEqual(["viewer", "viewer"]);
  });

  it.each([
    [false, false],
    [true, true],
  ])(
    "W23 stays here where the room lets viewers talk: %s, and they are muted: %s",
    (talk, muted) => {
      const bench = watching(talk, muted);
      bench.session.submit([{ c: "put", record: chat("line") }]);
      expect(bench.sent()).toEqual([]);
      expect(bench.session.records.has("line")).toBe(false);
    },
  );

  it("W23 the page is told as soon as the room lets viewers talk", () => {
    const bench = watching(false);
    let told = 0;
    bench.session.on("status", () => told++);
    const change = { c: "patch", id: ":access:room", fields: { talk: true } } as const;
    bench.receive({ t: "applied", seq: 1, id: "op-of-bob", by: "bob", changes: [change] });
    expect(bench.session.mayTalk).toBe(true);
    expect(told).toBe(1);
  });

  it("is one's own line at once, and then as the server has stamped it", () => {
    const bench = new Bench();
    bench.join();
    const id = bench.session.submit([{ c: "put", record: chat("line", { at_ms: 1 }) }]);
    expect(bench.session.records.get("line")).toMatchObject({ by: "ann", at_ms: 1 });
    bench.sent();
    const record = chat("line", { by: "ann", name: "Ann", at_ms: 70 });
    bench.receive({ t: "applied", seq: 1, id, by: "ann", changes: [{ c: "put", record }] });
    expect(bench.session.records.get("line")).toEqual(record);
    expect(bench.session.unsaved).toBe(0);
  });
});
