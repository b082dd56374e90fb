import { describe, expect, it } from "vitest";
import { promptOf } from "./support/reference-room";
import { Storm } from "./support/storm";

/** More, and others: `ATELIER_STORMS=2000 ATELIER_SEED=5000 npx vitest run tests/storm.test.ts` */
const NUM_STORMS = Number(process.env["ATELIER_STORMS"] ?? 120);
const FIRST_SEED = Number(process.env["ATELIER_SEED"] ?? 1);
const NUM_TURNS = 400;

function byId(records: ReadonlyMap<string, { id: string }>) {
  return [...records.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function weather(seed: number, deletes: boolean): Storm {
  const storm = new Storm(seed, 3, { deletes });
  try {
    for (let turn = 0; turn < NUM_TURNS; turn++) storm.turn();
    storm.settle();
    for (const { session } of storm.people) {
      expect(byId(session.records)).toEqual(byId(storm.room.records));
      expect(session.unsaved).toBe(0);
    }
  } catch (error) {
    throw new Error(`with seed ${seed}, ${deletes ? "" : "no "}deletes`, { cause: error });
  }
  return storm;
}

describe("people with bad lines and crashing browsers", () => {
  it("w1_all see the same in the end", () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + NUM_STORMS; seed++) weather(seed, true);
  });

  it("w2_lose nothing that they typed, and have nothing twice", () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + NUM_STORMS; seed++) {
      const storm = weather(seed, false);
      for (const { frame, point } of storm.typed) {
        const text = promptOf(storm.room.records.get(frame)) ?? "";
        const found = Array.from(text).filter((other) => other === point).length;
        expect(found, `${point} in ${text}, seed ${seed}`).toBe(1);
      }
    }
  });
});
