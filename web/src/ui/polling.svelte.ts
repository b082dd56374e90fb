/**
 * The poll of the room and one's own dots in it, as Svelte sees them.
 *
 * Its getters subscribe: a component that reads one is drawn again when that changes.
 */

import { createSubscriber } from "svelte/reactivity";
import type { Poll, RecordId } from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";

export class Polling {
  readonly #room: RoomClient;
  readonly #onRecords: () => void;

  constructor(room: RoomClient) {
    this.#room = room;
    this.#onRecords = createSubscriber((update) => room.on("records", update));
  }

  get poll(): Poll | null {
    this.#onRecords();
    const poll = this.#room.records.get(":poll:room");
    return poll?.type === "poll" ? poll : null;
  }

  /** Dots of one's own that are still to be given. */
  get left(): number {
    const given = Object.values(this.#mine).reduce((sum, dots) => sum + dots, 0);
    return (this.poll?.dots ?? 0) - given;
  }

  /** How many dots this has of oneself, or of all once they are revealed. */
  dotsOn(id: RecordId): number {
    const { poll } = this;
    return (poll?.revealed ? poll.tally[id] : this.#mine[id]) ?? 0;
  }

  /** Give one more dot to this, or take one back. */
  give(id: RecordId, by: 1 | -1): void {
    const dots = { ...this.#mine, [id]: this.dotsOn(id) + by };
    this.#room.vote(Object.fromEntries(Object.entries(dots).filter(([, count]) => count > 0)));
  }

  get #mine(): Readonly<Record<RecordId, number>> {
    this.#onRecords();
    const ballot = this.#room.records.get(`:ballot:${this.#room.person}`);
    return ballot?.type === "ballot" ? ballot.dots : {};
  }
}
