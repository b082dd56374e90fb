import { describe, expect, it } from "vitest";
import { backoffMs } from "../src/net/backoff";
import { type Clock, Connection, type Socket } from "../src/net/connection";
import { Pace } from "../src/net/pace";
import { CLOSE } from "../src/protocol/messages";

/** Time that stands still until it is turned. */
class HandClock implements Clock {
  now = 0;
  #timers: { at: number; run: () => void }[] = [];

  setTimeout(run: () => void, ms: number): unknown {
    const timer = { at: this.now + ms, run };
    this.#timers.push(timer);
    return timer;
  }

  clearTimeout(timer: unknown): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }

  random(): number {
    return 0.5;
  }

  turn(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = this.#timers.sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > until) break;
      this.now = next.at;
      this.clearTimeout(next);
      next.run();
    }
    this.now = until;
  }
}

class HandSocket implements Socket {
  binaryType = "";
  bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  isHungUp = false;

  send(): void {}
  close(): void {
    this.isHungUp = true;
  }
  opens(): void {
    this.onopen?.(undefined as never);
  }
  hears(data: unknown): void {
    this.onmessage?.({ data } as never);
  }
  /** As Node's does where it is hung up before it is open: nothing follows. */
  fails(): void {
    this.onerror?.(undefined as never);
  }
  breaks(code = 1006): void {
    this.onclose?.({ code, reason: "" } as never);
  }
}

function begin() {
  const clock = new HandClock();
  const sockets: HandSocket[] = [];
  const events: string[] = [];
  const connection = new Connection(
    () => {
      const socket = new HandSocket();
      sockets.push(socket);
      return socket;
    },
    {
      opened: () => events.push("opened"),
      received: () => events.push("received"),
      ping: () => events.push("ping"),
      closed: (code, _reason, isFinal) =>
        events.push(`closed ${code}${isFinal ? " for good" : ""}`),
    },
    clock,
  );
  connection.open();
  return { clock, sockets, events, connection };
}

const last = <T>(items: readonly T[]): T => items.at(-1) as T;

describe("a connection", () => {
  it("w16_is tried again, ever more slowly, until it has settled", () => {
    const { clock, sockets, connection } = begin();
    for (let attempt = 1; attempt <= 8; attempt++) {
      last(sockets).breaks();
      clock.turn(15_000);
      expect(sockets).toHaveLength(attempt + 1);
    }
    last(sockets).breaks();
    clock.turn(5_000);
    expect(sockets).toHaveLength(9);
    clock.turn(10_000);
    last(sockets).opens();
    connection.settled();
    last(sockets).breaks();
    clock.turn(500);
    expect(sockets).toHaveLength(11);
  });

  it.each([CLOSE.noSuchRoom, CLOSE.protocolVersion])("is not tried again after %i", (code) => {
    const { clock, sockets, events } = begin();
    last(sockets).opens();
    last(sockets).breaks(code);
    clock.turn(100_000);
    expect(sockets).toHaveLength(1);
    expect(last(events)).toBe(`closed ${code} for good`);
  });

  it("w17_that says nothing is asked, and given up when it doesn't answer", () => {
    const { clock, sockets, events } = begin();
    last(sockets).opens();
    clock.turn(10_000);
    expect(last(events)).toBe("ping");
    last(sockets).hears(new ArrayBuffer(1));
    clock.turn(10_000);
    expect(events).toEqual(["opened", "ping", "received"]);
    clock.turn(10_000);
    expect(last(events)).toBe("ping");
    clock.turn(10_000);
    expect(last(events)).toBe("closed 1006");
    expect(sockets[0]?.isHungUp).toBe(true);
  });

  it("is tried at once when the network comes back", () => {
    const { clock, sockets, connection } = begin();
    for (let i = 0; i < 6; i++) {
      last(sockets).breaks();
      clock.turn(15_000);
    }
    last(sockets).breaks();
    connection.nudge();
    expect(sockets).toHaveLength(8);
  });

  it("that never opens is given up", () => {
    const { clock, sockets, events } = begin();
    clock.turn(15_000);
    expect(events).toEqual(["closed 1006"]);
    expect(sockets[0]?.isHungUp).toBe(true);
  });

  it("w16_that only tells of an error is tried again, and not waited for", () => {
    const { clock, sockets, events } = begin();
    last(sockets).fails();
    clock.turn(1_000);
    expect(events).toEqual(["closed 1006"]);
    expect(sockets).toHaveLength(2);
  });

  it("w16_that tells of an error and then why it is closed goes by the latter", () => {
    const { clock, sockets, events } = begin();
    last(sockets).fails();
    last(sockets).breaks(CLOSE.noSuchRoom);
    clock.turn(100_000);
    expect(events).toEqual([`closed ${CLOSE.noSuchRoom} for good`]);
    expect(sockets).toHaveLength(1);
  });

  it("that was hung up stays so, whatever the old socket still says", () => {
    const { clock, sockets, events, connection } = begin();
    last(sockets).opens();
    connection.close();
    last(sockets).hears(new ArrayBuffer(1));
    last(sockets).breaks();
    clock.turn(100_000);
    expect(sockets).toHaveLength(1);
    expect(events).toEqual(["opened", "closed 1006 for good"]);
  });
});

describe("backoff", () => {
  it("doubles up to 15 seconds, and always waits a little", () => {
    expect([1, 2, 3, 4].map((failed) => backoffMs(failed, 1))).toEqual([500, 1000, 2000, 4000]);
    expect(backoffMs(1_000, 1)).toBe(15_000);
    expect(backoffMs(1, 0)).toBe(100);
  });
});

describe("the pace", () => {
  it("lets a burst go and then so many a second", () => {
    const pace = new Pace(10, 3, 0);
    expect([pace.take(0), pace.take(0), pace.take(0), pace.take(0)]).toEqual([0, 0, 0, 100]);
    expect([pace.take(100), pace.take(100)]).toEqual([0, 100]);
  });
});
