/** Cuts what a person does at once into ops that fit the wire. */

import type { Change } from "../protocol/records";
import { MAX_CHANGES } from "../protocol/schema";

/** Until the server has said what it takes. */
const DEFAULT_MESSAGE_BYTES = 1024 * 1024;
/** About what a change takes on the wire apart from the geometry and the texts in it. */
const BASE_BYTES = 512;

export function inPieces(
  changes: readonly Change[],
  messageBytes = DEFAULT_MESSAGE_BYTES,
): readonly Change[][] {
  const pieces: Change[][] = [];
  let room = 0;
  for (const change of changes) {
    const size = sizeOf(change);
    const last = pieces.at(-1);
    if (last !== undefined && last.length < MAX_CHANGES && size <= room) {
      last.push(change);
      room -= size;
    } else {
      pieces.push([change]);
      room = messageBytes / 2 - size;
    }
  }
  return pieces;
}

function sizeOf(change: Change): number {
  if (change.c !== "put") return BASE_BYTES;
  const { record } = change;
  if ("points" in record) return BASE_BYTES + record.points.length;
  if ("text" in record) return BASE_BYTES + 4 * record.text.length;
  return record.type === "frame"
    ? BASE_BYTES + 4 * (record.prompt.length + record.negative.length)
    : BASE_BYTES;
}
