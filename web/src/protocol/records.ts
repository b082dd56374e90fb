/**
 * What a canvas is made of: the records of a room, and the changes that an op makes to them.
 *
 * Mirrors `server/core/records.py`, names and all. Positions and sizes are in canvas units (one
 * CSS pixel at zoom 1). Stacking order is `(z, id)`; `z` is a fractional-index string.
 */

export type RecordId = string;
export type FrameId = RecordId;
/** SHA-256 of the bytes, lower-case hex. */
export type BlobId = string;
/** `#rrggbb`, lower case. */
export type Color = string;
export const SAMPLERS = [
  "euler",
  "euler_a",
  "heun",
  "ddim",
  "dpmpp_2m",
  "dpmpp_2m_karras",
  "dpmpp_2m_sde",
  "dpmpp_sde",
  "unipc",
  "lcm",
  "tcd",
] as const;
export type Sampler = (typeof SAMPLERS)[number];

interface Base {
  readonly id: RecordId;
  /** Who made it: stamped by the server; send "". */
  readonly by: string;
}

export interface Layer extends Base {
  readonly type: "layer";
  readonly z: string;
  readonly name: string;
  readonly visible: boolean;
  readonly opacity: number;
}

/** One pass of the pen; `erase` removes what lies below it in its own layer. */
export interface Stroke extends Base {
  readonly type: "stroke";
  readonly z: string;
  /** Packed geometry: see `strokes.ts`. */
  readonly points: Uint8Array;
  readonly size: number;
  readonly color: Color;
  readonly opacity: number;
  readonly erase: boolean;
  /** True where `points` carry a real pen's pressure; false: pressure is simulated from speed. */
  readonly pen: boolean;
  readonly layer: RecordId | null;
  /** How far the stroke was moved since it was drawn. */
  readonly x: number;
  readonly y: number;
}

export interface ImageRecord extends Base {
  readonly type: "image";
  readonly z: string;
  readonly blob: BlobId;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly opacity: number;
  readonly layer: RecordId | null;
}

/** A part of the canvas that asks for a picture. */
export interface Frame extends Base {
  readonly type: "frame";
  readonly z: string;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  /** Changed by `RoomClient.setText` only. */
  readonly prompt: string;
  readonly negative: string;
  /** So many of the text encoder's last layers are left out. */
  readonly clip_skip: number;
  /** Weights by the names of the model's adapters; a patch sets all of them. */
  readonly loras: Readonly<Record<string, number>>;
  /** An id of the models that the server lists; "" for the room's default one. */
  readonly model: string;
  readonly steps: number;
  readonly guidance: number;
  /** null: a new one each time. */
  readonly seed: number | null;
  readonly variation_seed: number;
  /** How far the first noise is turned from the seed's towards the variation seed's. */
  readonly variation: number;
  readonly sampler: Sampler;
  /** How far from what lies under the frame; 1 starts from pure noise. */
  readonly strength: number;
  /** How many times as long as the model's native ones a picture's sides are. */
  readonly hires: number;
  /** How far the second pass of such a picture goes from the first, enlarged; 0: one pass. */
  readonly hires_strength: number;
  /** Name of the model's control that what lies under the frame steers it by; "" for none. */
  readonly control: string;
  readonly control_strength: number;
  /** From which part of the steps to which they are steered. */
  readonly control_start: number;
  readonly control_end: number;
  readonly count: number;
  readonly live: boolean;
}

/** One pass of the mask brush: paint the frame anew here; `erase` takes that back. */
export interface MaskStroke extends Base {
  readonly type: "mask";
  readonly z: string;
  readonly frame: RecordId;
  readonly points: Uint8Array;
  readonly size: number;
  readonly erase: boolean;
  readonly pen: boolean;
  readonly x: number;
  readonly y: number;
}

/** A sticky note, NOTE_SIDE units square, which lies over the picture and is no part of it. */
export interface Note extends Base {
  readonly type: "note";
  /** Among notes. */
  readonly z: string;
  readonly x: number;
  readonly y: number;
  /** Changed by `RoomClient.setText` only. */
  readonly text: string;
  readonly color: Color;
}

/** In canvas units. */
export const NOTE_SIDE = 200;

/** What the server stamps on what is said, beside `by`. */
interface Said extends Base {
  readonly text: string;
  /** What its author was called then. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly at_ms: number;
}

export interface Chat extends Said {
  readonly type: "chat";
}

export interface Comment extends Said {
  readonly type: "comment";
  /** Of the first of a thread: where it is pinned. */
  readonly x: number;
  readonly y: number;
  /** The comment that this one answers; null: it begins a thread. */
  readonly thread: RecordId | null;
  /** Of the first of a thread: whether it is dealt with. */
  readonly resolved: boolean;
}

/** A moment of the room with a name. */
export interface Version extends Base {
  readonly type: "version";
  readonly name: string;
  /** Of the op that named it, stamped by the server: the room as it was then. */
  readonly seq: number;
  /** Milliseconds since 1970, stamped likewise. */
  readonly at_ms: number;
}

export type JobState = "queued" | "running" | "done" | "cancelled" | "failed";

/** Server-owned: somebody's request for `count` pictures of a frame. */
export interface JobRecord extends Base {
  readonly type: "job";
  readonly frame: RecordId;
  readonly state: JobState;
  readonly count: number;
  readonly done: number;
  readonly live: boolean;
  readonly attempt: number;
  readonly seed: number;
  readonly prompt: string;
  /** For people: why it failed or was cancelled. */
  readonly reason: string;
  /** A short name of why it failed. */
  readonly code: string;
}

/** Server-owned: a finished picture, to be accepted onto the canvas or discarded. */
export interface Candidate extends Base {
  readonly type: "candidate";
  readonly frame: RecordId;
  readonly job: RecordId;
  readonly index: number;
  readonly blob: BlobId;
  readonly seed: number;
  /** Where the frame was when the picture was asked for. */
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly prompt: string;
  readonly live: boolean;
  /** The picture has an alpha channel: transparent where nothing was to change. */
  readonly masked: boolean;
  /** In which the topmost thing lies that is seen in the frame; null: below all layers. */
  readonly layer: RecordId | null;
  /** `z` of the topmost thing there when the picture was asked for; "" if there was none. */
  readonly above: string;
  /** The blob with some of its previews side by side, for a timelapse; "" where there is none. */
  readonly strip: string;
  readonly num_previews: number;
  readonly state: "open" | "accepted" | "discarded";
}

/** Viewers see; editors change what isn't locked; hosts also decide about the room. */
export type Role = "host" | "editor" | "viewer";

/** Server-owned, one a room: who may come in without a link, and what it draws with. */
export interface Access extends Base {
  readonly type: "access";
  readonly open: boolean;
  /** Of those who bring nothing but the id. */
  readonly role: "editor" | "viewer";
  /** Whether viewers may chat and comment. */
  readonly talk: boolean;
  /** Of frames that name none; "" for the server's default one. */
  readonly model: string;
}

/** Server-owned: what a host has decided about a person, or that they made the room. */
export interface Member extends Base {
  readonly type: "member";
  readonly person: string;
  readonly name: string;
  /** Their own, link or no link; null: what they came with decides. */
  readonly role: Role | null;
  readonly muted: boolean;
  readonly banned: boolean;
}

/** Server-owned: a link. Its secret is nowhere, its digest here. */
export interface Invite extends Base {
  readonly type: "invite";
  readonly role: Role;
  readonly digest: string;
  /** Milliseconds since 1970; null: never. */
  readonly expires_ms: number | null;
}

/** Server-owned: only hosts may change this layer or frame, or what belongs to it. */
export interface Lock extends Base {
  readonly type: "lock";
  readonly of: RecordId;
}

/** Server-owned, one a room at a time: people give dots to what they like best. */
export interface Poll extends Base {
  readonly type: "poll";
  readonly over: "candidates" | "notes";
  /** That each may give. */
  readonly dots: number;
  readonly voters: number;
  readonly revealed: boolean;
  /** Dots of all together; empty until a host reveals them. */
  readonly tally: Readonly<Record<RecordId, number>>;
}

/** Server-owned, one a room: the time that a host gives everybody. */
export interface Timer extends Base {
  readonly type: "timer";
  /** By the server's clock. */
  readonly ends_ms: number;
}

/** Server-owned: one's own dots. Nobody is sent those of others. */
export interface Ballot extends Base {
  readonly type: "ballot";
  readonly dots: Readonly<Record<RecordId, number>>;
}

export type PeopleRecord = Access | Member | Invite | Lock | Timer | Poll | Ballot;
export type RoomRecord =
  | Layer
  | Stroke
  | ImageRecord
  | Frame
  | MaskStroke
  | Note
  | Chat
  | Comment
  | Version
  | JobRecord
  | Candidate
  | PeopleRecord;
export type RecordType = RoomRecord["type"];
export const TEXT_FIELDS = ["prompt", "negative", "text"] as const;
/** Texts that several people may type into at once. */
export type TextField = (typeof TEXT_FIELDS)[number];

/** Add a record. Its id must be new to the room. */
export interface Put {
  readonly c: "put";
  readonly record: RoomRecord;
}

/** Set some fields of a record; last writer wins, field by field. */
export interface Patch {
  readonly c: "patch";
  readonly id: RecordId;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Delete {
  readonly c: "delete";
  readonly id: RecordId;
}

/**
 * A walk over the old text in code points: n > 0 keeps n, n < 0 deletes -n, a string is
 * inserted; what is left at the end is kept.
 */
export type Delta = readonly (number | string)[];

/** Insert and delete in a text field, made on the room as of `base`. */
export interface Edit {
  readonly c: "edit";
  readonly id: RecordId;
  readonly field: string;
  readonly base: number;
  readonly delta: Delta;
}

export type Change = Put | Patch | Delete | Edit;
