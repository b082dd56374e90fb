/**
 * The client against a server that runs: start one, and say where it is.
 *
 * `ATELIER_SERVER=http://127.0.0.1:8000 NODE_OPTIONS=--experimental-websocket npx vitest run tests/live.test.ts`
 */

import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Socket } from "../src/net/connection";
import { openRoom, type World } from "../src/net/open-room";
import type { RoomClient } from "../src/sync/room-client";
import { INK_STYLE, makeFrame, makeStroke } from "./support/records";
import { promptOf } from "./support/reference-room";

const origin = process.env["ATELIER_SERVER"] ?? "";
const open: RoomClient[] = [];
const sockets: WebSocket[] = [];

function enter(roomId: string, disk = new IDBFactory()): RoomClient {
  const kept = new Map<string, string>();
  const world: World = {
    indexedDB: disk,
    channel: () => null,
    now: () => performance.now(),
    clock: {
      setTimeout: (run, ms) => setTimeout(run, ms),
      clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
      random: () => 0.5,
    },
    storage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
    },
    dial: (url) => {
      const socket = new WebSocket(url);
      sockets.push(socket);
      return socket as unknown as Socket;
    },
    post: (url, body) => fetch(url, { method: "POST", body }),
    onChange: () => () => {},
    isOnline: () => true,
  };
  const room = openRoom({ roomId, origin, world });
  open.push(room);
  return room;
}

const online = (...rooms: RoomClient[]) =>
  vi.waitFor(
    () => expect(rooms.map((room) => room.connection)).toEqual(rooms.map(() => "online")),
    5_000,
  );

/** The id of a room that can be made. */
async function newRoom(): Promise<string> {
  const answer = await fetch(`${origin}/`, { redirect: "manual" });
  return answer.headers.get("location")?.split("/")[2] ?? "";
}

afterEach(() => {
  for (const room of open.splice(0)) room.close();
});

describe.skipIf(origin === "")("a running server", () => {
  it("lets two people draw, type and undo together", async () => {
    const roomId = await newRoom();
    const [ann, bob] = [enter(roomId), enter(roomId)];
    await online(ann, bob);
    await vi.waitFor(() => expect(ann.peers.size).toBe(1));
    ann.submit([{ c: "put", record: makeFrame("frame-1") }]);
    ann.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    await vi.waitFor(() => expect(bob.records.has("stroke-1")).toBe(true));
    for (let i = 1; i <= 20; i++) {
      ann.setText(
        "frame-1",
        "prompt",
        `${"a".repeat(i)}${(promptOf(ann.records.get("frame-1")) ?? "").replaceAll("a", "")}`,
      );
      bob.setText("frame-1", "prompt", `${promptOf(bob.records.get("frame-1")) ?? ""}b`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await vi.waitFor(() => expect([ann.unsaved, bob.unsaved]).toEqual([0, 0]));
    await vi.waitFor(() => expect([...bob.records.values()]).toEqual([...ann.records.values()]));
    const text = promptOf(ann.records.get("frame-1")) ?? "";
    expect([...text].filter((c) => c === "b")).toHaveLength(20);
    expect([...text].filter((c) => c === "a")).toHaveLength(20);
    await vi.waitFor(() => expect(ann.canUndo).toBe(true));
    ann.undo();
    await vi.waitFor(() => expect(bob.records.has("stroke-1")).toBe(false));
    ann.redo();
    await vi.waitFor(() => expect(bob.records.has("stroke-1")).toBe(true));
  });

  it("saves a thousand edits over lines that break", async () => {
    const roomId = await newRoom();
    const [ann, bob] = [enter(roomId), enter(roomId)];
    await online(ann, bob);
    for (let i = 0; i < 1_000; i++) {
      ann.submit([{ c: "put", record: makeStroke(`stroke-${i}`) }]);
      if (i % 250 === 100) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        for (const socket of sockets.splice(0)) socket.close();
      }
    }
    await vi.waitFor(() => expect(ann.unsaved).toBe(0), 15_000);
    await vi.waitFor(() => expect(bob.records.size).toBeGreaterThanOrEqual(1_000), 15_000);
    expect([...bob.records.values()].sort()).toEqual([...ann.records.values()].sort());
  });

  it("has everything once that was typed on pages that crashed", async () => {
    const roomId = await newRoom();
    const bob = enter(roomId);
    await online(bob);
    bob.submit([{ c: "put", record: makeFrame("frame-1") }]);
    await vi.waitFor(() => expect(bob.unsaved).toBe(0));
    const disk = new IDBFactory();
    for (let i = 0; i < 12; i++) {
      const ann = enter(roomId, disk);
      await online(ann);
      const type = (room: RoomClient, text: string) =>
        room.setText("frame-1", "prompt", `${promptOf(room.records.get("frame-1")) ?? ""}${text}`);
      type(ann, String.fromCodePoint(0x4e00 + i));
      await new Promise((resolve) => setTimeout(resolve, i % 3));
      type(ann, String.fromCodePoint(0x5e00 + i));
      type(bob, String.fromCodePoint(0x6e00 + i));
      ann.close();
    }
    const ann = enter(roomId, disk);
    await online(ann);
    await vi.waitFor(() => expect([ann.unsaved, bob.unsaved]).toEqual([0, 0]));
    const text = Array.from(promptOf(bob.records.get("frame-1")) ?? "");
    expect(text).toHaveLength(36);
    expect(new Set(text).size).toBe(36);
  });

  it("takes ink and cursors, and pictures over HTTP", async () => {
    const roomId = await newRoom();
    const [ann, bob] = [enter(roomId), enter(roomId)];
    await online(ann, bob);
    ann.sendInk("stroke-1", INK_STYLE, [
      [0, 0, 0.5],
      [5, 5, 0.5],
    ]);
    ann.setCursor([1, 2], "brush");
    await vi.waitFor(() => expect(bob.ink.get("stroke-1")?.points).toHaveLength(2));
    await vi.waitFor(() => expect([...bob.peers.values()][0]?.cursor).toEqual([1, 2]));
    ann.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    await vi.waitFor(() => expect(bob.ink.size).toBe(0));
    const png = Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
      "base64",
    );
    const stored = await ann.upload(new Blob([png], { type: "image/png" }));
    expect(stored).toMatchObject({ width: 1, height: 1 });
    const got = await fetch(ann.blobUrl(stored.blob));
    expect(Buffer.from(await got.arrayBuffer()).equals(png)).toBe(true);
    await expect(ann.upload(new Blob(["not a picture"], { type: "image/png" }))).rejects.toThrow();
  });
});
