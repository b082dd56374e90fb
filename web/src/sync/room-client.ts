/** What the canvas and the panels may know of a room: records, people, previews, commands. */

import type {
  Change,
  Deed,
  DiskState,
  EngineStatus,
  FrameId,
  InkStyle,
  Limits,
  ModelInfo,
  PreviewMessage,
  RecordId,
  Role,
  RoomRecord,
  Sight,
  TextField,
} from "../protocol/messages";
import type { RecordChange } from "./changes";
import type { Past } from "./past";

/** What a view needs of a room, or of a moment of one. */
export type Showable = Pick<
  RoomClient,
  "records" | "peers" | "ink" | "previews" | "on" | "blobUrl"
>;

export interface Peer {
  session: string;
  person: string;
  name: string;
  color: string;
  role: Role;
  muted: boolean;
  cursor: readonly [number, number] | null;
  tool: string;
  /** What they see; null before they have said so. */
  sight: Sight | null;
}

/** A peer's stroke in progress; `points` are canvas coordinates and grow. */
export interface PeerInkStroke {
  stroke: RecordId;
  session: string;
  style: InkStyle;
  points: readonly (readonly [x: number, y: number, pressure: number])[];
}

export type ConnectionState = "connecting" | "online" | "offline" | "refused";

export interface RoomEvents {
  /** Records changed (own edits at once, others' as they come); one call per batch. */
  records: (changes: readonly RecordChange[]) => void;
  /** Connection, disk, number of unsaved ops, undo/redo counts, engine, limits or own identity changed. */
  status: () => void;
  people: () => void;
  ink: () => void;
  previews: () => void;
  /** A host asks everybody to see what they see, at this connection. */
  gathered: (session: string) => void;
  /** The server has gone back to another copy of the room: what was done last may be missing. */
  restored: () => void;
  /** Something of ours was refused: `reason` is a sentence for people. */
  refused: (code: string, reason: string) => void;
}

export interface RoomClient {
  readonly roomId: string;
  /** What the person sees: confirmed records with the pending ops applied on top. */
  readonly records: ReadonlyMap<RecordId, RoomRecord>;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly ink: ReadonlyMap<RecordId, PeerInkStroke>;
  /** Latest preview per `${frame}/${index}`; removed when the job ends. */
  readonly previews: ReadonlyMap<string, PreviewMessage>;
  readonly connection: ConnectionState;
  /** For people, when connection is "offline" or "refused". */
  readonly connectionReason: string;
  /** The code with which the connection was closed last; 0 before. */
  readonly closeCode: number;
  /** The server's clock: milliseconds since 1970, give or take the way of a message. */
  readonly now: number;
  /** Unless "ok", the server can't save anything for now, and what is done waits here. */
  readonly disk: DiskState;
  /** Ops that the server has not acknowledged (acknowledged means: on its disk). */
  readonly unsaved: number;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  readonly engine: EngineStatus;
  /** The room's, as far as it is known, or the server's default one. */
  readonly model: ModelInfo | null;
  readonly limits: Limits | null;
  readonly person: string;
  readonly name: string;
  readonly color: string;
  readonly role: Role;
  readonly isMuted: boolean;
  /** Whether this person may change anything. */
  readonly mayChange: boolean;
  /** Whether this person may chat and comment. */
  readonly mayTalk: boolean;

  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void;

  /** Apply at once and send; survives a lost connection and a reload. Returns the op id. */
  submit(changes: readonly Change[]): string;
  /** Set a text field to what the person typed; sent as inserts and deletes. */
  setText(id: RecordId, field: TextField, text: string): void;
  undo(): void;
  redo(): void;
  generate(frame: FrameId): void;
  cancel(frame: FrameId): void;
  accept(candidate: RecordId): void;
  discard(candidate: RecordId): void;
  /** Give these dots in the poll, instead of those given before. */
  vote(dots: Readonly<Record<RecordId, number>>): void;
  /** For hosts. */
  decide(deed: Deed): void;
  /** For hosts: make a link; what stands behind `#link=`, or null where none was made. */
  invite(role: Role, expiresMs: number | null): Promise<string | null>;

  setCursor(cursor: readonly [number, number] | null, tool: string): void;
  /** What this person sees, for those who follow. */
  setSight(sight: Sight): void;
  setProfile(name: string, color: string): void;
  /** Ink of a stroke in progress: all its points so far (canvas units, pressure 0..1); sends what is new, at most 30 times a second. */
  sendInk(
    stroke: RecordId,
    style: InkStyle,
    points: readonly (readonly [x: number, y: number, pressure: number])[],
  ): void;
  /** The stroke was abandoned. A stroke that ends well is just submitted with the same id. */
  abandonInk(stroke: RecordId): void;

  /** Upload a picture (PNG, JPEG or WEBP); resolves when it is stored. */
  upload(file: Blob): Promise<{ blob: string; width: number; height: number }>;
  /** The room as a file. */
  saveRoom(): Promise<Blob>;
  /** Make a new room of such a file; its id. */
  openFile(file: Blob): Promise<string>;
  /** All that can be gone back over, as of now. */
  past(): Promise<Past>;
  /** The history as an animated WebP, or as a ZIP of frames. */
  film(kind: "webp" | "frames"): Promise<Blob>;
  /** Make a new room that begins as this one was after op number `seq`; its id. */
  branch(seq: number): Promise<string>;
  blobUrl(blob: string): string;
  newId(): string;
  close(): void;
}
