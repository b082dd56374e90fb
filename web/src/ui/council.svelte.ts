/**
 * Who is in the room and what they may do, and what a host decides; as Svelte sees it.
 *
 * Its getters subscribe: a component that reads one is drawn again when that changes.
 */

import { createSubscriber } from "svelte/reactivity";
import type {
  Access,
  Deed,
  Invite,
  Layer,
  Member,
  RecordId,
  Role,
  Timer,
} from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";
import { layersIn } from "../tools/layers";

/** Somebody in the people list, however many connections they have. */
export interface Face {
  readonly person: string;
  readonly name: string;
  readonly color: string;
  readonly role: Role;
  readonly muted: boolean;
}

const BLANK: Access = {
  type: "access",
  id: ":access:room",
  by: "",
  open: true,
  role: "editor",
  talk: false,
  model: "",
};

export class Council {
  readonly #room: RoomClient;
  readonly #onStatus: () => void;
  readonly #onPeople: () => void;
  readonly #onRecords: () => void;

  constructor(room: RoomClient) {
    this.#room = room;
    this.#onStatus = createSubscriber((update) => room.on("status", update));
    this.#onPeople = createSubscriber((update) => room.on("people", update));
    this.#onRecords = createSubscriber((update) => room.on("records", update));
  }

  get role(): Role {
    this.#onStatus();
    return this.#room.role;
  }

  get isHost(): boolean {
    return this.role === "host";
  }

  get isMuted(): boolean {
    this.#onStatus();
    return this.#room.isMuted;
  }

  get mayChange(): boolean {
    this.#onStatus();
    return this.#room.mayChange;
  }

  /** The others, each once. */
  get faces(): Face[] {
    this.#onPeople();
    this.#onStatus();
    const faces = new Map<string, Face>();
    for (const peer of this.#room.peers.values()) {
      if (peer.person !== this.#room.person) faces.set(peer.person, peer);
    }
    return [...faces.values()];
  }

  get access(): Access {
    return this.#records("access")[0] ?? BLANK;
  }

  get layers(): Layer[] {
    this.#onRecords();
    return layersIn(this.#room.records);
  }

  get invites(): Invite[] {
    return this.#records("invite");
  }

  get banned(): Member[] {
    return this.#records("member").filter(({ banned }) => banned);
  }

  get timer(): Timer | null {
    this.#onRecords();
    const timer = this.#room.records.get(":timer:room");
    return timer?.type === "timer" ? timer : null;
  }

  isLocked(id: RecordId): boolean {
    this.#onRecords();
    return this.#room.records.has(`:lock:${id}`);
  }

  /** Whether this person may change this layer or frame now. */
  mayEdit(id: RecordId): boolean {
    return this.isHost || (this.mayChange && !this.isLocked(id));
  }

  decide(deed: Deed): void {
    this.#room.decide(deed);
  }

  /** Make a link and give its whole address; null where none was made. */
  async invite(role: Role, lastsMs: number | null): Promise<string | null> {
    const link = await this.#room.invite(role, lastsMs && Date.now() + lastsMs);
    return link === null ? null : `${this.address}#link=${link}`;
  }

  /** The room's own address, without what one came in by. */
  get address(): string {
    return `${location.origin}${location.pathname}`;
  }

  #records<T extends "access" | "invite" | "member">(type: T) {
    this.#onRecords();
    const found = [...this.#room.records.values()].filter((record) => record.type === type);
    return found as Extract<(typeof found)[number], { type: T }>[];
  }
}
