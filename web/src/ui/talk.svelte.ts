/**
 * What is said in the room and stuck to its canvas, as Svelte sees it, and saying more.
 *
 * Its getters subscribe: a component that reads one is drawn again when that changes.
 */

import { createSubscriber } from "svelte/reactivity";
import type { Box, Point } from "../canvas/geometry";
import { zAbove } from "../canvas/scene";
import type { Chat, Comment, Note, RecordId } from "../protocol/messages";
import { NOTE_SIDE } from "../protocol/records";
import { clean, MAX_LINE } from "../protocol/schema";
import { Board, type Thread } from "../sync/board";
import type { RoomClient } from "../sync/room-client";

export const NOTE_COLORS = ["#ffe27a", "#ffc2b0", "#c3ecb4", "#b8e0ff", "#e3cdfb"] as const;
/** Of somebody who isn't here. */
const ABSENT = "#7a7872";

export type Corner = "chat" | "comments" | "votes";

export class Talk {
  readonly #room: RoomClient;
  readonly #board: Board;
  readonly #listeners = new Set<() => void>();
  readonly #onBoard: () => void;
  readonly #onPeople: () => void;
  readonly #onStatus: () => void;
  readonly #stops: (() => void)[] = [];
  /** Which part of the panel is open. */
  open = $state.raw<Corner | null>(null);
  /** The thread that is open on the canvas. */
  thread = $state.raw<RecordId | null>(null);
  /** Where a new thread is to be pinned, while its first comment is written. */
  draft = $state.raw<Point | null>(null);
  /** The note that wants the focus. */
  writing = $state.raw<RecordId | null>(null);
  /** When the last line that was seen was said; null before one has come in. */
  #seenMs = $state.raw<number | null>(null);

  constructor(room: RoomClient) {
    this.#room = room;
    this.#board = new Board(room.records);
    this.#onBoard = createSubscriber((update) => {
      this.#listeners.add(update);
      return () => this.#listeners.delete(update);
    });
    this.#onPeople = createSubscriber((update) => room.on("people", update));
    this.#onStatus = createSubscriber((update) => room.on("status", update));
    this.#stops.push(
      room.on("records", (changes) => {
        if (this.#board.apply(changes)) for (const tell of this.#listeners) tell();
      }),
      room.on("status", () => this.#joined()),
    );
    this.#joined();
  }

  get notes(): Note[] {
    this.#onBoard();
    return this.#board.notes;
  }

  get lines(): Chat[] {
    this.#onBoard();
    return this.#board.lines;
  }

  get threads(): Thread[] {
    this.#onBoard();
    return this.#board.threads;
  }

  /** Where notes and open threads are. */
  get boxes(): Box[] {
    const notes = this.notes.map(({ x, y }) => ({ x, y, w: NOTE_SIDE, h: NOTE_SIDE }));
    const open = this.threads.filter(({ first }) => !first.resolved);
    return [...notes, ...open.map(({ first: { x, y } }) => ({ x, y, w: 1, h: 1 }))];
  }

  /** Lines of others that came while the chat was closed. */
  get numUnread(): number {
    const seenMs = this.#seenMs;
    if (seenMs === null || this.open === "chat") return 0;
    return this.#others().filter(({ at_ms }) => at_ms > seenMs).length;
  }

  get mayTalk(): boolean {
    this.#onStatus();
    this.#onBoard();
    return this.#room.mayTalk;
  }

  mayDelete({ by }: Chat | Comment): boolean {
    this.#onStatus();
    return this.mayTalk && (by === this.#room.person || this.#room.role === "host");
  }

  isMine({ by }: Chat | Comment): boolean {
    return by === this.#room.person;
  }

  colorOf({ by }: Chat | Comment): string {
    this.#onPeople();
    if (by === this.#room.person) return this.#room.color;
    for (const peer of this.#room.peers.values()) if (peer.person === by) return peer.color;
    return ABSENT;
  }

  toggle(corner: Corner): void {
    this.show(this.open === corner ? null : corner);
  }

  show(corner: Corner | null): void {
    this.#see();
    this.open = corner;
  }

  say(text: string): void {
    const said = this.#said(text);
    if (said) this.#room.submit([{ c: "put", record: { type: "chat", ...said } }]);
  }

  /** Begin a thread where the draft is. */
  pin(text: string): void {
    const said = this.#said(text);
    if (!said || !this.draft) return;
    const { x, y } = this.draft;
    const record: Comment = { type: "comment", ...said, x, y, thread: null, resolved: false };
    this.#room.submit([{ c: "put", record }]);
    this.draft = null;
    this.thread = record.id;
  }

  answer(thread: RecordId, text: string): void {
    const said = this.#said(text);
    if (!said) return;
    const record: Comment = { type: "comment", ...said, x: 0, y: 0, thread, resolved: false };
    this.#room.submit([{ c: "put", record }]);
  }

  resolve(thread: RecordId, resolved: boolean): void {
    this.#room.submit([{ c: "patch", id: thread, fields: { resolved } }]);
  }

  delete(id: RecordId): void {
    this.#room.submit([{ c: "delete", id }]);
  }

  /** Stick a note around a place, on top of the others. */
  stick({ x, y }: Point): RecordId {
    const record: Note = {
      type: "note",
      id: this.#room.newId(),
      by: "",
      z: zAbove(this.#board.notes.at(-1)?.z ?? null),
      x: Math.round(x - NOTE_SIDE / 2),
      y: Math.round(y - NOTE_SIDE / 2),
      text: "",
      color: NOTE_COLORS[0],
    };
    this.#room.submit([{ c: "put", record }]);
    this.writing = record.id;
    return record.id;
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  /** What was said before one came is no news. */
  #joined(): void {
    if (this.#seenMs === null && this.#room.connection === "online") this.#see();
  }

  #see(): void {
    this.#seenMs = this.#others().at(-1)?.at_ms ?? 0;
  }

  /** One's own clock may be wrong, and with it the time of lines that the server hasn't stamped. */
  #others(): Chat[] {
    return this.lines.filter(({ by }) => by !== this.#room.person);
  }

  /** What the server stamps anew, as it is likely to be. */
  #said(text: string) {
    const line = clean(text.trim(), MAX_LINE);
    if (line === "") return null;
    return {
      id: this.#room.newId(),
      by: "",
      text: line,
      name: this.#room.name,
      at_ms: this.#room.now,
    };
  }
}
