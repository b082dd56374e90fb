/** A journey over what a room was, as Svelte sees it: where it stands, and what can be done there. */

import type { Moment, Note, RecordId, RoomRecord, Version } from "../protocol/messages";
import { Board, type Thread } from "../sync/board";
import { Emitter } from "../sync/emitter";
import type { Past } from "../sync/past";
import type { RoomClient, RoomEvents, Showable } from "../sync/room-client";

export class Journey implements Showable {
  readonly peers = new Map();
  readonly ink = new Map();
  readonly previews = new Map();
  readonly #room: RoomClient;
  readonly #past: Past;
  readonly #emitter = new Emitter();
  #at = $state.raw(0);
  /** What was said and stuck there then. */
  readonly #board = $derived.by(() => {
    // The past has moved when this has.
    void this.#at;
    return new Board(this.#past.records);
  });
  /** The thread that is open on the canvas. */
  thread = $state.raw<RecordId | null>(null);

  constructor(room: RoomClient, past: Past) {
    this.#room = room;
    this.#past = past;
    this.#at = past.at;
  }

  // --- what a view shows ----------------------------------------------------------------------

  get records(): ReadonlyMap<RecordId, RoomRecord> {
    return this.#past.records;
  }

  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void {
    return this.#emitter.on(event, listener);
  }

  blobUrl(blob: string): string {
    return this.#room.blobUrl(blob);
  }

  // --- where it stands ------------------------------------------------------------------------

  /** Which of the moments, from 0. */
  get at(): number {
    return this.#at;
  }

  get last(): number {
    return this.#past.moments.length - 1;
  }

  get moment(): Moment | undefined {
    return this.#past.moments[this.#at];
  }

  /** Versions that can still be gone back to, oldest first. */
  get versions(): Version[] {
    const first = this.#past.moments[0]?.seq ?? 0;
    const found = [...this.#room.records.values()].filter((record) => record.type === "version");
    return found.filter(({ seq }) => seq >= first).sort((a, b) => a.seq - b.seq);
  }

  /** As they were then, lowest first. */
  get notes(): Note[] {
    return this.#board.notes;
  }

  /** As they were then, oldest first. */
  get threads(): Thread[] {
    return this.#board.threads;
  }

  placeOf({ seq }: Version): number {
    return this.#past.indexOf(seq);
  }

  goTo(index: number): void {
    const changes = this.#past.goTo(index);
    this.#at = index;
    if (changes.length > 0) this.#emitter.emit("records", changes);
  }

  /** All of it as an animated WebP, or as a ZIP of frames. */
  film(kind: "webp" | "frames"): Promise<Blob> {
    return this.#room.film(kind);
  }

  /** The id of a new room that begins like this. */
  branch(): Promise<string> {
    return this.#room.branch(this.moment?.seq ?? 0);
  }
}
