/**
 * Messages to bytes and back: `encode` and `decode`.
 *
 * MessagePack by @msgpack/msgpack with limits on every length; then each message is checked, down
 * to the fields of records, so that nothing behind this file meets a value of the wrong type.
 */

import { Decoder, Encoder } from "@msgpack/msgpack";
import type { ClientMessage, Moment, ServerMessage, Snapshot } from "./messages";
import {
  anyId,
  between,
  brushSize,
  bytes,
  type Check,
  color,
  coordinate,
  fraction,
  isMap,
  optional,
  recordFault,
  recordId,
  role,
  shown,
  text,
  whole,
} from "./schema";

/** The server sent something that is no message: drop the connection and join anew. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const MAX_ITEMS = 1_000_000;
/** Of the length before each message of a history. */
const LENGTH_BYTES = 4;

const encoder = new Encoder({ ignoreUndefined: true, maxDepth: 16 });
const decoder = new Decoder({
  maxStrLength: 1024 * 1024,
  maxBinLength: MAX_MESSAGE_BYTES,
  maxArrayLength: MAX_ITEMS,
  maxMapLength: 1_000,
  // No extension types: not even the timestamps that the library knows.
  maxExtLength: 0,
});

export function encode(message: ClientMessage): Uint8Array<ArrayBuffer> {
  return encoder.encode(message);
}

/** Read one message of the server; throws ProtocolError. */
export function decode(data: ArrayBuffer | Uint8Array): ServerMessage {
  return checked(data, MESSAGES) as ServerMessage;
}

/** Read a room's history: messages, each after its length in 4 bytes; throws ProtocolError. */
export function* decodeHistory(data: Uint8Array): Generator<Snapshot | Moment> {
  const lengths = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < data.length; ) {
    const start = at + LENGTH_BYTES;
    const end = start <= data.length ? start + lengths.getUint32(at) : Number.POSITIVE_INFINITY;
    if (end > data.length) throw new ProtocolError("expected the rest of a history, it ends early");
    yield checked(data.subarray(start, end), PAST) as Snapshot | Moment;
    at = end;
  }
}

function checked(data: ArrayBuffer | Uint8Array, shapes: Readonly<Record<string, Check>>): unknown {
  if (data.byteLength > MAX_MESSAGE_BYTES) {
    throw new ProtocolError(
      `expected at most ${MAX_MESSAGE_BYTES} bytes, got a message of ${data.byteLength}`,
    );
  }
  const message = unpack(data);
  const fault = messageFault(message, shapes);
  if (fault !== null) throw new ProtocolError(fault);
  return message;
}

function unpack(data: ArrayBuffer | Uint8Array): unknown {
  try {
    return decoder.decode(data);
  } catch (error) {
    throw new ProtocolError(`expected MessagePack: ${String(error)}`);
  }
}

type Shape = Readonly<Record<string, Check>>;

const word = text(1_000_000);
const count = whole(0, Number.MAX_SAFE_INTEGER);
const flag: Check = (value) => (typeof value === "boolean" ? null : "true or false");
const number = between(-Number.MAX_VALUE, Number.MAX_VALUE);

const oneOf =
  (...words: readonly string[]): Check =>
  (value) =>
    words.includes(value as string) ? null : words.join(" or ");

const listOf =
  (fault: Check, size?: number): Check =>
  (value) => {
    if (!Array.isArray(value) || (size !== undefined && value.length !== size)) return "a list";
    for (const item of value) {
      const wrong = fault(item);
      if (wrong !== null) return wrong;
    }
    return null;
  };

const mapOf =
  (shape: Shape): Check =>
  (value) => {
    if (!isMap(value)) return "a map";
    for (const field in shape) {
      const wrong = shape[field]?.(value[field]) ?? null;
      if (wrong !== null) return `${field}: ${wrong}, got ${shown(value[field])}`;
    }
    return null;
  };

const component: Check = (value) =>
  typeof value === "string" || Number.isInteger(value) ? null : "a count or a string";

const CHANGES: Readonly<Record<string, Check>> = {
  put: (value) => recordFault((value as { record: unknown }).record),
  patch: mapOf({ id: anyId, fields: (value) => (isMap(value) ? null : "a map of fields") }),
  delete: mapOf({ id: anyId }),
  edit: mapOf({ id: anyId, field: word, base: count, delta: listOf(component) }),
};

const change: Check = (value) => {
  if (!isMap(value) || typeof value["c"] !== "string") return "a change";
  const check = Object.hasOwn(CHANGES, value["c"]) ? CHANGES[value["c"]] : undefined;
  return check === undefined ? `no change that is called ${value["c"]}` : check(value);
};

const person = mapOf({ session: word, person: word, name: word, color, role, muted: flag });
const style = mapOf({
  kind: word,
  size: brushSize,
  color,
  opacity: fraction,
  erase: flag,
  pen: flag,
  layer: optional(recordId),
  frame: optional(recordId),
});
const model = mapOf({
  name: word,
  native_px: count,
  multiple_px: whole(1, 4_096),
  min_px: count,
  max_px: count,
  device: word,
  dtype: word,
  steps: count,
  guidance: number,
  sampler: word,
  live_steps: count,
  loras: listOf(word),
  controls: listOf(mapOf({ name: word, kind: word })),
});
const engine = mapOf({ state: word, detail: word, model: optional(model) });

const MESSAGES: Readonly<Record<ServerMessage["t"], Check>> = {
  welcome: mapOf({
    protocol: count,
    session: word,
    person: word,
    epoch: word,
    seq: count,
    mode: word,
    people: listOf(person),
    limits: mapOf({ message_bytes: count, blob_bytes: count, blob_px: count }),
    engine,
    now_ms: count,
    badge: word,
  }),
  snapshot: mapOf({ records: listOf(recordFault) }),
  ready: mapOf({ seq: count }),
  applied: mapOf({ seq: count, id: word, by: word, changes: listOf(change) }),
  ack: mapOf({ id: word, seq: count }),
  refused: mapOf({ id: word, code: word, reason: word }),
  history: mapOf({ undo: count, redo: count }),
  invited: mapOf({ id: word, link: word }),
  joined: mapOf({ person }),
  left: mapOf({ session: word }),
  peer_presence: mapOf({
    session: word,
    cursor: optional(listOf(coordinate, 2)),
    tool: word,
  }),
  peer_look: mapOf({ session: word, sight: listOf(number, 4) }),
  gathered: mapOf({ session: word }),
  peer_ink: mapOf({
    session: word,
    stroke: recordId,
    first: count,
    points: bytes(0, MAX_MESSAGE_BYTES),
    style: optional(style),
    end: flag,
  }),
  preview: mapOf({
    frame: recordId,
    job: recordId,
    index: count,
    step: count,
    steps: count,
    box: listOf(coordinate, 4),
    jpeg: bytes(1, MAX_MESSAGE_BYTES),
  }),
  engine,
  disk: mapOf({ state: oneOf("ok", "full", "failing") }),
  pong: mapOf({ n: number }),
};

/** What a history consists of. */
const PAST: Readonly<Record<string, Check>> = {
  snapshot: MESSAGES.snapshot,
  moment: mapOf({ seq: count, by: word, at_ms: count, changes: listOf(change) }),
};

function messageFault(message: unknown, shapes: Readonly<Record<string, Check>>): string | null {
  if (!isMap(message)) return `expected a message, got ${shown(message)}`;
  const kind = message["t"];
  const check = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
  if (check === undefined) return `expected a message that is known, got ${shown(kind)}`;
  const wrong = check(message);
  return wrong === null ? null : `${kind}: expected ${wrong}`;
}
