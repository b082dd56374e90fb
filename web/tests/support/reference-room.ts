/** The server's rules of a room, as small as can be: what the replicas are tried against. */

import type {
  Applied,
  ClientMessage,
  Hello,
  ServerMessage,
  Welcome,
} from "../../src/protocol/messages";
import type { Change, Delta, RoomRecord } from "../../src/protocol/records";
import { applyChange, textOf } from "../../src/sync/changes";
import { transform } from "../../src/sync/text";
import { recordOf } from "../../src/sync/work";

interface LoggedEdit {
  readonly seq: number;
  readonly key: string;
  readonly delta: Delta;
}

export interface Seat {
  readonly person: string;
  send(message: ServerMessage): void;
}

export class ReferenceRoom {
  readonly records = new Map<string, RoomRecord>();
  epoch = "epoch-1";
  #log: Applied[] = [];
  #seq = 0;
  readonly #seen = new Map<string, number>();
  readonly #edits: LoggedEdit[] = [];
  readonly #bornAt = new Map<string, { seq: number; isRestored: boolean }>();
  readonly #steps = new Map<string, Change[][]>();
  readonly #seats = new Set<Seat>();

  join(seat: Seat, hello: Hello): void {
    const { resume } = hello;
    const first = this.#log[0]?.seq ?? this.#seq + 1;
    const canTail = resume?.epoch === this.epoch && resume.seq >= first - 1;
    seat.send(this.#welcome(seat, canTail ? "tail" : "snapshot"));
    if (canTail) {
      for (const message of this.#log) if (message.seq > resume.seq) seat.send(message);
    } else {
      seat.send({ t: "snapshot", records: [...this.records.values()] });
    }
    seat.send({ t: "history", undo: this.#steps.get(seat.person)?.length ?? 0, redo: 0 });
    seat.send({ t: "ready", seq: this.#seq });
    this.#seats.add(seat);
  }

  leave(seat: Seat): void {
    this.#seats.delete(seat);
  }

  /** From here on nobody can catch up but by a snapshot. */
  compact(): void {
    this.#log = [];
  }

  receive(seat: Seat, message: ClientMessage): void {
    if (message.t !== "op" && message.t !== "undo") return;
    const known = this.#seen.get(message.id);
    if (known !== undefined) {
      seat.send({ t: "ack", id: message.id, seq: known });
    } else if (message.t === "undo") {
      this.#undo(seat, message.id);
    } else {
      this.#submit(seat, message.id, message.changes);
    }
  }

  #submit(seat: Seat, id: string, asked: readonly Change[]): void {
    const draft = this.#draft(asked, seat.person);
    if ("code" in draft) {
      seat.send({ t: "refused", id, code: draft.code, reason: "no" });
    } else if (draft.taken.length === 0) {
      seat.send({ t: "ack", id, seq: 0 });
    } else {
      if (draft.taken.some((change) => change.c !== "edit")) {
        const steps = this.#steps.get(seat.person) ?? [];
        this.#steps.set(seat.person, [...steps, this.#inverse(draft.taken)]);
      }
      this.#take(id, seat.person, draft.taken, draft.isAltered ? undefined : seat);
    }
  }

  /** The changes that have an effect, or why there can be none. */
  #draft(
    asked: readonly Change[],
    person: string,
  ): { taken: Change[]; isAltered: boolean } | { code: string } {
    const taken: Change[] = [];
    let isAltered = false;
    const records = new Map(this.records);
    for (const change of asked) {
      const record = records.get(recordOf(change));
      if (change.c === "put" && record !== undefined) return { code: "exists" };
      const outcome =
        change.c === "put" || record !== undefined ? this.#asTaken(change, person) : null;
      if (outcome === "stale") return { code: "stale_text" };
      isAltered ||= outcome === null || (change.c === "edit" && !sameDelta(change, outcome));
      if (outcome === null) continue;
      taken.push(outcome);
      const after = applyChange(record, outcome);
      if (after === undefined) records.delete(recordOf(change));
      else records.set(recordOf(change), after);
    }
    return { taken, isAltered };
  }

  #asTaken(change: Change, person: string): Change | null | "stale" {
    if (change.c === "put") return { c: "put", record: { ...change.record, by: person } };
    if (change.c !== "edit") return change;
    const born = this.#bornAt.get(change.id) ?? { seq: 0, isRestored: false };
    if (born.isRestored && change.base < born.seq) return "stale";
    let delta = change.delta;
    for (const edit of this.#edits) {
      if (edit.key !== `${change.id}/${change.field}`) continue;
      if (edit.seq > Math.max(change.base, born.seq)) {
        delta = transform(delta, edit.delta, { first: false });
      }
    }
    return delta.length === 0 ? null : { ...change, base: this.#seq, delta };
  }

  #undo(seat: Seat, id: string): void {
    const step = this.#steps.get(seat.person)?.pop() ?? [];
    const changes = step.filter((change) =>
      change.c === "put" ? !this.records.has(recordOf(change)) : this.records.has(recordOf(change)),
    );
    if (changes.length > 0) this.#take(id, seat.person, changes, undefined);
    else seat.send({ t: "refused", id, code: "nothing_to_undo", reason: "nothing to undo" });
  }

  #inverse(changes: readonly Change[]): Change[] {
    return changes.flatMap((change): Change[] => {
      const before = this.records.get(recordOf(change));
      if (change.c === "put") return [{ c: "delete", id: recordOf(change) }];
      if (change.c === "delete" && before !== undefined) return [{ c: "put", record: before }];
      return [];
    });
  }

  /** `quiet` gets a mere ack. */
  #take(id: string, by: string, changes: readonly Change[], quiet: Seat | undefined): void {
    this.#seq++;
    this.#seen.set(id, this.#seq);
    for (const change of changes) {
      const at = recordOf(change);
      if (change.c === "put")
        this.#bornAt.set(at, { seq: this.#seq, isRestored: quiet === undefined });
      if (change.c === "edit") {
        this.#edits.push({ seq: this.#seq, key: `${at}/${change.field}`, delta: change.delta });
      }
      const after = applyChange(this.records.get(at), change);
      if (after === undefined) this.records.delete(at);
      else this.records.set(at, after);
    }
    const applied: Applied = { t: "applied", seq: this.#seq, id, by, changes };
    this.#log.push(applied);
    for (const seat of this.#seats) {
      seat.send(seat === quiet ? { t: "ack", id, seq: this.#seq } : applied);
    }
  }

  #welcome(seat: Seat, mode: Welcome["mode"]): Welcome {
    return {
      t: "welcome",
      protocol: 1,
      session: `session-of-${seat.person}`,
      person: seat.person,
      epoch: this.epoch,
      seq: this.#seq,
      mode,
      people: [],
      limits: { message_bytes: 1 << 20, blob_bytes: 1 << 25, blob_px: 1 << 26 },
      engine: { t: "engine", state: "ready", detail: "", model: null, models: [], infos: [] },
      now_ms: 0,
      badge: "badge",
    };
  }
}

function sameDelta(a: Change, b: Change | null): boolean {
  return a.c === "edit" && b?.c === "edit" && JSON.stringify(a.delta) === JSON.stringify(b.delta);
}

export function promptOf(record: RoomRecord | undefined): string | undefined {
  return textOf(record, "prompt");
}
