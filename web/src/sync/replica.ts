/**
 * This browser's copy of a room: what the server confirmed, and one's own pending work on top.
 *
 * Pure: no socket, clock or storage. Commands (`submit`, `setText`, `push`) add work; `takeNext`
 * says what to send; `applied`, `ack` and `refused` take the answers. Every one that changes
 * what the person sees returns the changes.
 *
 * Typing follows Jupiter (Nichols et al. 1995): the server orders all edits, so that each pending
 * edit only has to be transformed past what comes in, and the log's own goes first on a tie.
 * After a snapshot nobody can say what happened to a text in between. Then its pending edits
 * keep standing on the text that they were made on (`#stranded`) until the server has said whether
 * it has them, and are moved over the difference of the two texts.
 */

import type { Applied, ClientMessage, Op } from "../protocol/messages";
import {
  type Change,
  type Delta,
  type RecordId,
  type RoomRecord,
  TEXT_FIELDS,
  type TextField,
} from "../protocol/records";
import { MAX_DELTA } from "../protocol/schema";
import { applyChange, type RecordChange, textOf, withText } from "./changes";
import { type EditEntry, type Entry, Outbox } from "./outbox";
import { apply, compose, diff, invert, transform } from "./text";
import { type EditWork, isLasting, type LastingWork, recordOf, type Work } from "./work";

/** What came in doesn't follow from what came before: join anew, from a snapshot. */
export class DesyncError extends Error {
  override name = "DesyncError";
}

/** Where lasting work is kept until it is answered. */
export interface Keeper {
  keep(work: LastingWork): void;
  forget(id: string): void;
}

export class Replica {
  readonly outbox = new Outbox();
  /** Whose work `submit` stamps. */
  person = "";
  epoch = "";
  /** Number of the last op of the room that is in here. */
  seq = 0;
  #confirmed = new Map<RecordId, RoomRecord>();
  readonly #view = new Map<RecordId, RoomRecord>();
  /** Texts, by `textKey`, whose pending edits stand on what the text was before a snapshot. */
  readonly #stranded = new Set<string>();
  readonly #keeper: Keeper;
  readonly #newId: () => string;

  constructor(keeper: Keeper, newId: () => string) {
    this.#keeper = keeper;
    this.#newId = newId;
  }

  /** What the person sees. */
  get view(): ReadonlyMap<RecordId, RoomRecord> {
    return this.#view;
  }

  get confirmed(): ReadonlyMap<RecordId, RoomRecord> {
    return this.#confirmed;
  }

  // --- one's own work ---------------------------------------------------------------------

  submit(id: string, changes: readonly Change[]): RecordChange[] {
    const stamped = changes.map((change) => this.#stamp(change));
    this.#add({ t: "op", id, changes: stamped });
    return this.#refresh(stamped.map(recordOf));
  }

  /** Typing into a text that isn't there does nothing. */
  setText(record: RecordId, field: TextField, text: string): RecordChange[] {
    const before = textOf(this.#view.get(record), field);
    if (before === undefined || before === text) return [];
    const last = this.outbox.entries.at(-1);
    const waits = last !== undefined && this.outbox.inFlight.at(-1) !== last && !last.tried;
    if (waits && isEditOf(last, record, field)) {
      const delta = shortened(last.work.before, compose(last.work.delta, diff(before, text)));
      if (delta.length === 0) this.#drop(last);
      else this.#replace(last, { ...last.work, delta });
    } else {
      const delta = diff(before, text);
      this.#add({ t: "edit", id: this.#newId(), record, field, before, delta });
    }
    return this.#refresh([record]);
  }

  /** Work that only the server can do. */
  push(work: Work): void {
    this.#add(work);
  }

  /** Take over what an earlier page left behind, oldest first; the room may have some of it. */
  adopt(works: readonly LastingWork[]): RecordChange[] {
    const records = new Set<RecordId>();
    for (const work of works) {
      this.outbox.add(work, true);
      if (work.t === "edit") this.#stranded.add(textKey(work.record, work.field));
      for (const id of recordsOf(work)) records.add(id);
    }
    this.#straighten();
    return this.#refresh(records);
  }

  // --- sending ----------------------------------------------------------------------------

  /** The next message to send, marked as sent; undefined where nothing can go. */
  takeNext(): ClientMessage | undefined {
    const entry = this.outbox.next;
    if (entry === undefined) return undefined;
    const work = entry.work;
    if (work.t === "edit") return this.#takeEdit(entry as EditEntry, work);
    this.outbox.send(entry, null);
    if (work.t === "cancel") this.outbox.remove(entry);
    return work;
  }

  #takeEdit(entry: EditEntry, work: EditWork): ClientMessage | undefined {
    if (this.#isStranded(entry)) {
      if (entry.tried) {
        this.outbox.send(entry, null);
        return probe(work.id);
      }
      this.#land(work.record, work.field);
    }
    const { record, field, delta } = entry.work;
    if (delta.length === 0 || !this.outbox.entries.includes(entry)) {
      if (delta.length === 0) this.#drop(entry);
      return this.takeNext();
    }
    this.outbox.send(entry, delta);
    return {
      t: "op",
      id: entry.work.id,
      changes: [{ c: "edit", id: record, field, base: this.seq, delta }],
    };
  }

  // --- what comes in ----------------------------------------------------------------------

  disconnected(): void {
    this.outbox.recall();
  }

  /** Start over from a whole room; its pending work stays. */
  reset(epoch: string, seq: number, records: readonly RoomRecord[]): RecordChange[] {
    for (const entry of this.outbox.entries) {
      if (entry.work.t !== "edit") continue;
      this.#stranded.add(textKey(entry.work.record, entry.work.field));
    }
    this.epoch = epoch;
    this.seq = seq;
    this.#confirmed = new Map(records.map((record) => [record.id, record]));
    return this.#refresh(new Set([...this.#view.keys(), ...this.#confirmed.keys()]));
  }

  /** All that was missed is in: what was asked for and is there need not be asked for again. */
  caughtUp(seq: number): void {
    if (seq !== this.seq) throw new DesyncError(`expected to stand at ${this.seq}, got ${seq}`);
    for (const entry of [...this.outbox.entries]) {
      if (entry.work.t === "generate" && this.#confirmed.has(entry.work.id)) this.#drop(entry);
    }
  }

  /** An op as the room took it: somebody else's, or one's own that it had to alter or to make. */
  applied(message: Applied): RecordChange[] {
    if (message.seq <= this.seq) return [];
    this.#advance(message.seq);
    const own = this.outbox.find(message.id);
    if (own !== undefined && isEdit(own) && !this.#isStranded(own)) {
      return this.#settleEdit(own, editsOf(message.changes));
    }
    const ids = new Set(own === undefined ? [] : recordsOf(own.work));
    if (own !== undefined) this.#drop(own);
    for (const change of message.changes) {
      ids.add(recordOf(change));
      this.#confirm(change);
      const job = change.c === "put" && change.record.type === "job" ? change.record.id : "";
      const asked = this.outbox.find(job);
      if (asked?.work.t === "generate") this.#drop(asked);
    }
    return this.#refresh(ids);
  }

  /** The room took one's own op just as it was sent, as number `seq`; 0 where that did nothing. */
  ack(id: string, seq: number): RecordChange[] {
    const own = this.outbox.find(id);
    if (own === undefined) {
      if (seq > this.seq) throw new DesyncError(`expected an op that is pending, got ${id}`);
      return [];
    }
    if (isEdit(own) && own.sentDelta === null) return this.#probed(own, seq);
    const isNew = seq > this.seq;
    if (isNew) this.#advance(seq);
    if (isEdit(own)) return this.#settleEdit(own, isNew ? (own.sentDelta ?? []) : []);
    this.#drop(own);
    const work = own.work;
    if (work.t !== "op") return [];
    if (isNew) for (const change of work.changes) this.#confirm(this.#stamp(change));
    return this.#refresh(recordsOf(work));
  }

  /** Roll back; returns also the work, undefined where it was unknown or is tried once more. */
  refused(id: string, code: string): { work: Work | undefined; changes: RecordChange[] } {
    const own = this.outbox.find(id);
    if (own === undefined) return { work: undefined, changes: [] };
    if (isEdit(own)) {
      if (own.sentDelta === null) return { work: undefined, changes: this.#probed(own, 0) };
      if (code === "stale_text") return { work: undefined, changes: this.#renew(own) };
      return { work: own.work, changes: this.#settleEdit(own, []) };
    }
    this.#drop(own);
    return { work: own.work, changes: this.#refresh(recordsOf(own.work)) };
  }

  // --- texts ------------------------------------------------------------------------------

  /** Nothing typed is lost: what came too late is sent again as an edit of the text as it is. */
  #renew(own: EditEntry): RecordChange[] {
    this.outbox.requeue(own);
    return this.#refresh([own.work.record]);
  }

  /** The room took `delta` for the oldest pending edit of a text. */
  #settleEdit(own: EditEntry, delta: Delta): RecordChange[] {
    const { record, field } = own.work;
    const confirmed = this.#confirmed.get(record);
    const text = textOf(confirmed, field);
    this.#drop(own);
    if (confirmed === undefined || text === undefined) {
      // The record is gone, and with it whatever was typed into it since.
      for (const entry of this.outbox.edits(record, field)) this.#drop(entry);
    } else {
      const isAsExpected = sameDelta(own.work.delta, delta);
      if (!isAsExpected) {
        const rollback = invert(own.work.delta, text);
        this.#rebase(record, field, compose(rollback, delta));
      }
      const after = apply(text, delta);
      this.#confirmed.set(
        record,
        withText(confirmed, field, () => after),
      );
      this.#standOn(record, field, after);
    }
    return this.#refresh([record]);
  }

  /** Change all pending edits of a text so that they come after `against`. */
  #rebase(record: RecordId, field: string, against: Delta): void {
    let other = against;
    for (const entry of this.outbox.edits(record, field)) {
      const mine = entry.work.delta;
      entry.work = { ...entry.work, delta: transform(mine, other, { first: false }) };
      other = transform(other, mine, { first: true });
    }
  }

  /** Note in each pending edit which text it is made on. */
  #standOn(record: RecordId, field: string, text: string): void {
    let before = text;
    for (const entry of this.outbox.edits(record, field)) {
      entry.work = { ...entry.work, before };
      before = apply(before, entry.work.delta);
    }
  }

  #isStranded(entry: EditEntry): boolean {
    return this.#stranded.has(textKey(entry.work.record, entry.work.field));
  }

  /** What an earlier page left may hold edits that no longer follow from each other. */
  #straighten(): void {
    const texts = new Map<string, string>();
    for (const entry of this.outbox.entries) {
      if (isEdit(entry)) {
        const key = textKey(entry.work.record, entry.work.field);
        const text = texts.get(key) ?? entry.work.before;
        const moved = diff(entry.work.before, text);
        const delta = transform(entry.work.delta, moved, { first: false });
        entry.work = { ...entry.work, before: text, delta };
        texts.set(key, apply(text, delta));
      }
    }
  }

  /** The server has said whether it knows the oldest pending edit of a stranded text. */
  #probed(own: EditEntry, seq: number): RecordChange[] {
    const { record, field } = own.work;
    if (seq > 0) {
      this.#drop(own);
      if (this.outbox.edits(record, field)[0]?.tried !== true) this.#land(record, field);
    } else {
      this.outbox.requeue(own);
      this.#land(record, field);
    }
    return this.#refresh([record]);
  }

  /** Move the pending edits of a stranded text over to the text as it is now. */
  #land(record: RecordId, field: string): void {
    const first = this.outbox.edits(record, field)[0];
    const text = textOf(this.#confirmed.get(record) ?? this.#pendingPut(record), field);
    this.#stranded.delete(textKey(record, field));
    if (first === undefined) return;
    if (text === undefined) {
      for (const entry of this.outbox.edits(record, field)) this.#drop(entry);
    } else {
      this.#rebase(record, field, diff(first.work.before, text));
      this.#standOn(record, field, text);
    }
  }

  /** The record as one's own put of it will make it, should it not be there yet. */
  #pendingPut(record: RecordId): RoomRecord | undefined {
    const changes = this.outbox
      .touching(record)
      .flatMap(({ work }) => (work.t === "op" ? work.changes : []));
    const put = changes.find((change) => change.c === "put" && change.record.id === record);
    return put?.c === "put" ? put.record : undefined;
  }

  // --- records ----------------------------------------------------------------------------

  #advance(seq: number): void {
    if (seq !== this.seq + 1) {
      throw new DesyncError(`expected the op with number ${this.seq + 1}, got ${seq}`);
    }
    this.seq = seq;
  }

  /** Apply a change that the room took, and let the pending edits follow it. */
  #confirm(change: Change): void {
    const id = recordOf(change);
    const before = this.#confirmed.get(id);
    const after = applyChange(before, change);
    if (after === undefined) this.#confirmed.delete(id);
    else this.#confirmed.set(id, after);
    if (after === undefined || this.outbox.touching(id).length === 0) return;
    for (const field of TEXT_FIELDS) {
      const first = this.outbox.edits(id, field)[0];
      const text = textOf(after, field);
      if (first === undefined || text === undefined) continue;
      if (this.#stranded.has(textKey(id, field))) continue;
      if (text === first.work.before) continue;
      const isEdit = change.c === "edit" && change.field === field && before !== undefined;
      this.#rebase(id, field, isEdit ? change.delta : diff(first.work.before, text));
      this.#standOn(id, field, text);
    }
  }

  #stamp(change: Change): Change {
    if (change.c !== "put" || change.record.by === this.person) return change;
    return { c: "put", record: { ...change.record, by: this.person } };
  }

  #add(work: Work): void {
    this.outbox.add(work);
    if (isLasting(work)) this.#keeper.keep(work);
  }

  #replace(entry: EditEntry, work: EditWork): void {
    entry.work = work;
    this.#keeper.keep(work);
  }

  #drop(entry: Entry): void {
    this.outbox.remove(entry);
    if (entry.work.t === "edit") {
      const { record, field } = entry.work;
      if (this.outbox.edits(record, field).length === 0) {
        this.#stranded.delete(textKey(record, field));
      }
    }
    if (entry.work.t !== "cancel") this.#keeper.forget(entry.work.id);
  }

  /** Bring the view up to date for these records; returns what changed in it. */
  #refresh(ids: Iterable<RecordId>): RecordChange[] {
    const changes: RecordChange[] = [];
    for (const id of new Set(ids)) {
      const before = this.#view.get(id);
      const after = this.#resolve(id);
      if (before === after) continue;
      if (after === undefined) this.#view.delete(id);
      else this.#view.set(id, after);
      changes.push({ id, before, after });
    }
    return changes;
  }

  #resolve(id: RecordId): RoomRecord | undefined {
    let record = this.#confirmed.get(id);
    for (const entry of this.outbox.touching(id)) {
      const work = entry.work;
      if (work.t === "edit") {
        // `before` is kept equal to what the edit stands on, stranded or not.
        if (record !== undefined) {
          record = withText(record, work.field, () => apply(work.before, work.delta));
        }
      } else if (work.t === "op") {
        record = resolveOp(id, record, work.changes);
      }
    }
    return record;
  }
}

function resolveOp(
  id: RecordId,
  confirmed: RoomRecord | undefined,
  changes: readonly Change[],
): RoomRecord | undefined {
  let record = confirmed;
  for (const change of changes) {
    if (recordOf(change) !== id) continue;
    // A pending put of what is there already is one that the room has taken.
    if (change.c !== "put" || record === undefined) record = applyChange(record, change);
  }
  return record;
}

/**
 * Changes nothing, and is answered with the number of the op with this id if the room has it.
 * If not, the id is as good as new: the room remembers only what changed something.
 */
function probe(id: string): Op {
  return { t: "op", id, changes: [{ c: "delete", id }] };
}

function isEdit(entry: Entry): entry is EditEntry {
  return entry.work.t === "edit";
}

function isEditOf(entry: Entry, record: RecordId, field: string): entry is EditEntry {
  return isEdit(entry) && entry.work.record === record && entry.work.field === field;
}

function recordsOf(work: Work): RecordId[] {
  if (work.t === "edit") return [work.record];
  return work.t === "op" ? work.changes.map(recordOf) : [];
}

function editsOf(changes: readonly Change[]): Delta {
  const edit = changes.find((change) => change.c === "edit");
  return edit?.c === "edit" ? edit.delta : [];
}

function sameDelta(a: Delta, b: Delta): boolean {
  return a.length === b.length && a.every((component, i) => component === b[i]);
}

/** The same edit in few parts, should it have become too long for the wire. */
function shortened(before: string, delta: Delta): Delta {
  return delta.length <= MAX_DELTA ? delta : diff(before, apply(before, delta));
}

function textKey(record: RecordId, field: string): string {
  return `${record}/${field}`;
}
