/**
 * A room's history, and what the room was at any moment of it. Pure.
 *
 * Every so many ops a copy of all records is kept (they are immutable, so that it is a map of
 * references): going anywhere takes a copy and the few ops after it.
 */

import type { Moment, RecordId, RoomRecord, Snapshot } from "../protocol/messages";
import { applyChange, type RecordChange } from "./changes";
import { recordOf } from "./work";

const MAX_COPIES = 32;
const MIN_OPS_A_COPY = 250;

export class Past {
  /** Oldest first, without gaps; the first has no changes: it is where history begins. */
  readonly moments: readonly Moment[];
  readonly #copies: ReadonlyMap<RecordId, RoomRecord>[] = [];
  readonly #opsACopy: number;
  #records = new Map<RecordId, RoomRecord>();
  #at = 0;

  /** Stands at the last moment. Throws DeltaError where an edit doesn't fit its text. */
  constructor(messages: Iterable<Snapshot | Moment>) {
    const moments: Moment[] = [];
    for (const message of messages) {
      if (message.t === "moment") moments.push(message);
      else for (const record of message.records) this.#records.set(record.id, record);
    }
    this.#opsACopy = Math.max(MIN_OPS_A_COPY, Math.ceil(moments.length / MAX_COPIES));
    for (const [index, moment] of moments.entries()) {
      follow(this.#records, moment);
      if (index % this.#opsACopy === 0) this.#copies.push(new Map(this.#records));
    }
    this.moments = moments;
    this.#at = moments.length - 1;
  }

  /** As of the moment that this stands at. */
  get records(): ReadonlyMap<RecordId, RoomRecord> {
    return this.#records;
  }

  /** Which of the moments this stands at. */
  get at(): number {
    return this.#at;
  }

  /** The last moment up to an op. */
  indexOf(seq: number): number {
    const first = this.moments[0]?.seq ?? 0;
    return Math.max(0, Math.min(this.moments.length - 1, seq - first));
  }

  /** Go to a moment, from 0 to the last; returns what changed on the way. */
  goTo(index: number): RecordChange[] {
    const copy = Math.floor(index / this.#opsACopy);
    const records = new Map(this.#copies[copy]);
    for (const moment of this.moments.slice(copy * this.#opsACopy + 1, index + 1)) {
      follow(records, moment);
    }
    const changes = difference(this.#records, records);
    // The same map stays: whoever shows it holds on to it.
    for (const { id, after } of changes) {
      if (after === undefined) this.#records.delete(id);
      else this.#records.set(id, after);
    }
    this.#at = index;
    return changes;
  }
}

function follow(records: Map<RecordId, RoomRecord>, { changes }: Moment): void {
  for (const change of changes) {
    const id = recordOf(change);
    const after = applyChange(records.get(id), change);
    if (after === undefined) records.delete(id);
    else records.set(id, after);
  }
}

function difference(
  from: ReadonlyMap<RecordId, RoomRecord>,
  to: ReadonlyMap<RecordId, RoomRecord>,
): RecordChange[] {
  const changes: RecordChange[] = [];
  for (const [id, before] of from) {
    const after = to.get(id);
    if (after !== before) changes.push({ id, before, after });
  }
  for (const [id, after] of to) {
    if (!from.has(id)) changes.push({ id, before: undefined, after });
  }
  return changes;
}
