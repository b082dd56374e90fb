/** What people stick to a canvas and say about it: notes, threads of comments, the chat. Pure. */

import type { Chat, Comment, Note, RecordId, RoomRecord } from "../protocol/records";
import type { RecordChange } from "./changes";

export interface Thread {
  readonly first: Comment;
  /** Oldest first. */
  readonly answers: readonly Comment[];
}

/** A copy of these records by kind, so that nobody has to look through all that is drawn. */
export class Board {
  readonly #notes = new Map<RecordId, Note>();
  readonly #lines = new Map<RecordId, Chat>();
  readonly #comments = new Map<RecordId, Comment>();

  constructor(records: ReadonlyMap<RecordId, RoomRecord>) {
    for (const record of records.values()) this.#take(record);
  }

  /** Whether any of it changed. */
  apply(changes: readonly RecordChange[]): boolean {
    let changed = false;
    for (const { id, before, after } of changes) {
      if (!isOfBoard(before ?? after)) continue;
      changed = true;
      if (after === undefined) this.#drop(id);
      else this.#take(after);
    }
    return changed;
  }

  /** Lowest first. */
  get notes(): Note[] {
    return [...this.#notes.values()].sort((a, b) => compare(a.z, b.z) || compare(a.id, b.id));
  }

  /** Oldest first; one's own that the server hasn't taken yet come last. */
  get lines(): Chat[] {
    return [...this.#lines.values()].sort(byTime);
  }

  /** Oldest first. */
  get threads(): Thread[] {
    const answers = new Map<RecordId, Comment[]>();
    const firsts: Comment[] = [];
    for (const comment of [...this.#comments.values()].sort(byTime)) {
      if (comment.thread === null) firsts.push(comment);
      else answers.set(comment.thread, [...(answers.get(comment.thread) ?? []), comment]);
    }
    return firsts.map((first) => ({ first, answers: answers.get(first.id) ?? [] }));
  }

  #take(record: RoomRecord): void {
    if (record.type === "note") this.#notes.set(record.id, record);
    else if (record.type === "chat") this.#lines.set(record.id, record);
    else if (record.type === "comment") this.#comments.set(record.id, record);
  }

  #drop(id: RecordId): void {
    this.#notes.delete(id);
    this.#lines.delete(id);
    this.#comments.delete(id);
  }
}

function isOfBoard(record: RoomRecord | undefined): boolean {
  return record?.type === "note" || record?.type === "chat" || record?.type === "comment";
}

function byTime(a: Chat | Comment, b: Chat | Comment): number {
  return a.at_ms - b.at_ms || compare(a.id, b.id);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
