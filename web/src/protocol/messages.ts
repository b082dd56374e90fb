/** What travels over a room's WebSocket. Mirrors `server/core/messages.py`; PROTOCOL.md is the grammar. */

import type { Change, Color, RecordId, Role, RoomRecord, Sampler } from "./records";

export type {
  Access,
  Ballot,
  BlobId,
  Candidate,
  Change,
  Chat,
  Color,
  Comment,
  Delete,
  Delta,
  Edit,
  Frame,
  FrameId,
  ImageRecord,
  Invite,
  JobRecord,
  JobState,
  Layer,
  Lock,
  MaskStroke,
  Member,
  Note,
  Patch,
  Poll,
  Put,
  RecordId,
  RecordType,
  Role,
  RoomRecord,
  Sampler,
  Stroke,
  TextField,
  Timer,
  Version,
} from "./records";

export const PROTOCOL_VERSION = 1;

// --- browser -> server --------------------------------------------------------------------

export interface Hello {
  readonly t: "hello";
  readonly protocol: number;
  /** Secret of this browser; who the person is in the room is derived from it. */
  readonly key: Uint8Array;
  readonly name: string;
  readonly color: Color;
  readonly resume: { readonly epoch: string; readonly seq: number } | null;
}

export interface Op {
  readonly t: "op";
  readonly id: string;
  readonly changes: readonly Change[];
}

export interface Undo {
  readonly t: "undo";
  readonly id: string;
}

export interface Redo {
  readonly t: "redo";
  readonly id: string;
}

/** `id` becomes the id of the job record. */
export interface Generate {
  readonly t: "generate";
  readonly id: RecordId;
  readonly frame: RecordId;
}

export interface Cancel {
  readonly t: "cancel";
  readonly frame: RecordId;
}

export interface Accept {
  readonly t: "accept";
  readonly id: string;
  readonly candidate: RecordId;
  readonly image: RecordId;
}

export interface Discard {
  readonly t: "discard";
  readonly id: string;
  readonly candidate: RecordId;
}

/** What only a host may ask for. */
export type Deed =
  | {
      readonly d: "access";
      readonly open: boolean;
      readonly role: "editor" | "viewer";
      readonly talk: boolean;
    }
  | { readonly d: "model"; readonly model: string }
  | { readonly d: "invite"; readonly role: Role; readonly expires_ms: number | null }
  | { readonly d: "revoke"; readonly invite: RecordId }
  | { readonly d: "role"; readonly person: string; readonly role: Role | null }
  | { readonly d: "mute"; readonly person: string; readonly muted: boolean }
  | { readonly d: "kick"; readonly person: string }
  | { readonly d: "ban"; readonly person: string; readonly banned: boolean }
  | { readonly d: "lock"; readonly record: RecordId; readonly locked: boolean }
  | { readonly d: "clear" }
  | { readonly d: "take_back"; readonly person: string }
  | { readonly d: "poll"; readonly over: "candidates" | "notes"; readonly dots: number }
  | { readonly d: "reveal" }
  | { readonly d: "close_poll" }
  | { readonly d: "gather" }
  | { readonly d: "timer"; readonly seconds: number }
  | { readonly d: "stop_timer" };

/** Decide about the room or somebody in it; the op that does it has this id. */
export interface Moderate {
  readonly t: "moderate";
  readonly id: string;
  readonly deed: Deed;
}

/** One's dots in the poll, all of them anew. */
export interface Vote {
  readonly t: "vote";
  readonly id: string;
  readonly dots: Readonly<Record<RecordId, number>>;
}

export interface Presence {
  readonly t: "presence";
  readonly cursor: readonly [number, number] | null;
  readonly tool: string;
}

/** The part of the canvas that somebody sees: x, y, width, height. */
export type Sight = readonly [number, number, number, number];

/** What one sees now, for those who follow. */
export interface Look {
  readonly t: "look";
  readonly sight: Sight;
}

export interface InkStyle {
  readonly kind: "stroke" | "mask";
  readonly size: number;
  readonly color: Color;
  readonly opacity: number;
  readonly erase: boolean;
  readonly pen: boolean;
  readonly layer: RecordId | null;
  readonly frame: RecordId | null;
}

/** New points of a stroke in progress; `first` is the index of the first of them. */
export interface Ink {
  readonly t: "ink";
  readonly stroke: RecordId;
  readonly first: number;
  readonly points: Uint8Array;
  readonly style: InkStyle | null;
  readonly end: boolean;
}

export interface Profile {
  readonly t: "profile";
  readonly name: string;
  readonly color: Color;
}

export interface Ping {
  readonly t: "ping";
  readonly n: number;
}

export type ClientMessage =
  | Hello
  | Op
  | Undo
  | Redo
  | Generate
  | Cancel
  | Accept
  | Discard
  | Moderate
  | Vote
  | Presence
  | Look
  | Ink
  | Profile
  | Ping;

// --- server -> browser --------------------------------------------------------------------

/** One connection of somebody; the same `person` may have several sessions. */
export interface Person {
  readonly session: string;
  readonly person: string;
  readonly name: string;
  readonly color: Color;
  /** What this connection may do at the moment. */
  readonly role: Role;
  readonly muted: boolean;
}

export interface Limits {
  readonly message_bytes: number;
  readonly blob_bytes: number;
  readonly blob_px: number;
}

export type ControlKind = "scribble" | "canny" | "depth";

/** A control that the model has, and what it wants to see. */
export interface ControlInfo {
  readonly name: string;
  readonly kind: ControlKind;
}

/** A model that frames may ask for. */
export interface ModelListing {
  readonly id: string;
  readonly title: string;
}

export interface ModelInfo {
  readonly name: string;
  readonly id: string;
  /** Side of the square that the model was trained on. */
  readonly native_px: number;
  /** Width and height must be multiples of this. */
  readonly multiple_px: number;
  readonly min_px: number;
  readonly max_px: number;
  readonly device: string;
  readonly dtype: string;
  readonly steps: number;
  readonly guidance: number;
  readonly sampler: Sampler;
  /** Those that it can be used with. */
  readonly samplers: readonly Sampler[];
  readonly live_steps: number;
  /** Names of the adapters that frames may use. */
  readonly loras: readonly string[];
  readonly controls: readonly ControlInfo[];
}

export type EngineState = "starting" | "ready" | "restarting" | "failed";

export interface EngineStatus {
  readonly t: "engine";
  readonly state: EngineState;
  readonly detail: string;
  /** The default model. */
  readonly model: ModelInfo | null;
  readonly models: readonly ModelListing[];
  /** What is known of those that were loaded. */
  readonly infos: readonly ModelInfo[];
}

export type DiskState = "ok" | "full" | "failing";

/** Unless it is `ok`, nothing can be saved: what one does waits. */
export interface DiskStatus {
  readonly t: "disk";
  readonly state: DiskState;
}

export interface Welcome {
  readonly t: "welcome";
  readonly protocol: number;
  readonly session: string;
  readonly person: string;
  readonly epoch: string;
  readonly seq: number;
  readonly mode: "snapshot" | "tail";
  readonly people: readonly Person[];
  readonly limits: Limits;
  readonly engine: EngineStatus;
  /** The server's clock, milliseconds since 1970. */
  readonly now_ms: number;
  /** Proves over HTTP that a request is of this session. */
  readonly badge: string;
}

export interface Snapshot {
  readonly t: "snapshot";
  readonly records: readonly RoomRecord[];
}

export interface JoinReady {
  readonly t: "ready";
  readonly seq: number;
}

/** An op that the room took as number `seq`. */
export interface Applied {
  readonly t: "applied";
  readonly seq: number;
  readonly id: string;
  readonly by: string;
  readonly changes: readonly Change[];
}

/** `seq` is 0 where the op changed nothing. */
export interface Ack {
  readonly t: "ack";
  readonly id: string;
  readonly seq: number;
}

export interface Refused {
  readonly t: "refused";
  readonly id: string;
  readonly code: string;
  readonly reason: string;
}

/** How many ops of one's own can be undone and redone. */
export interface History {
  readonly t: "history";
  readonly undo: number;
  readonly redo: number;
}

/** The link that a `moderate` with this id made: it is told this once. */
export interface Invited {
  readonly t: "invited";
  readonly id: string;
  readonly link: string;
}

export interface Joined {
  readonly t: "joined";
  readonly person: Person;
}

export interface Left {
  readonly t: "left";
  readonly session: string;
}

export interface PeerPresence {
  readonly t: "peer_presence";
  readonly session: string;
  readonly cursor: readonly [number, number] | null;
  readonly tool: string;
}

export interface PeerLook {
  readonly t: "peer_look";
  readonly session: string;
  readonly sight: Sight;
}

/** A host asks everybody to see what they see, at this connection. */
export interface Gathered {
  readonly t: "gathered";
  readonly session: string;
}

export interface PeerInk {
  readonly t: "peer_ink";
  readonly session: string;
  readonly stroke: RecordId;
  readonly first: number;
  readonly points: Uint8Array;
  readonly style: InkStyle | null;
  readonly end: boolean;
}

/** The picture of a frame as it emerges. `box` is where on the canvas it lies (x, y, w, h). */
export interface PreviewMessage {
  readonly t: "preview";
  readonly frame: RecordId;
  readonly job: RecordId;
  readonly index: number;
  readonly step: number;
  readonly steps: number;
  readonly box: readonly [number, number, number, number];
  readonly jpeg: Uint8Array;
}

export interface Pong {
  readonly t: "pong";
  readonly n: number;
}

/** An op as it stands in a room's history, which is read over HTTP. */
export interface Moment {
  readonly t: "moment";
  readonly seq: number;
  readonly by: string;
  readonly at_ms: number;
  readonly changes: readonly Change[];
}

export type ServerMessage =
  | Welcome
  | Snapshot
  | JoinReady
  | Applied
  | Ack
  | Refused
  | History
  | Invited
  | Joined
  | Left
  | PeerPresence
  | PeerLook
  | Gathered
  | PeerInk
  | PreviewMessage
  | EngineStatus
  | DiskStatus
  | Pong;

/** Close codes of the room's WebSocket that ask for something else than "try again later". */
export const CLOSE = {
  badMessage: 4400,
  badTicket: 4401,
  noLonger: 4403,
  noSuchRoom: 4404,
  tooSlow: 4408,
  protocolVersion: 4409,
  kicked: 4410,
  banned: 4411,
  tooLarge: 4413,
  roomFull: 4423,
  tooMany: 4429,
  cannotSave: 4503,
} as const;
