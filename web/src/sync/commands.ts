/**
 * What a person does in a room: each command shows at once and waits in the outbox, or passes by.
 * When it is sent, and what the server makes of it, is `Session`'s.
 */

import { decodeHistory } from "../protocol/codec";
import type {
  Change,
  Deed,
  FrameId,
  InkStyle,
  RecordId,
  Role,
  Sight,
  TextField,
} from "../protocol/messages";
import { clean, color as colorFault, isTalk, MAX_TEXT, submitFault } from "../protocol/schema";
import type { Point } from "../protocol/strokes";
import { Ephemeral } from "./ephemeral";
import { Past } from "./past";
import { inPieces } from "./pieces";
import type { RoomClient } from "./room-client";
import { RoomCopy } from "./room-copy";
import type { Profile, SessionPorts } from "./session-ports";
import { recordOf, type Work } from "./work";

export abstract class Commands extends RoomCopy implements RoomClient {
  readonly roomId: string;
  protected readonly ports: SessionPorts;
  protected readonly ephemeral = new Ephemeral();
  /** Shows that uploads and downloads are of somebody who is in the room. */
  protected badge = "";
  /** By how much this clock is behind the server's. */
  protected behindMs = 0;
  /** Who waits for a link, by the id of what asked for it. */
  readonly #awaited = new Map<string, (link: string | null) => void>();

  constructor(roomId: string, ports: SessionPorts, profile: Profile) {
    super(ports, profile);
    this.roomId = roomId;
    this.ports = ports;
  }

  get now(): number {
    return this.ports.now() + this.behindMs;
  }

  submit(changes: readonly Change[]): string {
    const isAllowed = this.mayTalk && changes.every((change) => isTalk(change, this.records));
    if (!isAllowed && this.#mayOnlyWatch()) {
      this.withdrawInk(changes);
      return this.ports.newId();
    }
    const fault = this.#faultOf(changes);
    if (fault !== null) {
      this.withdrawInk(changes);
      this.emitter.emit("refused", "invalid", fault);
      return this.ports.newId();
    }
    const ids = inPieces(changes, this.limits?.message_bytes).map((piece) => {
      const id = this.ports.newId();
      this.show(this.replica.submit(id, piece));
      return id;
    });
    for (const change of changes) if (change.c === "put") this.ephemeral.finish(change.record.id);
    this.ports.workWaits();
    this.showStatus();
    return ids[0] ?? this.ports.newId();
  }

  setText(id: RecordId, field: TextField, text: string): void {
    if (this.#mayOnlyWatch()) return;
    this.show(this.replica.setText(id, field, clean(text, MAX_TEXT[field])));
    this.ports.workWaits();
    this.showStatus();
  }

  undo(): void {
    if (this.canUndo && !this.#mayOnlyWatch()) this.#push({ t: "undo", id: this.ports.newId() });
  }

  redo(): void {
    if (this.canRedo && !this.#mayOnlyWatch()) this.#push({ t: "redo", id: this.ports.newId() });
  }

  generate(frame: FrameId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "generate", id: this.ports.newId(), frame });
  }

  cancel(frame: FrameId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "cancel", frame });
  }

  accept(candidate: RecordId): void {
    if (this.#mayOnlyWatch()) return;
    const image = this.ports.newId();
    this.#push({ t: "accept", id: this.ports.newId(), candidate, image });
  }

  discard(candidate: RecordId): void {
    if (this.#mayOnlyWatch()) return;
    this.#push({ t: "discard", id: this.ports.newId(), candidate });
  }

  vote(dots: Readonly<Record<RecordId, number>>): void {
    if (this.mayTalk || !this.#mayOnlyWatch()) {
      this.#push({ t: "vote", id: this.ports.newId(), dots });
    }
  }

  decide(deed: Deed): void {
    this.#push({ t: "moderate", id: this.ports.newId(), deed });
  }

  invite(role: Role, expiresMs: number | null): Promise<string | null> {
    const id = this.ports.newId();
    const deed = { d: "invite", role, expires_ms: expiresMs } as const;
    this.#push({ t: "moderate", id, deed });
    return new Promise((resolve) => this.#awaited.set(id, resolve));
  }

  setCursor(cursor: readonly [number, number] | null, tool: string): void {
    this.ephemeral.move(cursor, tool);
    this.ports.ephemeralWaits();
  }

  setSight(sight: Sight): void {
    this.ephemeral.look(sight);
    this.ports.ephemeralWaits();
  }

  setProfile(name: string, color: string): void {
    this.name = clean(name, 80);
    if (colorFault(color) === null) this.color = color;
    this.ephemeral.rename();
    this.ports.keepProfile({ name: this.name, color: this.color });
    this.ports.ephemeralWaits();
    this.showStatus();
  }

  sendInk(stroke: RecordId, style: InkStyle, points: readonly Point[]): void {
    if (!this.mayChange) return;
    this.ephemeral.draw(stroke, style, points);
    this.ports.ephemeralWaits();
  }

  abandonInk(stroke: RecordId): void {
    this.ephemeral.abandon(stroke);
    this.ports.ephemeralWaits();
  }

  upload(file: Blob): ReturnType<RoomClient["upload"]> {
    return this.ports.upload(file, this.limits, this.badge);
  }

  saveRoom(): Promise<Blob> {
    return this.ports.saveRoom(this.badge);
  }

  openFile(file: Blob): Promise<string> {
    return this.ports.openFile(file, this.badge);
  }

  async past(): Promise<Past> {
    return new Past(decodeHistory(await this.ports.history(this.badge)));
  }

  film(kind: "webp" | "frames"): Promise<Blob> {
    return this.ports.film(kind, this.badge);
  }

  branch(seq: number): Promise<string> {
    return this.ports.branch(seq, this.badge);
  }

  blobUrl(blob: string): string {
    return this.ports.blobUrl(blob);
  }

  newId(): string {
    return this.ports.newId();
  }

  close(): void {
    this.ports.close();
  }

  protected told(id: string, link: string | null): void {
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
    this.ports.workWaits();
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

  protected withdrawInk(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.c === "put" && "points" in change.record) this.abandonInk(change.record.id);
    }
  }
}
