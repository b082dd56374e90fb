/**
 * A room as this page sees it: takes the server's messages and the person's commands, and says
 * what to send. Knows no socket, clock or storage: those are behind `SessionPorts`.
 *
 * The one who owns the connection calls `opened`, `receive` and `closed`, and sends what
 * `takeOutgoing` and `takeEphemeral` give whenever a port says that there is something.
 */

import {
  type Ack,
  type Applied,
  type ClientMessage,
  type DiskState,
  type Hello,
  PROTOCOL_VERSION,
  type Refused,
  type RoomRecord,
  type ServerMessage,
  type Welcome,
} from "../protocol/messages";
import { Commands } from "./commands";
import { DesyncError } from "./replica";
import { isLasting, type LastingWork } from "./work";

interface Joining {
  readonly welcome: Welcome;
  readonly records: RoomRecord[];
  readonly applied: Applied[];
  disk: DiskState;
}

const WINDOW = 32;

export class Session extends Commands {
  #joining: Joining | null = null;
  /** The confirmed state can't be trusted: ask for a snapshot. */
  #isLost = true;

  /** The message to begin a connection with. */
  opened(key: Uint8Array): Hello {
    this.#joining = null;
    const { epoch, seq } = this.replica;
    const resume = this.#isLost ? null : { epoch, seq };
    return {
      t: "hello",
      protocol: PROTOCOL_VERSION,
      key,
      name: this.name,
      color: this.color,
      resume,
    };
  }

  /** The connection is gone, and will be tried again unless it was `refused`. */
  closed(state: "connecting" | "offline" | "refused", reason: string, code = 0): void {
    this.closeCode = code;
    this.#joining = null;
    this.replica.disconnected();
    this.connection = state;
    this.connectionReason = reason;
    this.company.meet([], "");
    this.emitter.emit("people");
    this.emitter.emit("ink");
    this.showStatus();
  }

  /** Something went wrong with what is here: the next connection starts from a snapshot. */
  distrust(): void {
    this.#isLost = true;
  }

  /** Edits that an earlier page left behind. */
  adopt(works: readonly LastingWork[]): void {
    this.show(this.replica.adopt(works));
    this.ports.workWaits();
    this.showStatus();
  }

  /** From here on one op at a time: one of those on their way broke the last connection. */
  suspect(): void {
    this.replica.outbox.window = 1;
  }

  get isSuspicious(): boolean {
    return this.replica.outbox.window === 1;
  }

  /** Whether there is work that may be sent now. */
  get hasOutgoing(): boolean {
    return this.#maySend && this.replica.outbox.next !== undefined;
  }

  /** Whoever sends work that can't be saved is disconnected. */
  get #maySend(): boolean {
    return this.connection === "online" && this.disk === "ok";
  }

  /** Whether this is an edit of the room that waits for its answer. */
  isPending(id: string): boolean {
    const entry = this.replica.outbox.find(id);
    return entry !== undefined && isLasting(entry.work);
  }

  /** The only work that was on its way, where there was just one. */
  get suspectedId(): string | undefined {
    const [first, ...more] = this.replica.outbox.inFlight;
    if (first === undefined || more.length > 0 || first.work.t === "cancel") return undefined;
    return first.work.id;
  }

  /** Take back what the server can't take. */
  giveUp(id: string, code: string, reason: string): void {
    this.#refused({ t: "refused", id, code, reason });
    this.showStatus();
  }

  /** Work to be sent now, in order; undefined where nothing is due or nobody is connected. */
  takeOutgoing(): ClientMessage | undefined {
    if (!this.#maySend) return undefined;
    const message = this.replica.takeNext();
    this.showStatus();
    return message;
  }

  /** What is worth sending only now. */
  takeEphemeral(): ClientMessage[] {
    if (this.connection !== "online") return [];
    return this.ephemeral.take(this.name, this.color);
  }

  /** Throws DesyncError or DeltaError where the message doesn't follow from what is here. */
  receive(message: ServerMessage): void {
    switch (message.t) {
      case "welcome":
        this.#welcomed(message);
        break;
      case "snapshot":
        for (const record of message.records) this.#joining?.records.push(record);
        break;
      case "ready":
        this.#ready(message.seq);
        break;
      case "applied":
        this.#applied(message);
        break;
      case "ack":
        this.#acknowledged(message);
        break;
      case "refused":
        this.#refused(message);
        break;
      case "history":
        this.history = message;
        break;
      case "invited":
        this.told(message.id, message.link);
        break;
      case "engine":
        this.engine = message;
        break;
      case "disk":
        if (this.#joining === null) this.disk = message.state;
        else this.#joining.disk = message.state;
        this.ports.workWaits();
        break;
      case "preview":
        if (this.emerging.show(message, this.records.get(message.job))) {
          this.emitter.emit("previews");
        }
        break;
      case "joined":
      case "left":
      case "peer_presence":
      case "peer_look":
      case "peer_ink":
        this.accompanied(message);
        break;
      case "gathered":
        this.emitter.emit("gathered", message.session);
        break;
      case "pong":
        break;
    }
    this.showStatus();
  }

  #welcomed(welcome: Welcome): void {
    this.#joining = { welcome, records: [], applied: [], disk: "ok" };
    this.replica.person = welcome.person;
    this.badge = welcome.badge;
    this.behindMs = welcome.now_ms - this.ports.now();
    this.limits = welcome.limits;
    this.engine = welcome.engine;
    this.emerging.latest.clear();
    this.company.meet(welcome.people, welcome.session);
    this.emitter.emit("people");
    this.emitter.emit("ink");
    this.emitter.emit("previews");
  }

  #ready(seq: number): void {
    const joining = this.#joining;
    if (joining === null) return;
    this.#joining = null;
    const { welcome, records, applied } = joining;
    const isAnother = this.replica.epoch !== "" && this.replica.epoch !== welcome.epoch;
    if (welcome.mode === "snapshot") {
      this.show(this.replica.reset(welcome.epoch, welcome.seq, records));
    } else if (welcome.epoch !== this.replica.epoch) {
      throw new DesyncError(`expected the epoch ${this.replica.epoch}, got ${welcome.epoch}`);
    }
    for (const message of applied) this.#applied(message);
    this.replica.caughtUp(seq);
    this.#isLost = false;
    this.ephemeral.restart();
    this.disk = joining.disk;
    this.connection = "online";
    this.connectionReason = "";
    if (isAnother) this.emitter.emit("restored");
    this.ports.workWaits();
    this.ports.ephemeralWaits();
  }

  #applied(message: Applied): void {
    // A snapshot is taken in as one, when all of it is there.
    if (this.#joining?.welcome.mode === "snapshot") this.#joining.applied.push(message);
    else this.show(this.replica.applied(message));
    this.ports.workWaits();
  }

  #acknowledged({ id, seq }: Ack): void {
    // It was made, but the answer with the link got lost: it can be revoked and made anew.
    this.told(id, null);
    this.show(this.replica.ack(id, seq));
    if (this.replica.outbox.entries.length === 0) this.replica.outbox.window = WINDOW;
    this.ports.workWaits();
  }

  #refused({ id, code, reason }: Refused): void {
    this.told(id, null);
    const { work, changes } = this.replica.refused(id, code);
    if (work?.t === "op") this.withdrawInk(work.changes);
    this.show(changes);
    this.ports.workWaits();
    if (work !== undefined) this.emitter.emit("refused", code, reason);
  }
}
