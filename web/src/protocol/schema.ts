/**
 * What the fields of records may hold, as `server/core/records.py` has it.
 *
 * One table serves what comes in, what goes out and what was kept over a reload: an op that the
 * server would have to refuse, or that would close the connection, is found before it is sent.
 */

import type { Change, PeopleRecord, RecordType, RoomRecord, TextField } from "./records";
import { SAMPLERS } from "./records";
import { isGeometry, MAX_COORDINATE, MAX_POINTS } from "./strokes";

/** Null where the value is fine, else what was expected. */
export type Check = (value: unknown) => string | null;
type Shape = Readonly<Record<string, Check>>;

export const MAX_PROMPT = 4_000;
export const MAX_LINE = 2_000;
export const MAX_NOTE = 1_000;
export const MAX_CHANGES = 2_000;
export const MAX_DELTA = 1_000;
export const MAX_LORAS = 8;
export const MAX_DOTS = 20;
const MAX_EXTENT = 16_384;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** `text` as UTF-8 can carry it, of at most `most` code points. */
export function clean(text: string, most: number): string {
  return Array.from(text.slice(0, 2 * most), (point) =>
    LONE_SURROGATE.test(point) ? "\ufffd" : point,
  )
    .slice(0, most)
    .join("");
}

function isShort(text: string, most: number): boolean {
  return text.length <= most || (text.length <= 2 * most && Array.from(text).length <= most);
}

const either =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? null : `one of ${values.join(", ")}`;
const flag: Check = (value) => (typeof value === "boolean" ? null : "true or false");
export const between =
  (low: number, high: number): Check =>
  (value) =>
    typeof value === "number" && value >= low && value <= high
      ? null
      : `a number of ${low} to ${high}`;
export const whole =
  (low: number, high: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= low && (value as number) <= high
      ? null
      : `a whole number of ${low} to ${high}`;
export const text =
  (most: number): Check =>
  (value) =>
    typeof value === "string" && isShort(value, most) && !LONE_SURROGATE.test(value)
      ? null
      : `a text of at most ${most} characters`;
const matching =
  (pattern: RegExp, what: string): Check =>
  (value) =>
    typeof value === "string" && pattern.test(value) ? null : what;
export const optional =
  (check: Check): Check =>
  (value) =>
    value === null ? null : check(value);
export const bytes =
  (least: number, most: number): Check =>
  (value) =>
    value instanceof Uint8Array && value.length >= least && value.length <= most
      ? null
      : `${least} to ${most} bytes`;

export const recordId = matching(/^[A-Za-z0-9_-]{1,40}$/, "an id");
/** Of any record, also of those about people, which no client can put. */
export const anyId = matching(/^(:[a-z]+:)?[A-Za-z0-9_-]{1,40}$/, "an id");
export const role = either("host", "editor", "viewer");
export const opId = matching(/^[A-Za-z0-9_-]{8,40}$/, "an id of 8 to 40 characters");
export const color = matching(/^#[0-9a-f]{6}$/, "a colour like #1e1e1e");
export const coordinate = between(-MAX_COORDINATE, MAX_COORDINATE);
export const fraction = between(0, 1);
export const brushSize = between(0.5, 1_024);
const blob = matching(/^[0-9a-f]{64}$/, "the SHA-256 of a picture");
const z = matching(/^[0-9A-Za-z]{1,200}$/, "a fractional index");
const name = text(80);
const model = matching(/^([a-z0-9][a-z0-9._-]{0,63})?$/, "the id of a model");
const versionName: Check = (value) => (value === "" ? "a name" : name(value));
const line: Check = (value) => (value === "" ? "a text that isn't empty" : text(MAX_LINE)(value));
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
const CONTROL = /^[^\x00-\x1f]{0,80}$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for
const partName = matching(/^(?!__proto__$)[^\x00-\x1f]{1,80}$/u, "the name of a part of a model");
const anyText = text(Number.MAX_SAFE_INTEGER);
const anyCount = whole(0, Number.MAX_SAFE_INTEGER);
const extent: Check = (value) =>
  typeof value === "number" && value > 0 && value <= MAX_EXTENT ? null : `up to ${MAX_EXTENT}`;
const side = between(32, 4_096);
const points: Check = (value) => {
  const wrong = bytes(13, 8 + 5 * MAX_POINTS)(value);
  return wrong ?? (isGeometry(value as Uint8Array) ? null : "the geometry of a stroke");
};

/** A map of at most `most` entries; expects it to be plain. */
const mapOf =
  (most: number, key: Check, value: Check): Check =>
  (given) => {
    if (!isMap(given)) return "a map";
    const entries = Object.entries(given);
    if (entries.length > most) return `at most ${most} entries`;
    const wrong = entries.map(([k, v]) => key(k) ?? value(v)).find((fault) => fault !== null);
    return wrong === undefined ? null : `a map of names to numbers, each ${wrong}`;
  };
const box: Shape = { x: coordinate, y: coordinate, w: extent, h: extent };
const brushed: Shape = {
  z,
  points,
  size: brushSize,
  erase: flag,
  pen: flag,
  x: coordinate,
  y: coordinate,
};

export const FIELDS: Readonly<Record<RecordType, Shape>> = {
  layer: { z, name, visible: flag, opacity: fraction },
  stroke: { ...brushed, color, opacity: fraction, layer: optional(recordId) },
  image: { ...box, z, blob, opacity: fraction, layer: optional(recordId) },
  frame: {
    z,
    x: coordinate,
    y: coordinate,
    w: side,
    h: side,
    prompt: text(MAX_PROMPT),
    negative: text(MAX_PROMPT),
    clip_skip: whole(0, 12),
    loras: mapOf(MAX_LORAS, partName, between(-4, 4)),
    model,
    steps: whole(1, 100),
    guidance: between(0, 20),
    seed: optional(whole(0, 2 ** 32 - 1)),
    variation_seed: whole(0, 2 ** 32 - 1),
    variation: fraction,
    sampler: either(...SAMPLERS),
    strength: fraction,
    hires: between(1, 4),
    hires_strength: fraction,
    control: matching(CONTROL, "the name of a control"),
    control_strength: between(0, 2),
    control_start: fraction,
    control_end: fraction,
    count: whole(1, 8),
    live: flag,
  },
  mask: { ...brushed, frame: recordId },
  note: { z, x: coordinate, y: coordinate, text: text(MAX_NOTE), color },
  chat: { text: line, name, at_ms: anyCount },
  comment: {
    text: line,
    x: coordinate,
    y: coordinate,
    thread: optional(recordId),
    resolved: flag,
    name,
    at_ms: anyCount,
  },
  version: { name: versionName, seq: anyCount, at_ms: anyCount },
  job: {
    frame: recordId,
    state: either("queued", "running", "done", "cancelled", "failed"),
    count: anyCount,
    done: anyCount,
    live: flag,
    attempt: anyCount,
    seed: anyCount,
    prompt: anyText,
    reason: anyText,
    code: anyText,
  },
  candidate: {
    ...box,
    frame: recordId,
    job: recordId,
    index: anyCount,
    blob,
    seed: anyCount,
    prompt: anyText,
    live: flag,
    masked: flag,
    layer: optional(recordId),
    above: anyText,
    strip: anyText,
    num_previews: anyCount,
    state: either("open", "accepted", "discarded"),
  },
  access: { open: flag, role: either("editor", "viewer"), talk: flag, model },
  member: { person: recordId, name, role: optional(role), muted: flag, banned: flag },
  invite: { role, digest: anyText, expires_ms: optional(anyCount) },
  lock: { of: recordId },
  timer: { ends_ms: anyCount },
  poll: {
    over: either("candidates", "notes"),
    dots: whole(1, MAX_DOTS),
    voters: anyCount,
    revealed: flag,
    tally: mapOf(Number.MAX_SAFE_INTEGER, recordId, anyCount),
  },
  ballot: { dots: mapOf(MAX_DOTS, recordId, whole(1, MAX_DOTS)) },
};

const ABOUT_PEOPLE: readonly string[] = [
  "access",
  "member",
  "invite",
  "lock",
  "timer",
  "poll",
  "ballot",
];
const SERVER_OWNED: ReadonlySet<string> = new Set(["job", "candidate", ...ABOUT_PEOPLE]);
const TEXT_FIELDS: Readonly<Partial<Record<RecordType, readonly string[]>>> = {
  frame: ["prompt", "negative"],
  note: ["text"],
};
/** The longest text of each field that people type into. */
export const MAX_TEXT: Readonly<Record<TextField, number>> = {
  prompt: MAX_PROMPT,
  negative: MAX_PROMPT,
  text: MAX_NOTE,
};
const TALK: readonly string[] = ["chat", "comment"];

/** Whether a record bears its time and stays as it is. */
export function isStamped(record: RoomRecord): boolean {
  return TALK.includes(record.type) || record.type === "version";
}

/** Whether a change is one of what people say, which viewers may be allowed to make. */
export function isTalk(change: Change, records: ReadonlyMap<string, RoomRecord>): boolean {
  const record = change.c === "put" ? change.record : records.get(change.id);
  return record !== undefined && TALK.includes(record.type);
}

/** Whether a record is about people rather than about the canvas. */
export function isAboutPeople(record: RoomRecord): record is PeopleRecord {
  return ABOUT_PEOPLE.includes(record.type);
}

export function isTextField(type: RecordType, field: string): boolean {
  return TEXT_FIELDS[type]?.includes(field) ?? false;
}

/** Null where `record` is a whole, valid record; else a sentence that says what is wrong. */
export function recordFault(record: unknown): string | null {
  if (!isMap(record)) return "expected a record";
  const shape = shapeOf(record["type"]);
  if (shape === undefined) return `unknown type of record: ${String(record["type"])}`;
  const id = ABOUT_PEOPLE.includes(String(record["type"])) ? anyId : recordId;
  const wrongId = id(record["id"]) ?? (typeof record["by"] === "string" ? null : "an author");
  if (wrongId !== null) return `expected ${wrongId} in a ${String(record["type"])}`;
  for (const field in shape) {
    const wrong = fieldFault(shape, field, record[field]);
    if (wrong !== null) return `${String(record["type"])}: ${wrong}`;
  }
  return null;
}

/** Null where a client may send `change`; `record` is what it is made on, where that is there. */
export function submitFault(change: Change, record: RoomRecord | undefined): string | null {
  if (change.c === "put") {
    if (!isMap(change.record)) return "expected a record";
    if (SERVER_OWNED.has(change.record.type)) return `a ${change.record.type} is the server's`;
    return recordFault(change.record);
  }
  const wrongId = recordId(change.id);
  if (wrongId !== null) return `expected ${wrongId}`;
  if (change.c === "edit") return "texts are changed by setText";
  if (record === undefined) return null;
  if (SERVER_OWNED.has(record.type)) return `a ${record.type} is changed by the server`;
  return change.c === "patch" ? patchFault(change.fields, record.type) : null;
}

function patchFault(fields: Readonly<Record<string, unknown>>, type: RecordType): string | null {
  for (const field of Object.keys(fields)) {
    if (isTextField(type, field)) return `${field}: texts are changed by setText`;
    const wrong = fieldFault(FIELDS[type], field, fields[field]);
    if (wrong !== null) return `${type}: ${wrong}`;
  }
  return null;
}

function fieldFault(shape: Shape, field: string, value: unknown): string | null {
  const check = Object.hasOwn(shape, field) ? shape[field] : undefined;
  if (check === undefined) return `there is no field ${field}`;
  const expected = check(value);
  return expected === null ? null : `${field}: expected ${expected}, got ${shown(value)}`;
}

function shapeOf(type: unknown): Shape | undefined {
  return typeof type === "string" && Object.hasOwn(FIELDS, type)
    ? FIELDS[type as RecordType]
    : undefined;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

export function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "a map";
  return String(value).slice(0, 60);
}
