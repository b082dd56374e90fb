/**
 * A room in memory, for tests of the canvas, the tools and the panels: no socket and no server.
 *
 * Ops are applied and acknowledged at once; what a server would tell (previews, candidates,
 * other people) is put in by the methods that the interface doesn't have.
 */

import type {
  Change,
  Deed,
  DiskState,
  EngineStatus,
  FrameId,
  InkStyle,
  JobRecord,
  ModelInfo,
  PreviewMessage,
  RecordId,
  Role,
  RoomRecord,
  TextField,
} from "../protocol/messages";
import type { RecordChange } from "../sync/changes";
import { Emitter } from "../sync/emitter";
import type { Past } from "../sync/past";
import type {
  ConnectionState,
  Peer,
  PeerInkStroke,
  RoomClient,
  RoomEvents,
} from "../sync/room-client";

const MODEL: ModelInfo = {
  name: "Fake",
  id: "fake",
  native_px: 256,
  multiple_px: 8,
  min_px: 64,
  max_px: 1024,
  device: "cpu",
  dtype: "float32",
  steps: 20,
  guidance: 4,
  sampler: "dpmpp_2m",
  samplers: ["euler", "dpmpp_2m"],
  live_steps: 4,
  loras: ["ink", "gouache"],
  controls: [{ name: "controlnet", kind: "scribble" }],
};

export class FakeRoom implements RoomClient {
  readonly roomId = "fake-room-0123456789abcd";
  readonly records = new Map<RecordId, RoomRecord>();
  readonly peers = new Map<string, Peer>();
  readonly ink = new Map<RecordId, PeerInkStroke>();
  readonly previews = new Map<string, PreviewMessage>();
  connection: ConnectionState = "online";
  connectionReason = "";
  closeCode = 0;
  disk: DiskState = "ok";
  role: Role = "host";
  isMuted = false;
  unsaved = 0;
  engine: EngineStatus = {
    t: "engine",
    state: "ready",
    detail: "",
    model: MODEL,
    models: [{ id: "fake", title: "Fake" }],
    infos: [MODEL],
  };
  readonly limits = { message_bytes: 1_000_000, blob_bytes: 10_000_000, blob_px: 16_000_000 };
  readonly person = "me";
  name = "Ada";
  color = "#3b6ff5";

  /** Every op that was submitted, for looking at. */
  readonly ops: (readonly Change[])[] = [];
  readonly sentInk: { stroke: RecordId; style: InkStyle; count: number }[] = [];
  readonly abandoned: RecordId[] = [];
  readonly cancelled: FrameId[] = [];
  readonly deeds: Deed[] = [];
  readonly blobs = new Map<string, string>();
  onGenerate: (frame: FrameId, job: RecordId) => void = () => {};

  readonly #undo: RecordChange[][] = [];
  readonly #redo: RecordChange[][] = [];
  #lastId = 0;
  readonly #emitter = new Emitter();

  get mayChange(): boolean {
    return this.role !== "viewer" && !this.isMuted;
  }

  now = 0;

  get mayTalk(): boolean {
    return this.mayChange;
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  get canRedo(): boolean {
    return this.#redo.length > 0;
  }

  get model(): ModelInfo | null {
    return this.engine.model;
  }

  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void {
    return this.#emitter.on(event, listener);
  }

  submit(changes: readonly Change[]): string {
    this.ops.push(changes);
    this.#undo.push(this.apply(changes));
    this.#redo.length = 0;
    this.tell("status");
    return this.newId();
  }

  /** Change records as the server or somebody else would. */
  apply(changes: readonly Change[]): RecordChange[] {
    const done: RecordChange[] = [];
    for (const change of changes) {
      const id = change.c === "put" ? change.record.id : change.id;
      const before = this.records.get(id);
      const after = applied(before, change);
      this.#set(id, after);
      done.push({ id, before, after });
    }
    this.#emitter.emit("records", done);
    return done;
  }

  setText(id: RecordId, field: TextField, text: string): void {
    this.submit([{ c: "patch", id, fields: { [field]: text } }]);
  }

  undo(): void {
    this.#takeBack(this.#undo, this.#redo);
  }

  redo(): void {
    this.#takeBack(this.#redo, this.#undo);
  }

  generate(frame: FrameId): void {
    const id = this.newId();
    const record: JobRecord = {
      type: "job",
      id,
      by: this.person,
      frame,
      state: "running",
      count: frameCount(this.records.get(frame)),
      done: 0,
      live: false,
      attempt: 1,
      seed: 1,
      prompt: "",
      reason: "",
      code: "",
    };
    this.apply([{ c: "put", record }]);
    this.onGenerate(frame, id);
  }

  cancel(frame: FrameId): void {
    this.cancelled.push(frame);
    for (const record of this.records.values()) {
      if (record.type !== "job" || record.frame !== frame || record.state !== "running") continue;
      this.apply([{ c: "patch", id: record.id, fields: { state: "cancelled" } }]);
    }
    this.endPreviews(frame);
  }

  accept(candidate: RecordId): void {
    const record = this.records.get(candidate);
    if (record?.type !== "candidate") return;
    const { x, y, w, h, blob } = record;
    const image = {
      type: "image",
      id: this.newId(),
      by: this.person,
      z: "z0",
      opacity: 1,
    } as const;
    this.apply([
      { c: "patch", id: candidate, fields: { state: "accepted" } },
      { c: "put", record: { ...image, blob, x, y, w, h, layer: null } },
    ]);
  }

  discard(candidate: RecordId): void {
    this.apply([{ c: "patch", id: candidate, fields: { state: "discarded" } }]);
  }

  readonly votes: Readonly<Record<RecordId, number>>[] = [];

  vote(dots: Readonly<Record<RecordId, number>>): void {
    this.votes.push(dots);
  }

  decide(deed: Deed): void {
    this.deeds.push(deed);
  }

  async invite(role: Role, expiresMs: number | null): Promise<string | null> {
    this.decide({ d: "invite", role, expires_ms: expiresMs });
    return "name.secret";
  }

  setCursor(): void {}

  setSight(): void {}

  setProfile(name: string, color: string): void {
    this.name = name;
    this.color = color;
    this.tell("status");
  }

  sendInk(stroke: RecordId, style: InkStyle, points: readonly unknown[]): void {
    this.sentInk.push({ stroke, style, count: points.length });
  }

  abandonInk(stroke: RecordId): void {
    this.abandoned.push(stroke);
  }

  async upload(file: Blob): Promise<{ blob: string; width: number; height: number }> {
    const picture = await createImageBitmap(file);
    return { blob: this.addBlob(file), width: picture.width, height: picture.height };
  }

  addBlob(file: Blob): string {
    const blob = this.newId();
    this.blobs.set(blob, URL.createObjectURL(file));
    return blob;
  }

  saveRoom(): Promise<Blob> {
    return Promise.reject(new Error("this room is in memory only"));
  }

  past(): Promise<Past> {
    return Promise.reject(new Error("this room is in memory only"));
  }

  film(): Promise<Blob> {
    return Promise.reject(new Error("this room is in memory only"));
  }

  branch(): Promise<string> {
    return Promise.reject(new Error("this room is in memory only"));
  }

  openFile(): Promise<string> {
    return Promise.reject(new Error("this room is in memory only"));
  }

  blobUrl(blob: string): string {
    return this.blobs.get(blob) ?? "";
  }

  newId(): string {
    return `id${String(++this.#lastId).padStart(6, "0")}`;
  }

  close(): void {}

  preview(preview: PreviewMessage): void {
    this.previews.set(`${preview.frame}/${preview.index}`, preview);
    this.tell("previews");
  }

  endPreviews(frame: FrameId): void {
    for (const key of [...this.previews.keys()]) {
      if (key.startsWith(`${frame}/`)) this.previews.delete(key);
    }
    this.tell("previews");
  }

  refuse(reason: string): void {
    this.#emitter.emit("refused", "refused", reason);
  }

  tell(event: "status" | "people" | "ink" | "previews"): void {
    this.#emitter.emit(event);
  }

  #set(id: RecordId, record: RoomRecord | undefined): void {
    if (record) this.records.set(id, record);
    else this.records.delete(id);
  }

  #takeBack(from: RecordChange[][], to: RecordChange[][]): void {
    const changes = from.pop();
    if (!changes) return;
    const inverse = changes
      .map(({ id, before, after }) => ({ id, before: after, after: before }))
      .reverse();
    for (const { id, after } of inverse) this.#set(id, after);
    to.push(inverse);
    this.#emitter.emit("records", inverse);
    this.tell("status");
  }
}

function applied(before: RoomRecord | undefined, change: Change): RoomRecord | undefined {
  if (change.c === "put") return change.record;
  if (change.c === "delete" || !before) return undefined;
  if (change.c === "patch") return { ...before, ...change.fields } as RoomRecord;
  throw new Error("the fake room sets texts by patches");
}

function frameCount(record: RoomRecord | undefined): number {
  return record?.type === "frame" ? record.count : 1;
}
