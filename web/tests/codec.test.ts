import { encode as pack, decode as unpack } from "@msgpack/msgpack";
import { describe, expect, it } from "vitest";
import { decode, encode, ProtocolError } from "../src/protocol/codec";
import type { ClientMessage, ServerMessage } from "../src/protocol/messages";
import { fromHex, golden } from "./support/golden";

interface Frame<M> {
  readonly name: string;
  readonly hex: string;
  readonly message: M;
}
interface Frames {
  readonly client: readonly Frame<ClientMessage>[];
  readonly server: readonly Frame<ServerMessage>[];
}

const frames = golden<Frames>("protocol/frames.json");

/** As a reader without Node's Buffer sees it. */
function plain(value: unknown): unknown {
  return unpack(pack(value, { ignoreUndefined: true }));
}

describe("golden frames", () => {
  it.each(frames.client)("encodes $name to what the server reads", ({ hex, message }) => {
    expect(plain(unpack(encode(message)))).toEqual(plain(unpack(fromHex(hex))));
  });

  it.each(frames.server)("decodes $name", ({ hex, message }) => {
    expect(plain(decode(fromHex(hex)))).toEqual(plain(message));
  });
});

describe("what is no message of the server", () => {
  const applied = { t: "applied", seq: 1, id: "op-00001", by: "ann" };
  const stroke = frames.server.find(({ name }) => name.startsWith("snapshot"))?.message;
  const records = stroke?.t === "snapshot" ? stroke.records : [];

  it.each([
    ["a list", [1, 2]],
    ["an unknown kind", { t: "teleport" }],
    ["a kind that every object has", { t: "constructor" }],
    ["a missing field", { t: "ack", id: "op-00001" }],
    ["a wrong type", { t: "ack", id: "op-00001", seq: "1" }],
    ["a number that is none", { t: "ready", seq: Number.NaN }],
    ["an unknown change", { ...applied, changes: [{ c: "explode", id: "x" }] }],
    ["a change with a missing part", { ...applied, changes: [{ c: "patch", id: "x" }] }],
    ["a record of unknown type", { t: "snapshot", records: [{ ...records[0], type: "spell" }] }],
    ["a record with a wrong field", { t: "snapshot", records: [{ ...records[1], size: -1 }] }],
    ["a record without a field", { t: "snapshot", records: [{ ...records[1], color: undefined }] }],
    [
      "geometry that is cut off",
      { t: "snapshot", records: [{ ...records[1], points: new Uint8Array(14) }] },
    ],
  ])("is refused: %s", (_name, message) => {
    expect(() => decode(pack(message, { ignoreUndefined: true }))).toThrow(ProtocolError);
  });

  it.each([
    ["nothing", ""],
    ["a byte that MessagePack never uses", "c1"],
    ["a string that claims 4 GB", "81a174dbffffffff"],
    ["an array that claims 4 billion items", "81a174ddffffffff"],
    ["an extension", "82a174a470696e67a16ed6ff00000000"],
    ["a thousand nested lists", `${"91".repeat(1000)}c0`],
  ])("is refused: %s", (_name, hex) => {
    expect(() => decode(fromHex(hex))).toThrow(ProtocolError);
  });
});
