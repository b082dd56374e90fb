/**
 * People with bad lines and crashing browsers in one room, driven by one seed.
 *
 * Messages wait in queues in both directions; lines break and lose what is in them; pages crash
 * and come back with what they had kept, or with a little more, because the disk lags behind.
 */

import type { ClientMessage, ServerMessage } from "../../src/protocol/messages";
import { Session } from "../../src/sync/session";
import type { LastingWork } from "../../src/sync/work";
import { makeFrame, makeStroke } from "./records";
import { promptOf, ReferenceRoom, type Seat } from "./reference-room";

export type Random = () => number;

/** Numbers in [0, 1) by mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const FIRST_TYPED = 0x4e00;

export class Storm {
  readonly room = new ReferenceRoom();
  readonly people: StormyPage[];
  /** Every code point that was typed, each once in the whole run. */
  readonly typed: { frame: string; point: string }[] = [];
  readonly random: Random;
  #numIds = 0;

  constructor(
    seed: number,
    numPeople: number,
    readonly options: { deletes: boolean },
  ) {
    this.random = seeded(seed);
    const newId = () => `id-${String(++this.#numIds).padStart(8, "0")}`;
    this.people = Array.from({ length: numPeople }, (_, i) => {
      return new StormyPage(`person-${i}`, this.room, newId);
    });
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random() * items.length)];
  }

  /** Something happens somewhere. */
  turn(): void {
    const page = this.pick(this.people);
    if (page === undefined) return;
    const dice = this.random();
    if (dice < 0.4) this.#work(page);
    else if (dice < 0.65) page.up();
    else if (dice < 0.9) page.down();
    else if (dice < 0.93) page.breakLine();
    else if (dice < 0.96) page.connect();
    else if (dice < 0.975) page.crash(Math.floor(this.random() * 3));
    else if (dice < 0.985) this.room.compact();
    else if (dice < 0.987) this.room.epoch = `epoch-${this.random()}`;
  }

  /** Everybody comes back, and everything arrives. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      let isQuiet = true;
      for (const page of this.people) {
        page.connect();
        while (page.up() || page.down()) isQuiet = false;
      }
      if (isQuiet) return;
    }
    throw new Error("expected the storm to end");
  }

  #work(page: StormyPage): void {
    const { session } = page;
    const ids = [...session.records.keys()];
    const record = session.records.get(this.pick(ids) ?? "");
    const dice = this.random();
    if (record === undefined || dice < 0.15) {
      session.submit([{ c: "put", record: makeStroke(session.newId()) }]);
    } else if (dice < 0.2) {
      session.submit([{ c: "put", record: makeFrame(session.newId()) }]);
    } else if (dice < 0.25 && this.options.deletes) {
      session.submit([{ c: "delete", id: record.id }]);
    } else if (dice < 0.3 && this.options.deletes) {
      session.undo();
    } else if (record.type === "frame") {
      this.#type(page, record.id);
    } else if (record.type === "stroke") {
      session.submit([{ c: "patch", id: record.id, fields: { x: Math.floor(dice * 1000) } }]);
    }
  }

  #type(page: StormyPage, frame: string): void {
    const text = Array.from(promptOf(page.session.records.get(frame)) ?? "");
    const point = String.fromCodePoint(FIRST_TYPED + this.typed.length);
    text.splice(Math.floor(this.random() * (text.length + 1)), 0, point);
    if (this.options.deletes && this.random() < 0.3) {
      text.splice(Math.floor(this.random() * text.length), 1);
    }
    this.typed.push({ frame, point });
    page.session.setText(frame, "prompt", text.join(""));
  }
}

/** A page of one person, its line to the room, and what it keeps over a crash. */
export class StormyPage implements Seat {
  session: Session;
  readonly #kept = new Map<string, LastingWork>();
  #forgotten: LastingWork[] = [];
  #up: ClientMessage[] = [];
  #down: ServerMessage[] = [];
  #isConnected = false;

  constructor(
    readonly person: string,
    readonly room: ReferenceRoom,
    readonly newId: () => string,
  ) {
    this.session = this.#newSession();
  }

  send(message: ServerMessage): void {
    if (this.#isConnected) this.#down.push(message);
  }

  connect(): void {
    if (this.#isConnected) return;
    this.#isConnected = true;
    this.#up = [this.session.opened(new Uint8Array(32))];
  }

  breakLine(): void {
    this.room.leave(this);
    this.#isConnected = false;
    this.#up = [];
    this.#down = [];
    this.session.closed("offline", "");
  }

  /** Start a new page, for which the disk still had the `numLate` last answered edits. */
  crash(numLate: number): void {
    this.breakLine();
    const late = numLate === 0 ? [] : this.#forgotten.slice(-numLate);
    const left = [...late.filter(({ id }) => !this.#kept.has(id)), ...this.#kept.values()];
    this.session = this.#newSession();
    this.session.adopt(left);
  }

  /** Let one message reach the room; false where there is none. */
  up(): boolean {
    if (!this.#isConnected) return false;
    for (;;) {
      const message = this.session.takeOutgoing();
      if (message === undefined) break;
      this.#up.push(message);
    }
    const message = this.#up.shift();
    if (message?.t === "hello") this.room.join(this, message);
    else if (message !== undefined) this.room.receive(this, message);
    return message !== undefined;
  }

  /** Let one message reach the page. */
  down(): boolean {
    const message = this.#down.shift();
    if (message !== undefined) this.session.receive(message);
    return message !== undefined;
  }

  #newSession(): Session {
    const ports = {
      keeper: {
        keep: (work: LastingWork) => void this.#kept.set(work.id, work),
        forget: (id: string) => {
          const work = this.#kept.get(id);
          if (work !== undefined) this.#forgotten = [...this.#forgotten.slice(-5), work];
          this.#kept.delete(id);
        },
      },
      newId: this.newId,
      now: () => 0,
      workWaits: () => {},
      ephemeralWaits: () => {},
      upload: () => Promise.reject(new Error("not here")),
      saveRoom: () => Promise.reject(new Error("not here")),
      openFile: () => Promise.reject(new Error("not here")),
      history: () => Promise.reject(new Error("not here")),
      film: () => Promise.reject(new Error("not here")),
      branch: () => Promise.reject(new Error("not here")),
      blobUrl: () => "",
      keepProfile: () => {},
      close: () => {},
    };
    return new Session("room", ports, { name: "", color: "#888888" });
  }
}
