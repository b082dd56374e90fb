/**
 * This page's copy of a room, to read: what is there, who is there, what one may do, and how it
 * stands with the connection. Tells whoever listens what has changed. What is sent is `Session`'s.
 */

import type {
  DiskState,
  EngineStatus,
  History,
  Limits,
  ModelInfo,
  PreviewMessage,
  RecordId,
  Role,
  RoomRecord,
  ServerMessage,
} from "../protocol/messages";
import type { RecordChange } from "./changes";
import { Company } from "./company";
import { Emitter } from "./emitter";
import { type Depths, depthsAfter } from "./history";
import { Previews } from "./previews";
import { Replica } from "./replica";
import type { ConnectionState, RoomEvents } from "./room-client";
import type { Profile, SessionPorts } from "./session-ports";

const STARTING: EngineStatus = {
  t: "engine",
  state: "starting",
  detail: "",
  model: null,
  models: [],
  infos: [],
};

export abstract class RoomCopy {
  engine = STARTING;
  disk: DiskState = "ok";
  limits: Limits | null = null;
  name: string;
  color: string;
  connection: ConnectionState = "connecting";
  connectionReason = "";
  closeCode = 0;
  protected readonly replica: Replica;
  protected readonly company = new Company();
  protected readonly emerging = new Previews();
  protected readonly emitter = new Emitter();
  protected history: History = { t: "history", undo: 0, redo: 0 };
  #status = "";

  constructor(ports: Pick<SessionPorts, "keeper" | "newId">, profile: Profile) {
    this.name = profile.name;
    this.color = profile.color;
    this.replica = new Replica(ports.keeper, ports.newId);
  }

  get records(): ReadonlyMap<RecordId, RoomRecord> {
    return this.replica.view;
  }
  get peers() {
    return this.company.peers;
  }
  get ink() {
    return this.company.ink;
  }
  get previews(): ReadonlyMap<string, PreviewMessage> {
    return this.emerging.latest;
  }
  get model(): ModelInfo | null {
    const access = this.records.get(":access:room");
    const chosen = access?.type === "access" ? access.model : "";
    return this.engine.infos.find((info) => info.id === chosen) ?? this.engine.model;
  }
  get person(): string {
    return this.replica.person;
  }
  /** Until the server has said so, people are taken for what most are. */
  get role(): Role {
    return this.company.self?.role ?? "editor";
  }
  get isMuted(): boolean {
    return this.company.self?.muted ?? false;
  }
  get mayChange(): boolean {
    return this.role !== "viewer" && !this.isMuted;
  }
  get mayTalk(): boolean {
    const access = this.records.get(":access:room");
    const letsViewers = access?.type === "access" && access.talk;
    return !this.isMuted && (this.role !== "viewer" || letsViewers);
  }
  get unsaved(): number {
    return this.replica.outbox.unsaved;
  }
  get canUndo(): boolean {
    return this.depths().undo > 0;
  }
  get canRedo(): boolean {
    return this.depths().redo > 0;
  }

  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void {
    return this.emitter.on(event, listener);
  }

  // --- telling ----------------------------------------------------------------------------

  /** Ink goes in the same turn in which its record comes, so that nothing flickers. */
  protected show(changes: readonly RecordChange[]): void {
    if (changes.length === 0) return;
    let hasLanded = false;
    for (const { id, after } of changes) {
      if (after !== undefined) hasLanded = this.company.land(id) || hasLanded;
    }
    const hasEnded = this.emerging.follow(changes);
    this.emitter.emit("records", changes);
    if (hasLanded) this.emitter.emit("ink");
    if (hasEnded) this.emitter.emit("previews");
  }

  protected showStatus(): void {
    const { undo, redo } = this.depths();
    const status = JSON.stringify([
      [this.connection, this.connectionReason, this.unsaved, undo > 0, redo > 0],
      [this.engine, this.disk, this.limits, this.person, this.name, this.color],
      [this.role, this.isMuted, this.mayTalk, this.closeCode],
    ]);
    if (status === this.#status) return;
    this.#status = status;
    this.emitter.emit("status");
  }

  protected depths(): Depths {
    const pending = this.replica.outbox.entries.map(({ work }) => work);
    return depthsAfter(this.history, pending);
  }

  protected accompanied(
    message: Extract<
      ServerMessage,
      { t: "joined" | "left" | "peer_presence" | "peer_look" | "peer_ink" }
    >,
  ): void {
    switch (message.t) {
      case "joined":
        this.company.join(message.person);
        break;
      case "left":
        this.company.leave(message.session);
        this.emitter.emit("ink");
        break;
      case "peer_presence":
        this.company.move(message);
        break;
      case "peer_look":
        this.company.look(message);
        break;
      case "peer_ink":
        if (!this.records.has(message.stroke)) this.company.draw(message);
        this.emitter.emit("ink");
        return;
    }
    this.emitter.emit("people");
  }
}
