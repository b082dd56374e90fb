/** Calls listeners. One that throws is reported and doesn't keep the others from hearing. */

import type { RoomEvents } from "./room-client";

type Listeners = { [E in keyof RoomEvents]: Set<RoomEvents[E]> };

export class Emitter {
  readonly #listeners: Listeners = {
    records: new Set(),
    status: new Set(),
    people: new Set(),
    ink: new Set(),
    previews: new Set(),
    gathered: new Set(),
    restored: new Set(),
    refused: new Set(),
  };

  /** Returns how to stop listening. */
  on<E extends keyof RoomEvents>(event: E, listener: RoomEvents[E]): () => void {
    this.#listeners[event].add(listener);
    return () => this.#listeners[event].delete(listener);
  }

  emit<E extends keyof RoomEvents>(event: E, ...args: Parameters<RoomEvents[E]>): void {
    for (const listener of this.#listeners[event]) {
      try {
        (listener as (...args: Parameters<RoomEvents[E]>) => void)(...args);
      } catch (error) {
        console.error(`a listener for ${event} failed`, error);
      }
    }
  }
}
