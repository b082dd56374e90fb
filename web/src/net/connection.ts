/**
 * A WebSocket that comes back: reconnects with backoff and jitter, and notices a dead line.
 *
 * Knows nothing of what the messages mean. Every timer is one of `clock`, so that tests turn it.
 */

import { CLOSE } from "../protocol/messages";
import { backoffMs } from "./backoff";

export interface Clock {
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  random(): number;
}

/** The part of WebSocket that is used. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export interface ConnectionEvents {
  opened(): void;
  received(data: ArrayBuffer): void;
  /** The line is silent: ask for any answer. */
  ping(): void;
  /** Down, and tried again unless the code is one that trying again can't help. */
  closed(code: number, reason: string, isFinal: boolean): void;
}

/** A line that says nothing for this long is asked; unanswered for as long again, it is dead. */
const SILENCE_MS = 10_000;
const OPENING_MS = 15_000;
const LOST = 1006;
/** What a page may say itself when it hangs up. */
const HANG_UP = 4000;
const FINAL: readonly number[] = [
  CLOSE.noSuchRoom,
  CLOSE.noLonger,
  CLOSE.kicked,
  CLOSE.banned,
  CLOSE.protocolVersion,
];
const SLOW_RETRY: readonly number[] = [CLOSE.tooMany, CLOSE.roomFull, CLOSE.badMessage];

export class Connection {
  readonly #dial: () => Socket;
  readonly #events: ConnectionEvents;
  readonly #clock: Clock;
  #socket: Socket | null = null;
  #isOpen = false;
  #numFailed = 0;
  #retry: unknown = null;
  #watch: unknown = null;
  #hasHeard = false;
  #hasAsked = false;
  #isDone = false;

  constructor(dial: () => Socket, events: ConnectionEvents, clock: Clock) {
    this.#dial = dial;
    this.#events = events;
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes that the browser has taken and the network hasn't. */
  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Connect now, if nothing is under way. */
  open(): void {
    if (this.#isDone || this.#socket !== null) return;
    this.#clock.clearTimeout(this.#retry);
    const socket = this.#dial();
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event: { data: unknown }) => this.#received(socket, event.data);
    socket.onclose = (event: { code: number; reason: string }) =>
      this.#closed(socket, event.code, event.reason);
    // A browser tells right after it that the line is closed, and why. Node, where a line was hung
    // up before it was open, tells nothing more: it would be waited for in vain.
    socket.onerror = () => this.#clock.setTimeout(() => this.#closed(socket, LOST, ""), 0);
    this.#watchFor(OPENING_MS, () => this.drop(HANG_UP, "no answer"));
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    if (this.#isOpen) this.#socket?.send(data);
  }

  /** All is well: the next loss is tried again soon. */
  settled(): void {
    this.#numFailed = 0;
  }

  /** The network may have changed: try at once, or see whether the line is alive. */
  nudge(): void {
    if (this.#socket === null) {
      this.#numFailed = 0;
      this.open();
    } else if (this.#isOpen && !this.#hasAsked) {
      this.#ask();
    }
  }

  /** Hang up and try again later; doesn't wait for a peer that may not be there. */
  drop(code: number, reason: string): void {
    const socket = this.#socket;
    if (socket === null) return;
    socket.close(code, reason);
    this.#closed(socket, LOST, reason);
  }

  /** Hang up for good. */
  close(): void {
    this.#isDone = true;
    this.#clock.clearTimeout(this.#retry);
    this.drop(1000, "");
  }

  #opened(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#isOpen = true;
    this.#hasAsked = false;
    this.#watchFor(SILENCE_MS, () => this.#listened());
    this.#events.opened();
  }

  #received(socket: Socket, data: unknown): void {
    if (socket !== this.#socket) return;
    this.#hasHeard = true;
    this.#hasAsked = false;
    if (data instanceof ArrayBuffer) this.#events.received(data);
    else this.drop(CLOSE.badMessage, "expected binary messages");
  }

  /**
   * Once in SILENCE_MS. It counts turns and not time: a page in the background runs late, and
   * what came meanwhile is told first.
   */
  #listened(): void {
    if (this.#hasAsked) {
      this.drop(HANG_UP, "no answer");
      return;
    }
    if (this.#hasHeard) this.#watchFor(SILENCE_MS, () => this.#listened());
    else this.#ask();
    this.#hasHeard = false;
  }

  #ask(): void {
    this.#hasAsked = true;
    this.#watchFor(SILENCE_MS, () => this.#listened());
    this.#events.ping();
  }

  #closed(socket: Socket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#isOpen = false;
    this.#clock.clearTimeout(this.#watch);
    const isFinal = this.#isDone || FINAL.includes(code);
    this.#isDone = isFinal;
    if (!isFinal) this.#retryLater(code);
    this.#events.closed(code, reason, isFinal);
  }

  #retryLater(code: number): void {
    this.#numFailed += SLOW_RETRY.includes(code) && this.#numFailed === 0 ? 3 : 1;
    const ms = backoffMs(this.#numFailed, this.#clock.random());
    this.#retry = this.#clock.setTimeout(() => this.open(), ms);
  }

  #watchFor(ms: number, run: () => void): void {
    this.#clock.clearTimeout(this.#watch);
    this.#watch = this.#clock.setTimeout(run, ms);
  }
}
