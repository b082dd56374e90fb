import { Encoder } from "@msgpack/msgpack";
import { describe, expect, it } from "vitest";
import { decodeHistory, ProtocolError } from "../src/protocol/codec";
import type { Change, Moment, RoomRecord, Snapshot } from "../src/protocol/messages";
import { Past } from "../src/sync/past";
import { makeFrame, makeStroke } from "./support/records";

function moment(seq: number, ...changes: readonly Change[]): Moment {
  return { t: "moment", seq, by: "ann", at_ms: seq * 1_000, changes };
}

const put = (record: RoomRecord): Change => ({ c: "put", record });

/** A history of this many ops, each with a stroke of its own and a move of the one before. */
function long(length: number): Moment[] {
  const moments = Array.from({ length }, (_, i) => {
    const moved: Change[] = i > 0 ? [{ c: "patch", id: `stroke-${i - 1}`, fields: { x: i } }] : [];
    return moment(i + 1, put(makeStroke(`stroke-${i}`)), ...moved);
  });
  return [moment(0), ...moments];
}

describe("the past of a room", () => {
  it("is there at each moment, whichever way one comes", () => {
    const frame = makeFrame("frame-1", { prompt: "cat" });
    const snapshot: Snapshot = { t: "snapshot", records: [frame] };
    const past = new Past([
      snapshot,
      moment(40),
      moment(41, put(makeStroke("stroke-1"))),
      moment(42, { c: "edit", id: "frame-1", field: "prompt", base: 41, delta: ["red "] }),
      moment(43, { c: "delete", id: "stroke-1" }),
    ]);
    const { records } = past;
    expect([past.at, records.size]).toEqual([3, 1]);
    expect(past.goTo(1)).toHaveLength(2);
    expect(records.get("frame-1")).toEqual(frame);
    expect(records.has("stroke-1")).toBe(true);
    past.goTo(0);
    expect([...records.values()]).toEqual([frame]);
    past.goTo(past.indexOf(42));
    expect(records.get("frame-1")).toMatchObject({ prompt: "red cat" });
    expect([past.indexOf(1), past.indexOf(999)]).toEqual([0, 3]);
  });

  it.each([0, 1, 249, 250, 251, 499, 500, 700])("is the same at moment %i of many", (index) => {
    const history = long(700);
    const past = new Past(history);
    past.goTo(index);
    const fresh = new Past(history.slice(0, index + 1));
    expect(new Map(past.records)).toEqual(new Map(fresh.records));
    expect(past.records.size).toBe(index);
  });

  it("comes as messages with their lengths before them", () => {
    const messages = [{ t: "snapshot", records: [makeFrame("frame-1")] }, moment(3)];
    const frames = messages.map((message) => {
      const data = new Encoder().encode(message);
      const frame = new Uint8Array(4 + data.length);
      new DataView(frame.buffer).setUint32(0, data.length);
      frame.set(data, 4);
      return frame;
    });
    const bytes = Uint8Array.from(frames.flatMap((frame) => [...frame]));
    expect([...decodeHistory(bytes)]).toEqual(messages);
    for (const length of [1, 3, 4, 20, bytes.length - 1]) {
      expect(() => [...decodeHistory(bytes.subarray(0, length))]).toThrow(ProtocolError);
    }
  });
});
