import "fake-indexeddb/auto";
import { encode as pack, decode as unpack } from "@msgpack/msgpack";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sha256Hex } from "../src/net/blobs";
import type { Socket } from "../src/net/connection";
import { identityKey, newId, readProfile } from "../src/net/identity";
import { openRoom, type World } from "../src/net/open-room";
import type { ClientMessage, ServerMessage } from "../src/protocol/messages";
import type { RoomClient } from "../src/sync/room-client";
import { makeFrame, makeStroke } from "./support/records";
import { promptOf, ReferenceRoom, type Seat } from "./support/reference-room";

/** A line to the reference room, in real bytes. */
class LineToRoom implements Socket, Seat {
  binaryType = "";
  bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  isOpen = true;

  constructor(
    readonly person: string,
    readonly server: Server,
  ) {
    queueMicrotask(() => (server.isUp ? this.onopen?.(undefined as never) : this.breaks(1006)));
  }

  send(data: Uint8Array<ArrayBuffer> | ServerMessage): void {
    if (data instanceof Uint8Array) this.#up(unpack(data) as ClientMessage);
    else this.#down(data);
  }

  close(): void {
    this.isOpen = false;
    this.server.room.leave(this);
  }

  breaks(code: number): void {
    this.close();
    this.onclose?.({ code, reason: "because" } as never);
  }

  #up(message: ClientMessage): void {
    if (!this.isOpen) return;
    if (this.server.isPoison(message)) this.breaks(4400);
    else if (message.t === "hello") this.server.room.join(this, message);
    else this.server.room.receive(this, message);
  }

  #down(message: ServerMessage): void {
    const data = pack(message).slice().buffer;
    queueMicrotask(() => this.isOpen && this.onmessage?.({ data } as never));
  }
}

class Server {
  readonly room = new ReferenceRoom();
  readonly lines: LineToRoom[] = [];
  isUp = true;
  isPoison: (message: ClientMessage) => boolean = () => false;

  stop(): void {
    this.isUp = false;
    for (const line of this.lines.splice(0)) line.breaks(1006);
  }
}

const open: RoomClient[] = [];
/** What rooms want to be told when the page comes into view or the network changes. */
const listening = new Set<() => void>();

function enter(server: Server, person: string, disk = new IDBFactory()): RoomClient {
  const world: World = {
    indexedDB: disk,
    channel: () => null,
    now: () => performance.now(),
    clock: {
      setTimeout: (run, ms) => setTimeout(run, ms / 100),
      clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
      random: () => 0.5,
    },
    storage: null,
    dial: () => {
      const line = new LineToRoom(person, server);
      server.lines.push(line);
      return line;
    },
    post: () => Promise.reject(new Error("not here")),
    onChange: (call) => {
      listening.add(call);
      return () => listening.delete(call);
    },
    isOnline: () => true,
  };
  const room = openRoom({ roomId: "room", origin: "http://here", world });
  open.push(room);
  return room;
}

afterEach(() => {
  for (const room of open.splice(0)) room.close();
  expect(listening.size).toBe(0);
  vi.restoreAllMocks();
});

describe("a room over bytes", () => {
  it("is shared", async () => {
    const server = new Server();
    const [ann, bob] = [enter(server, "ann"), enter(server, "bob")];
    await vi.waitFor(() => expect([ann.connection, bob.connection]).toEqual(["online", "online"]));
    ann.submit([{ c: "put", record: makeFrame("frame-1") }]);
    await vi.waitFor(() => expect(bob.records.has("frame-1")).toBe(true));
    bob.setText("frame-1", "prompt", "a red house");
    await vi.waitFor(() => expect(promptOf(ann.records.get("frame-1"))).toBe("a red house"));
    expect([ann.unsaved, bob.unsaved]).toEqual([0, 0]);
  });

  it("w18_keeps what is drawn while the server is away", async () => {
    const server = new Server();
    const ann = enter(server, "ann");
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
    server.stop();
    ann.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    expect([ann.connection, ann.unsaved]).toEqual(["offline", 1]);
    server.isUp = true;
    await vi.waitFor(() => expect(server.room.records.has("stroke-1")).toBe(true));
    await vi.waitFor(() => expect(ann.unsaved).toBe(0));
  });

  it("w15_keeps what was not answered when the page went", async () => {
    const server = new Server();
    const disk = new IDBFactory();
    const ann = enter(server, "ann", disk);
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
    server.stop();
    ann.submit([{ c: "put", record: makeFrame("frame-1") }]);
    ann.setText("frame-1", "prompt", "typed offline");
    ann.close();
    server.isUp = true;
    const again = enter(server, "ann", disk);
    await vi.waitFor(() =>
      expect(promptOf(server.room.records.get("frame-1"))).toBe("typed offline"),
    );
    await vi.waitFor(() => expect(again.unsaved).toBe(0));
  });

  it("w15_takes up what was left before anything else, although the page has come into view", async () => {
    const server = new Server();
    const disk = new IDBFactory();
    const ann = enter(server, "ann", disk);
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
    server.stop();
    ann.submit([{ c: "put", record: makeFrame("frame-1") }]);
    ann.close();
    server.isUp = true;
    const again = enter(server, "ann", disk);
    for (const call of listening) call();
    expect(server.lines).toEqual([]);
    await vi.waitFor(() => expect(again.connection).not.toBe("connecting"));
    expect(again.records.has("frame-1")).toBe(true);
  });

  it("w19_finds the one edit that breaks the line, and saves all others", async () => {
    const server = new Server();
    server.isPoison = (message) => JSON.stringify(message).includes("poison");
    const ann = enter(server, "ann");
    const refusals: string[] = [];
    ann.on("refused", (code) => refusals.push(code));
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
    for (const id of ["stroke-1", "poison", "stroke-2"]) {
      ann.submit([{ c: "put", record: makeStroke(id) }]);
    }
    await vi.waitFor(() => expect(ann.unsaved).toBe(0), 5_000);
    expect(refusals).toEqual(["bad_message"]);
    expect([...server.room.records.keys()].sort()).toEqual(["stroke-1", "stroke-2"]);
    expect([...ann.records.keys()].sort()).toEqual(["stroke-1", "stroke-2"]);
  });

  it("joins anew when what comes makes no sense", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const server = new Server();
    const ann = enter(server, "ann");
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
    server.lines[0]?.send({ t: "applied", seq: 9, id: "x", by: "bob", changes: [] });
    await vi.waitFor(() => expect(server.lines).toHaveLength(2));
    await vi.waitFor(() => expect(ann.connection).toBe("online"));
  });
});

describe("who this browser is", () => {
  it("lasts, where something can be kept", () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    };
    expect(identityKey(storage)).toEqual(identityKey(storage));
    expect(identityKey(null)).not.toEqual(identityKey(null));
    kept.set("atelier.profile", "{broken");
    expect(readProfile(storage).color).toMatch(/^#[0-9a-f]{6}$/);
  });

  it("makes ids of 16 characters that the server takes", () => {
    const ids = new Set(Array.from({ length: 1_000 }, newId));
    expect(ids.size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{16}$/);
  });
});

describe("the name of a picture", () => {
  it("w20_is the same without crypto.subtle", async () => {
    const bytes = new TextEncoder().encode("abc");
    const name = await sha256Hex(bytes);
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues });
    expect(await sha256Hex(bytes)).toBe(name);
    vi.unstubAllGlobals();
    expect(name).toMatch(/^ba7816bf/);
  });
});
