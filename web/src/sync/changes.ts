/** What a change makes of a record; the same rules as in the server's room. */

import type { Change, RecordId, RoomRecord } from "../protocol/records";
import { isTextField } from "../protocol/schema";
import { apply } from "./text";

/** What became of a record; undefined where there was none, or is none any more. */
export interface RecordChange {
  id: RecordId;
  before: RoomRecord | undefined;
  after: RoomRecord | undefined;
}

/**
 * The record after `change`, undefined where there is none.
 *
 * Delete beats patch and edit: a change of a record that isn't there does nothing. Throws
 * DeltaError where an edit doesn't fit the text.
 */
export function applyChange(
  record: RoomRecord | undefined,
  change: Change,
): RoomRecord | undefined {
  if (change.c === "put") return change.record;
  if (record === undefined || change.c === "delete") return undefined;
  if (change.c === "patch") return { ...record, ...change.fields } as RoomRecord;
  return withText(record, change.field, (text) => apply(text, change.delta));
}

export function textOf(record: RoomRecord | undefined, field: string): string | undefined {
  if (record === undefined || !isTextField(record.type, field)) return undefined;
  return (record as unknown as Record<string, string>)[field];
}

export function withText(
  record: RoomRecord,
  field: string,
  edit: (text: string) => string,
): RoomRecord {
  const text = textOf(record, field);
  return text === undefined ? record : ({ ...record, [field]: edit(text) } as RoomRecord);
}
