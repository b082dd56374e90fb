import { describe, expect, it } from "vitest";
import type { Socket } from "../src/net/connection";
import { type Entry, entryOf, TicketedSocket } from "../src/net/ticket";
import type { Person, Role } from "../src/protocol/messages";
import { submitFault } from "../src/protocol/schema";
import { Bench, makeWelcome } from "./support/ports";
import { makeFrame, makeStroke } from "./support/records";

const LINK: Entry = { link: "name.secret" };

function person(role: Role, muted = false, session = "mine"): Person {
  return { session, person: "ann", name: "Ann", color: "#aa0000", role, muted };
}

function joined(role: Role, muted = false): Bench {
  const bench = new Bench();
  bench.session.opened(new Uint8Array(32));
  bench.receive(
    makeWelcome({ people: [person(role, muted)] }),
    { t: "snapshot", records: [makeFrame("frame-1")] },
    { t: "ready", seq: 0 },
  );
  return bench;
}

class HandSocket implements Socket {
  binaryType = "";
  bufferedAmount = 7;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly sent: Uint8Array[] = [];
  isHungUp = false;

  send(data: Uint8Array<ArrayBuffer>): void {
    this.sent.push(data);
  }
  close(): void {
    this.isHungUp = true;
  }
}

/** A ticketed socket whose exchange is answered so, and what comes of it. */
function ticketed(answer: () => Promise<Response>, entry: Entry = LINK) {
  const asked: string[] = [];
  const dialled: (string | null)[] = [];
  const real = new HandSocket();
  const post = (url: string, body: string) => {
    asked.push(`${url} ${body}`);
    return answer();
  };
  const socket = new TicketedSocket({ url: "/rooms/r/tickets", entry, post }, (ticket) => {
    dialled.push(ticket);
    return real;
  });
  const closed = new Promise<number>((resolve) => {
    socket.onclose = ({ code }: { code: number }) => resolve(code);
  });
  const settled = () => new Promise((resolve) => setTimeout(resolve));
  return { socket, real, asked, dialled, closed, settled };
}

const json = (status: number, body: object) => async () => Response.json(body, { status });

describe("coming in", () => {
  it("W22 reads a link or a token behind the # of the address", () => {
    expect(entryOf("#link=name.secret")).toEqual(LINK);
    expect(entryOf("#token=a.b.c")).toEqual({ token: "a.b.c" });
    for (const nothing of ["", "#", "#link=", "#else=1"]) expect(entryOf(nothing)).toBeNull();
  });

  it("W22 exchanges it for a ticket, once for each socket", async () => {
    const { socket, real, asked, dialled, settled } = ticketed(json(201, { ticket: "t1" }));
    socket.binaryType = "arraybuffer";
    await settled();
    expect(asked).toEqual(['/rooms/r/tickets {"link":"name.secret"}']);
    expect(dialled).toEqual(["t1"]);
    expect(real.binaryType).toBe("arraybuffer");
    const heard: unknown[] = [];
    socket.onopen = () => heard.push("open");
    socket.onmessage = ({ data }: { data: unknown }) => heard.push(data);
    real.onopen?.(undefined as never);
    real.onmessage?.({ data: 5 } as never);
    socket.send(new Uint8Array([1]));
    expect([heard, real.sent.length, socket.bufferedAmount]).toEqual([["open", 5], 1, 7]);
    socket.close();
    expect(real.isHungUp).toBe(true);
  });

  it.each([
    [json(404, { error: "no_room" }), 4404],
    [json(400, { error: "bad_request" }), 4404],
    [json(429, { error: "rate" }), 4429],
    [json(503, { error: "not_stored" }), 1006],
    [json(201, {}), 1006],
    [() => Promise.reject(new Error("offline")), 1006],
  ])("W22 tells a refusal as a socket would", async (answer, code) => {
    const { closed, dialled } = ticketed(answer, { token: "a.b.c" });
    expect(await closed).toBe(code);
    expect(dialled).toEqual([]);
  });

  it.each([404, 400])("W22 goes without a ticket where a link has ended: %i", async (status) => {
    const { real, closed, dialled, settled } = ticketed(json(status, { error: "no_room" }));
    await settled();
    expect(dialled).toEqual([null]);
    real.onclose?.({ code: 4404, reason: "" } as never);
    expect(await closed).toBe(4404);
  });

  it("W22 opens nothing after it was closed", async () => {
    const { socket, dialled, settled } = ticketed(json(201, { ticket: "t1" }));
    socket.close();
    await settled();
    expect(dialled).toEqual([]);
  });
});

describe("what one may do", () => {
  it.each([
    ["viewer", false],
    ["editor", true],
  ] as const)("W23 shows nothing done by a %s who may only watch", (role, muted) => {
    const { session, refusals, sent } = watching(role, muted);
    session.submit([{ c: "put", record: makeStroke("stroke-1") }]);
    session.setText("frame-1", "prompt", "mine");
    session.generate("frame-1");
    session.accept("cand-1");
    session.discard("cand-1");
    session.cancel("frame-1");
    expect(session.records.size).toBe(1);
    expect(session.unsaved).toBe(0);
    expect(sent()).toEqual([]);
    expect(new Set(refusals)).toEqual(new Set([muted ? "muted" : "viewer"]));
  });

  it("W23 follows what hosts decide", () => {
    const bench = joined("editor");
    expect([bench.session.role, bench.session.mayChange]).toEqual(["editor", true]);
    bench.receive({ t: "joined", person: person("viewer") });
    expect([bench.session.role, bench.session.mayChange]).toEqual(["viewer", false]);
    bench.receive({ t: "joined", person: person("host", true, "theirs") });
    expect(bench.session.role).toBe("viewer");
    expect([...bench.session.peers.values()][0]).toMatchObject({ role: "host", muted: true });
    bench.receive({ t: "joined", person: person("editor", true) });
    expect([bench.session.isMuted, bench.session.mayChange]).toEqual([true, false]);
  });

  it("W23 writes no record of the server's", () => {
    const access = {
      type: "access",
      id: ":access:room",
      by: "",
      open: true,
      role: "editor",
      talk: false,
      model: "",
    } as const;
    expect(submitFault({ c: "put", record: access }, undefined)).toContain("server");
    expect(
      submitFault({ c: "patch", id: access.id, fields: { open: false } }, access),
    ).not.toBeNull();
    expect(submitFault({ c: "delete", id: access.id }, undefined)).not.toBeNull();
  });
});

describe("deciding", () => {
  it("W24 tells a host the link that was made, and only once", async () => {
    const bench = joined("host");
    const link = bench.session.invite("viewer", 5);
    const [message] = bench.sent();
    expect(message).toMatchObject({ t: "moderate", deed: { d: "invite", expires_ms: 5 } });
    const id = message?.t === "moderate" ? message.id : "";
    const record = {
      type: "invite",
      id: `:invite:${id}`,
      by: "ann",
      role: "viewer",
      digest: "",
      expires_ms: 5,
    } as const;
    bench.receive(
      { t: "applied", seq: 1, id, by: "ann", changes: [{ c: "put", record }] },
      { t: "invited", id, link: `${id}.secret` },
    );
    expect(await link).toBe(`${id}.secret`);
    expect(bench.session.records.get(record.id)).toEqual(record);
    expect(bench.kept.size).toBe(0);
  });

  it("W24 tells of no link where none was made, or where it got lost", async () => {
    const bench = joined("host");
    const answers = [bench.session.invite("viewer", null), bench.session.invite("editor", null)];
    const [one, two] = bench.sent().map((message) => ("id" in message ? message.id : ""));
    bench.receive(
      { t: "refused", id: one ?? "", code: "too_many", reason: "no" },
      { t: "ack", id: two ?? "", seq: 0 },
    );
    expect(await Promise.all(answers)).toEqual([null, null]);
  });

  it("W24 asks once more after a lost connection, in its turn", () => {
    const bench = joined("host");
    bench.session.decide({ d: "mute", person: "bob", muted: true });
    const [first] = bench.sent();
    bench.session.closed("offline", "");
    bench.receive(makeWelcome({ people: [person("host")] }));
    bench.receive({ t: "snapshot", records: [] }, { t: "ready", seq: 0 });
    expect(bench.sent()).toEqual([first]);
  });
});

function watching(role: Role, muted: boolean) {
  const bench = joined(role, muted);
  return { session: bench.session, refusals: bench.refusals, sent: () => bench.sent() };
}
