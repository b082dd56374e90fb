/**
 * A room as this page sees it: takes the server's messages and the person's commands, and says
 * what to send. Knows no socket, clock or storage: those are behind `SessionPorts`.
 *
 * The one who owns the connection calls `opened`, `receive` and `closed`, and sends what
 * `takeOutgoing` and `takeEphemeral` give whenever a port says that there is something.
 */

import { decodeHistory } from "../protocol/codec";
import {
  type Ack,
  type Applied,
  type Change,
  type ClientMessage,
  type Deed,
  type DiskState,
  type FrameId,
  type Hello,
  type InkStyle,
  PROTOCOL_VERSION,
  type RecordId,
  type Refused,
  type Role,
  type RoomRecord,
  type ServerMessage,
  type Sight,
  type TextField,
  type Welcome,
} from "../protocol/messages";
import { clean, color as colorFault, isTalk, MAX_TEXT, submitFault } from "../protocol/schema";
import type { Point } from "../protocol/strokes";
import { Ephemeral } from "./ephemeral";
import { Past } from "./past";
import { inPieces } from "./pieces";
import { DesyncError } from "./replica";
import type { RoomClient } from "./room-client";
import { RoomCopy } from "./room-copy";
import type { Profile, SessionPorts } from "./session-ports";
import { isLasting, type LastingWork, recordOf, type Work } from "./work";

interface Joining {
  readonly welcome: Welcome;
  readonly records: RoomRecord[];
  readonly applied: Applied[];
  disk: DiskState;
}

const WINDOW = 32;
export class Session extends RoomCopy implements RoomClient {
  readonly roomId: string;
  #badge = "";
  /** By how much this clock is behind the server's. */
  #behindMs = 0;
  /** Who waits for a link, by the id of what asked for it. */
  readonly #awaited = new Map<string, (link: string | null) => void>();
  readonly #ports: SessionPorts;
  readonly #ephemeral = new Ephemeral();
  #joining: Joining | null = null;
  /** The confirmed state can't be trusted: ask for a snapshot. */
  #isLost = true;

  constructor(roomId: string, ports: SessionPorts, profile: Profile) {
    super(ports, profile);
    this.roomId = roomId;
    this.#ports = ports;
  }

  get now(): number {
    return this.#ports.now() + this.#behindMs;
  }

  // --- commands ---------------------------------------------------------------------------

  submit(changes: readonly Change[]): string {
    const isAllowed = this.mayTalk && changes.every((change) => isTalk(change, this.records));
    if (!isAllowed && this.#mayOnlyWatch()) {
      this.#withdrawInk(changes);
      return this.#ports.newId();
    }
    const fault = this.#faultOf(changes);
    if (fault !== null) {
      this.#withdrawInk(changes);
      this.emitter.emit("refused", "invalid", fault);
      return this.#ports.newId();
    }
    const ids = inPieces(changes, this.limits?.message_bytes).map((piece) => {
      const id = this.#ports.newId();
      this.show(this.replica.submit(id, piece));
      return id;
    });
    for (const change of changes) if (change.c === "put") this.#ephemeral.finish(change.record.id);
    this.#ports.workWaits();
    this.showStatus();
    return ids[0] ?? this.#ports.newId();
  }

  setText(id: RecordId, field: TextField, text: string): void {
    if (this.#mayOnlyWatch()) return;
    this.show(this.replica.setText(id, field, clean(text, MAX_TEXT[field])));
    this.#ports.workWaits();
    this.showStatus();
  }

  undo(): void {
    if (this.canUndo && !this.#mayOnlyWatch()) this.#push({ t: "undo", id: this.#ports.newId() });
  }

  redo(): void {
    if (this.canRedo && !this.#mayOnlyWatch()) this.#push({ t: "redo", id: this.#ports.newId() });
  }

  generate(frame: FrameId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "generate", id: this.#ports.newId(), frame });
  }

  cancel(frame: FrameId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "cancel", frame });
  }

  accept(candidate: RecordId): void {
    if (this.#mayOnlyWatch()) return;
    const image = this.#ports.newId();
    this.#push({ t: "accept", id: this.#ports.newId(), candidate, image });
  }

  discard(candidate: RecordId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "discard", id: this.#ports.newId(), candidate });
  }

  vote(dots: Readonly<Record<RecordId, number>>): void {
    if (this.mayTalk || !this.#mayOnlyWatch()) {
      this.#push({ t: "vote", id: this.#ports.newId(), dots });
    }
  }

  decide(deed: Deed): void {
    this.#push({ t: "moderate", id: this.#ports.newId(), deed });
  }

  invite(role: Role, expiresMs: number | null): Promise<string | null> {
    const id = this.#ports.newId();
    const deed = { d: "invite", role, expires_ms: expiresMs } as const;
    this.#push({ t: "moderate", id, deed });
    return new Promise((resolve) => this.#awaited.set(id, resolve));
  }

  setCursor(cursor: readonly [number, number] | null, tool: string): void {
    this.#ephemeral.move(cursor, tool);
    this.#ports.ephemeralWaits();
  }

  setSight(sight: Sight): void {
    this.#ephemeral.look(sight);
    this.#ports.ephemeralWaits();
  }

  setProfile(name: string, color: string): void {
    this.name = clean(name, 80);
    if (colorFault(color) === null) this.color = color;
    this.#ephemeral.rename();
    this.#ports.keepProfile({ name: this.name, color: this.color });
    this.#ports.ephemeralWaits();
    this.showStatus();
  }

  sendInk(stroke: RecordId, style: InkStyle, points: readonly Point[]): void {
    if (!this.mayChange) return;
    this.#ephemeral.draw(stroke, style, points);
    this.#ports.ephemeralWaits();
  }

  abandonInk(stroke: RecordId): void {
    this.#ephemeral.abandon(stroke);
    this.#ports.ephemeralWaits();
  }

  upload(file: Blob): ReturnType<RoomClient["upload"]> {
    return this.#ports.upload(file, this.limits, this.#badge);
  }

  saveRoom(): Promise<Blob> {
    return this.#ports.saveRoom(this.#badge);
  }

  openFile(file: Blob): Promise<string> {
    return this.#ports.openFile(file, this.#badge);
  }

  async past(): Promise<Past> {
    return new Past(decodeHistory(await this.#ports.history(this.#badge)));
  }

  film(kind: "webp" | "frames"): Promise<Blob> {
    return this.#ports.film(kind, this.#badge);
  }

  branch(seq: number): Promise<string> {
    return this.#ports.branch(seq, this.#badge);
  }

  blobUrl(blob: string): string {
    return this.#ports.blobUrl(blob);
  }

  newId(): string {
    return this.#ports.newId();
  }

  close(): void {
    this.#ports.close();
  }

  // --- the connection ---------------------------------------------------------------------

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
    this.#ports.workWaits();
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
    return this.#ephemeral.take(this.name, this.color);
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
        this.#told(message.id, message.link);
        break;
      case "engine":
        this.engine = message;
        break;
      case "disk":
        if (this.#joining === null) this.disk = message.state;
        else this.#joining.disk = message.state;
        this.#ports.workWaits();
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
    this.#badge = welcome.badge;
    this.#behindMs = welcome.now_ms - this.#ports.now();
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
    if (welcome.mode === "snapshot") {
      this.show(this.replica.reset(welcome.epoch, welcome.seq, records));
    } else if (welcome.epoch !== this.replica.epoch) {
      throw new DesyncError(`expected the epoch ${this.replica.epoch}, got ${welcome.epoch}`);
    }
    for (const message of applied) this.#applied(message);
    this.replica.caughtUp(seq);
    this.#isLost = false;
    this.#ephemeral.restart();
    this.disk = joining.disk;
    this.connection = "online";
    this.connectionReason = "";
    this.#ports.workWaits();
    this.#ports.ephemeralWaits();
  }

  #applied(message: Applied): void {
    // A snapshot is taken in as one, when all of it is there.
    if (this.#joining?.welcome.mode === "snapshot") this.#joining.applied.push(message);
    else this.show(this.replica.applied(message));
    this.#ports.workWaits();
  }

  #acknowledged({ id, seq }: Ack): void {
    // It was made, but the answer with the link got lost: it can be revoked and made anew.
    this.#told(id, null);
    this.show(this.replica.ack(id, seq));
    if (this.replica.outbox.entries.length === 0) this.replica.outbox.window = WINDOW;
    this.#ports.workWaits();
  }

  #refused({ id, code, reason }: Refused): void {
    this.#told(id, null);
    const { work, changes } = this.replica.refused(id, code);
    if (work?.t === "op") this.#withdrawInk(work.changes);
    this.show(changes);
    this.#ports.workWaits();
    if (work !== undefined) this.emitter.emit("refused", code, reason);
  }

  // --- telling ----------------------------------------------------------------------------

  #told(id: string, link: string | null): void {
    this.#awaited.get(id)?.(link);
    this.#awaited.delete(id);
  }

  /** Says so, to whoever tried to change something, where the server would refuse it. */
  #mayOnlyWatch(): boolean {
    if (this.mayChange) return false;
    const [code, reason] =
      this.role === "viewer"
        ? ["viewer", "You may watch here, not change anything: ask a host."]
        : ["muted", "A host has muted you: ask them."];
    this.emitter.emit("refused", code, reason);
    return true;
  }

  #push(work: Work): void {
    this.replica.push(work);
    this.#ports.workWaits();
    this.showStatus();
  }

  #faultOf(changes: readonly Change[]): string | null {
    if (changes.length === 0) return "there is nothing to change";
    for (const change of changes) {
      const fault = submitFault(change, this.records.get(recordOf(change)));
      if (fault !== null) return fault;
    }
    return null;
  }

  #withdrawInk(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.c === "put" && "points" in change.record) this.abandonInk(change.record.id);
    }
  }
}
