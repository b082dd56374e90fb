/** A session with nothing around it. */

import type { ServerMessage, Welcome } from "../../src/protocol/messages";
import type { RoomRecord } from "../../src/protocol/records";
import { Session } from "../../src/sync/session";
import type { SessionPorts } from "../../src/sync/session-ports";
import type { LastingWork } from "../../src/sync/work";

export function makeWelcome(fields: Partial<Welcome> = {}): Welcome {
  return {
    t: "welcome",
    protocol: 1,
    session: "mine",
    person: "ann",
    epoch: "e1",
    seq: 0,
    mode: "snapshot",
    people: [],
    limits: { message_bytes: 1 << 20, blob_bytes: 1 << 25, blob_px: 1 << 26 },
    engine: { t: "engine", state: "ready", detail: "", model: null, models: [], infos: [] },
    now_ms: 0,
    badge: "badge",
    ...fields,
  };
}

export class Bench {
  readonly kept = new Map<string, LastingWork>();
  readonly session: Session;
  readonly refusals: string[] = [];
  #numIds = 0;

  constructor() {
    const ports: SessionPorts = {
      keeper: {
        keep: (work) => void this.kept.set(work.id, work),
        forget: (id) => void this.kept.delete(id),
      },
      newId: () => `id-${String(++this.#numIds).padStart(8, "0")}`,
      now: () => 0,
      workWaits: () => {},
      ephemeralWaits: () => {},
      upload: () => Promise.reject(new Error("not here")),
      saveRoom: () => Promise.reject(new Error("not here")),
      openFile: () => Promise.reject(new Error("not here")),
      history: () => Promise.reject(new Error("not here")),
      film: () => Promise.reject(new Error("not here")),
      branch: () => Promise.reject(new Error("not here")),
      blobUrl: (blob) => blob,
      keepProfile: () => {},
      close: () => {},
    };
    this.session = new Session("room", ports, { name: "Ann", color: "#aa0000" });
    this.session.on("refused", (code) => this.refusals.push(code));
  }

  receive(...messages: readonly ServerMessage[]): void {
    for (const message of messages) this.session.receive(message);
  }

  /** Come in and find these records. */
  join(...records: readonly RoomRecord[]): void {
    this.session.opened(new Uint8Array(32));
    this.receive(makeWelcome(), { t: "snapshot", records }, { t: "ready", seq: 0 });
  }

  /** Everything that may go out now. */
  sent() {
    const messages = [];
    for (;;) {
      const message = this.session.takeOutgoing();
      if (message === undefined) return messages;
      messages.push(message);
    }
  }
}
