/**
 * The queue of work that waits for the server's answer. Knows no sockets and no records.
 *
 * First in, first out: what was done first is sent first, so that "type, then Generate" makes the
 * picture of what was typed. At most one edit of a text field is on its way; the next one of
 * that field holds the queue until it is answered, because only then it is known what it is an
 * edit of.
 */

import type { Delta, RecordId } from "../protocol/records";
import { type EditWork, isLasting, touched, type Work } from "./work";

export interface Entry {
  work: Work;
  /** Was ever sent, here or before a reload: the room may have it already. */
  tried: boolean;
  /** The delta as it went out, where `work` is an edit; null before, and for a probe. */
  sentDelta: Delta | null;
}

export type EditEntry = Entry & { work: EditWork };

export class Outbox {
  /** How many may be on their way at once. */
  window = 32;
  readonly #entries: Entry[] = [];
  readonly #touching = new Map<RecordId, Entry[]>();
  /** As many entries at the front are on their way over the present connection. */
  #numSent = 0;

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** Edits of the room that the server has not answered. */
  get unsaved(): number {
    return this.#entries.reduce((count, entry) => count + (isLasting(entry.work) ? 1 : 0), 0);
  }

  get inFlight(): readonly Entry[] {
    return this.#entries.slice(0, this.#numSent);
  }

  add(work: Work, tried = false): Entry {
    const entry = { work, tried, sentDelta: null };
    this.#entries.push(entry);
    for (const id of touched(work)) {
      const others = this.#touching.get(id);
      if (others === undefined) this.#touching.set(id, [entry]);
      else others.push(entry);
    }
    return entry;
  }

  remove(entry: Entry): void {
    if (remove(this.#entries, entry) < this.#numSent) this.#numSent--;
    for (const id of touched(entry.work)) {
      const others = this.#touching.get(id);
      if (others === undefined) continue;
      remove(others, entry);
      if (others.length === 0) this.#touching.delete(id);
    }
  }

  find(id: string): Entry | undefined {
    return this.#entries.find((entry) => entry.work.t !== "cancel" && entry.work.id === id);
  }

  /** The work that changes this record, oldest first. */
  touching(record: RecordId): readonly Entry[] {
    return this.#touching.get(record) ?? [];
  }

  /** The edits of one text, oldest first; each is made on what the one before leaves. */
  edits(record: RecordId, field: string): readonly EditEntry[] {
    return this.touching(record).filter(
      (entry): entry is EditEntry => entry.work.t === "edit" && entry.work.field === field,
    );
  }

  /** The next entry that may be sent, or undefined where the queue has to wait. */
  get next(): Entry | undefined {
    const next = this.#entries[this.#numSent];
    if (next === undefined || this.#numSent >= this.window || this.#isAsking) return undefined;
    if (next.work.t !== "edit") return next;
    return this.edits(next.work.record, next.work.field)[0] === next ? next : undefined;
  }

  /** Whether an edit is asked after: only the answer tells what to send in its place. */
  get #isAsking(): boolean {
    return this.inFlight.some((entry) => entry.work.t === "edit" && entry.sentDelta === null);
  }

  /** Put `next` on its way. */
  send(entry: Entry, delta: Delta | null): void {
    entry.tried = true;
    entry.sentDelta = delta;
    this.#numSent++;
  }

  /** What is on its way has to be sent once more, before all that wasn't sent yet. */
  requeue(entry: Entry): void {
    remove(this.#entries, entry);
    this.#numSent--;
    this.#entries.splice(this.#numSent, 0, entry);
    entry.sentDelta = null;
  }

  /** The connection is gone: nothing is on its way any more. */
  recall(): void {
    for (const entry of this.inFlight) entry.sentDelta = null;
    this.#numSent = 0;
  }
}

/** Returns where `item` was. */
function remove<T>(list: T[], item: T): number {
  const at = list.indexOf(item);
  if (at < 0) throw new Error("expected an entry of this queue");
  list.splice(at, 1);
  return at;
}
