/**
 * Seeing what somebody else sees, as long as one doesn't move the view oneself; as Svelte sees it.
 *
 * Whoever follows doesn't tell what they see: two who followed each other would never rest.
 */

import { createSubscriber } from "svelte/reactivity";
import { fitted, MAX_ZOOM, visibleBox } from "../canvas/camera";
import type { View } from "../canvas/view";
import type { Peer, RoomClient } from "../sync/room-client";

const NO_INSETS = { top: 0, right: 0, bottom: 0, left: 0 };

export class Following {
  readonly #room: RoomClient;
  readonly #view: View;
  readonly #onPeople: () => void;
  readonly #abort = new AbortController();
  readonly #stops: (() => void)[];
  #session = $state.raw<string | null>(null);
  #told = "";

  constructor(room: RoomClient, view: View) {
    this.#room = room;
    this.#view = view;
    this.#onPeople = createSubscriber((update) => room.on("people", update));
    this.#stops = [
      room.on("people", () => this.#follow()),
      room.on("gathered", (session) => this.#begin(session)),
      view.onDraw(() => this.#tell()),
    ];
    const options = { signal: this.#abort.signal, passive: true };
    view.element.addEventListener("pointerdown", () => this.stop(), options);
    view.element.addEventListener("wheel", () => this.stop(), options);
  }

  /** Who is followed. */
  get peer(): Peer | null {
    this.#onPeople();
    return this.#room.peers.get(this.#session ?? "") ?? null;
  }

  /** Follow a person, at whichever connection they have looked around. */
  follow(person: string): void {
    const theirs = [...this.#room.peers.values()].filter((peer) => peer.person === person);
    const peer = theirs.find(({ sight }) => sight !== null) ?? theirs[0];
    if (peer) this.#begin(peer.session);
  }

  stop(): void {
    this.#session = null;
  }

  close(): void {
    this.#abort.abort();
    for (const stop of this.#stops) stop();
  }

  #begin(session: string): void {
    if (!this.#room.peers.has(session)) return;
    this.#session = session;
    this.#follow();
  }

  #follow(): void {
    if (this.#session === null) return;
    const peer = this.#room.peers.get(this.#session);
    if (!peer) this.stop();
    if (!peer?.sight) return;
    const [x, y, w, h] = peer.sight;
    this.#view.look(fitted({ x, y, w, h }, this.#view.size, NO_INSETS, MAX_ZOOM));
  }

  #tell(): void {
    if (this.#session !== null) return;
    const { x, y, w, h } = visibleBox(this.#view.camera, this.#view.size);
    const sight = [x, y, w, h] as const;
    if (sight.join() === this.#told) return;
    this.#told = sight.join();
    this.#room.setSight(sight);
  }
}
