/** What a person has done and the server has not answered yet, in the order it was done. */

import type {
  Accept,
  Cancel,
  Discard,
  Generate,
  Moderate,
  Redo,
  Undo,
  Vote,
} from "../protocol/messages";
import {
  type Change,
  type Delta,
  type RecordId,
  TEXT_FIELDS,
  type TextField,
} from "../protocol/records";
import { isMap, opId, recordId, submitFault } from "../protocol/schema";
import { apply } from "./text";

/** Changes of records, apart from typing. */
export interface OpWork {
  readonly t: "op";
  readonly id: string;
  readonly changes: readonly Change[];
}

/** Typing into one text field. `before` is the text that `delta` was made on. */
export interface EditWork {
  readonly t: "edit";
  readonly id: string;
  readonly record: RecordId;
  readonly field: TextField;
  readonly before: string;
  readonly delta: Delta;
}

export type Work =
  | OpWork
  | EditWork
  | Undo
  | Redo
  | Accept
  | Discard
  | Moderate
  | Vote
  | Generate
  | Cancel;
/** Work that is an edit of the room, and so must outlive a crash of the browser. */
export type LastingWork = Exclude<Work, Moderate | Vote | Generate | Cancel>;

export function isLasting(work: Work): work is LastingWork {
  return !["moderate", "vote", "generate", "cancel"].includes(work.t);
}

/** Which records `work` changes at once in the view; the server decides what the rest does. */
export function touched(work: Work): readonly RecordId[] {
  if (work.t === "edit") return [work.record];
  if (work.t !== "op") return [];
  return [...new Set(work.changes.map(recordOf))];
}

export function recordOf(change: Change): RecordId {
  return change.c === "put" ? change.record.id : change.id;
}

/** Read what was kept, maybe by another version of this page; null where it is no such work. */
export function readWork(value: unknown): LastingWork | null {
  if (!isMap(value) || opId(value["id"]) !== null) return null;
  const work = value as unknown as LastingWork;
  switch (work.t) {
    case "op":
      return Array.isArray(work.changes) && work.changes.every(isSendable) ? work : null;
    case "edit":
      return recordId(work.record) === null && fits(work) ? work : null;
    case "undo":
    case "redo":
      return work;
    case "accept":
      return recordId(work.candidate) === null && recordId(work.image) === null ? work : null;
    case "discard":
      return recordId(work.candidate) === null ? work : null;
    default:
      return null;
  }
}

function isSendable(change: unknown): boolean {
  return isMap(change) && submitFault(change as unknown as Change, undefined) === null;
}

function fits(work: EditWork): boolean {
  try {
    apply(work.before, work.delta);
    return TEXT_FIELDS.includes(work.field);
  } catch {
    return false;
  }
}
