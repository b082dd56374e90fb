import { describe, expect, it } from "vitest";
import type { Applied, ClientMessage, Op } from "../src/protocol/messages";
import type { RoomRecord, TextField } from "../src/protocol/records";
import { textOf } from "../src/sync/changes";
import { Replica } from "../src/sync/replica";
import type { EditWork } from "../src/sync/work";
import { golden } from "./support/golden";

/** One step of a script: what somebody sends, and what the room makes of it. */
interface Step {
  readonly by: string;
  readonly send?: Extract<ClientMessage, { id: string }>;
  readonly applied?: Applied;
  /** What all hear but `seen_by`, who alone hears the whole of it. */
  readonly others?: Applied;
  readonly seen_by?: string;
  readonly author?: "ack" | "applied";
  readonly ack?: number;
  readonly refused?: string;
  readonly append?: Applied;
}
interface Script {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly records: readonly RoomRecord[];
}

const { scripts } = golden<{ scripts: readonly Script[] }>("protocol/room.json");

/** A replica with the messages that are on their way to it. */
class Reader {
  readonly replica: Replica;
  readonly #coming: Applied[] = [];

  constructor(readonly person: string) {
    this.replica = new Replica({ keep: () => {}, forget: () => {} }, () => "");
    this.replica.person = person;
    this.replica.reset("epoch", 0, []);
  }

  expect(message: Applied): void {
    this.#coming.push(message);
  }

  /** Take in what the room sent up to number `seq`. */
  read(seq = Number.POSITIVE_INFINITY): void {
    for (
      let next = this.#coming[0];
      next !== undefined && next.seq <= seq;
      next = this.#coming[0]
    ) {
      this.replica.applied(next);
      this.#coming.shift();
    }
  }
}

function send(reader: Reader, message: Extract<ClientMessage, { id: string }>): void {
  const edit =
    message.t === "op" ? message.changes.find((change) => change.c === "edit") : undefined;
  if (message.t === "op" && edit?.c === "edit") {
    reader.read(edit.base);
    reader.replica.push(asEdit(reader.replica, message, edit));
  } else {
    reader.read();
    if (message.t === "op") reader.replica.submit(message.id, message.changes);
    else reader.replica.push(message);
  }
  expect(reader.replica.takeNext()).toMatchObject({ t: message.t, id: message.id });
}

function asEdit(replica: Replica, { id }: Op, edit: Extract<Op["changes"][number], { c: "edit" }>) {
  const before = textOf(replica.confirmed.get(edit.id), edit.field) ?? "";
  const { id: record, delta } = edit;
  return {
    t: "edit",
    id,
    record,
    field: edit.field as TextField,
    before,
    delta,
  } satisfies EditWork;
}

function play(step: Step, readers: ReadonlyMap<string, Reader>): void {
  const author = readers.get(step.by);
  if (author === undefined) throw new Error(`expected somebody called ${step.by}`);
  if (step.send !== undefined) send(author, step.send);
  for (const reader of readers.values()) {
    const all = step.applied ?? step.append;
    const message = reader.person === step.seen_by ? all : (step.others ?? all);
    if (message === undefined) continue;
    if (reader !== author || step.author !== "ack") reader.expect(message);
  }
  const id = step.send?.id ?? "";
  author.read();
  if (step.refused !== undefined) author.replica.refused(id, step.refused);
  if (step.ack !== undefined) author.replica.ack(id, step.ack);
  if (step.author === "ack") author.replica.ack(id, step.applied?.seq ?? 0);
}

function byId(records: Iterable<RoomRecord>): RoomRecord[] {
  return [...records].sort((a, b) => (a.id < b.id ? -1 : 1));
}

describe("scripts that the server's room passes too", () => {
  // An edit that is refused for what it is can't be made by a replica.
  const isPlayable = (step: Step) => step.refused !== "bad_edit" && step.refused !== "stale_text";

  it.each(scripts)("$name", ({ steps, records }) => {
    const people = ["ann", "bob", "watching"];
    const readers = new Map(people.map((person) => [person, new Reader(person)]));
    for (const step of steps.filter(isPlayable)) play(step, readers);
    for (const reader of readers.values()) {
      reader.read();
      expect(byId(reader.replica.confirmed.values())).toEqual(byId(records));
      expect(byId(reader.replica.view.values())).toEqual(byId(records));
      expect(reader.replica.outbox.entries).toEqual([]);
    }
  });
});
