/** Puts a room together: the pure session, its connection, and what outlives the page. */

import { decode, encode } from "../protocol/codec";
import { CLOSE, type ServerMessage } from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";
import { Session } from "../sync/session";
import type { SessionPorts } from "../sync/session-ports";
import { Blobs } from "./blobs";
import { type Clock, Connection, type ConnectionEvents, type Socket } from "./connection";
import { identityKey, keepProfile, newId, readProfile, type SmallStorage } from "./identity";
import { Pace } from "./pace";
import { PendingStore, type StoreWorld } from "./pending-store";
import { RoomFiles } from "./room-files";
import { type Entry, TicketedSocket } from "./ticket";

/** What a room needs of the browser; tests bring their own. */
export interface World extends StoreWorld {
  readonly clock: Clock;
  readonly storage: SmallStorage | null;
  dial(url: string): Socket;
  post(url: string, body: string): Promise<Response>;
  /** Call back when the network or the page's visibility changes; returns how to stop. */
  onChange(call: () => void): () => void;
  isOnline(): boolean;
}

export interface OpenRoomOptions {
  readonly roomId: string;
  /** Where the server is, like `http://127.0.0.1:8000`; the page's own server if left out. */
  readonly origin?: string;
  /** What the page's address says behind its `#`. */
  readonly entry?: Entry | null;
  readonly world?: World;
}

/** Come in: the room is there at once, and fills when the server answers. */
export function openRoom({ roomId, origin, entry, world }: OpenRoomOptions): RoomClient {
  const from = origin ?? location.origin;
  const room = new OpenRoom(roomId, from, entry ?? null, world ?? browserWorld());
  void room.start();
  return room.session;
}

const EPHEMERAL_MS = 1000 / 30;
const SETTLED_MS = 3_000;
/** More than this is waiting in the browser already: let it drain first. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const DRAIN_MS = 50;
const OPS_PER_S = 150;
const OPS_BURST = 3_000;

class OpenRoom implements SessionPorts, ConnectionEvents {
  readonly session: Session;
  readonly newId = newId;
  readonly keeper: PendingStore;
  readonly #world: World;
  readonly #connection: Connection;
  readonly #blobs: Blobs;
  readonly #files: RoomFiles;
  readonly #key: Uint8Array;
  #unlisten: () => void = () => {};
  #pace: Pace;
  #numPings = 0;
  #isPumping = false;
  #isClosed = false;
  #ephemeralAt = 0;
  readonly #timers: Record<"pump" | "ephemeral" | "settled", unknown> = {
    pump: null,
    ephemeral: null,
    settled: null,
  };

  constructor(roomId: string, origin: string, entry: Entry | null, world: World) {
    this.#world = world;
    this.#key = identityKey(world.storage);
    this.#blobs = new Blobs(origin, roomId);
    this.#files = new RoomFiles(origin, roomId);
    this.#pace = new Pace(OPS_PER_S, OPS_BURST, world.now());
    this.keeper = new PendingStore(roomId, newId(), world);
    this.session = new Session(roomId, this, readProfile(world.storage));
    this.#connection = new Connection(dialer(roomId, origin, entry, world), this, world.clock);
  }

  /** Edits that were left behind come before whatever is done now. */
  async start(): Promise<void> {
    const left = await this.keeper.open();
    if (this.#isClosed) return;
    if (left.length > 0) this.session.adopt(left);
    this.#unlisten = this.#world.onChange(() => this.#connection.nudge());
    this.#connection.open();
  }

  // --- what the session asks for ------------------------------------------------------------

  workWaits(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  ephemeralWaits(): void {
    if (this.#timers.ephemeral !== null || !this.#connection.isOpen) return;
    const ms = Math.max(0, this.#ephemeralAt + EPHEMERAL_MS - this.#world.now());
    this.#timers.ephemeral = this.#world.clock.setTimeout(() => {
      this.#timers.ephemeral = null;
      this.#ephemeralAt = this.#world.now();
      if (this.#connection.bufferedBytes > MAX_BUFFERED_BYTES) this.ephemeralWaits();
      else
        for (const message of this.session.takeEphemeral()) this.#connection.send(encode(message));
    }, ms);
  }

  now(): number {
    return this.#world.now();
  }

  upload: SessionPorts["upload"] = (file, limits, badge) => this.#blobs.upload(file, limits, badge);
  saveRoom: SessionPorts["saveRoom"] = (badge) => this.#files.save(badge);
  openFile: SessionPorts["openFile"] = (file, badge) => this.#files.open(file, badge);
  history: SessionPorts["history"] = (badge) => this.#files.history(badge);
  film: SessionPorts["film"] = (kind, badge) => this.#files.film(kind, badge);
  branch: SessionPorts["branch"] = (seq, badge) => this.#files.branch(seq, badge);
  blobUrl: SessionPorts["blobUrl"] = (blob) => this.#blobs.url(blob);
  keepProfile: SessionPorts["keepProfile"] = (profile) => keepProfile(this.#world.storage, profile);

  close(): void {
    this.#isClosed = true;
    this.#unlisten();
    this.#connection.close();
    for (const timer of Object.values(this.#timers)) this.#world.clock.clearTimeout(timer);
    this.keeper.close();
  }

  // --- what the connection tells ------------------------------------------------------------

  opened(): void {
    this.#pace = new Pace(OPS_PER_S, OPS_BURST, this.#world.now());
    this.#connection.send(encode(this.session.opened(this.#key)));
  }

  received(data: ArrayBuffer): void {
    const wasOnline = this.session.connection === "online";
    try {
      const message = decode(data);
      if (this.#isTooFast(message)) {
        this.#connection.drop(CLOSE.tooMany, "slowing down");
        return;
      }
      this.session.receive(message);
    } catch (error) {
      console.warn("joining anew, because of", error);
      this.session.distrust();
      this.#connection.drop(CLOSE.badMessage, "joining anew");
      return;
    }
    if (!wasOnline && this.session.connection === "online") {
      const { clock } = this.#world;
      clock.clearTimeout(this.#timers.settled);
      this.#timers.settled = clock.setTimeout(() => this.#connection.settled(), SETTLED_MS);
    }
  }

  ping(): void {
    this.#numPings++;
    this.#connection.send(encode({ t: "ping", n: this.#numPings }));
  }

  closed(code: number, reason: string, isFinal: boolean): void {
    this.#world.clock.clearTimeout(this.#timers.settled);
    if (code === CLOSE.badMessage || code === CLOSE.tooLarge) this.#findCulprit(reason);
    const state = isFinal ? "refused" : "offline";
    this.session.closed(state, this.#explain(code), code);
  }

  /** Edits that break every connection would otherwise keep all others from being saved. */
  #findCulprit(reason: string): void {
    const id = this.session.suspectedId;
    if (!this.session.isSuspicious) this.session.suspect();
    else if (id !== undefined) {
      const told = `The server could not read this edit, so it was taken back: ${reason}`;
      this.session.giveUp(id, "bad_message", told);
    }
  }

  /** The server asks for patience; order matters, so all that waits is sent anew later. */
  #isTooFast(message: ServerMessage): boolean {
    return message.t === "refused" && message.code === "rate" && this.session.isPending(message.id);
  }

  #explain(code: number): string {
    switch (code) {
      case CLOSE.noSuchRoom:
        return "There is no such room, or none that you may enter.";
      case CLOSE.noLonger:
        return "The link you came by has ended, or the room was closed to strangers.";
      case CLOSE.kicked:
        return "A host has sent you out of this room.";
      case CLOSE.banned:
        return "A host has banned you from this room.";
      case CLOSE.roomFull:
        return "As many people are here as the room holds: trying again.";
      case CLOSE.protocolVersion:
        return "Atelier was updated: reload the page.";
      case CLOSE.cannotSave:
        return "The room can't be saved at the moment. Your edits are kept and sent again.";
      case CLOSE.tooSlow:
        return "This connection is slow: catching up.";
    }
    return this.#world.isOnline()
      ? "The server doesn't answer. Your edits are kept and sent when it does."
      : "You are offline. Your edits are kept and sent when you are back.";
  }

  #pump(): void {
    this.#world.clock.clearTimeout(this.#timers.pump);
    while (this.session.hasOutgoing) {
      const waitMs =
        this.#connection.bufferedBytes > MAX_BUFFERED_BYTES
          ? DRAIN_MS
          : this.#pace.take(this.#world.now());
      if (waitMs > 0) {
        this.#timers.pump = this.#world.clock.setTimeout(() => this.#pump(), waitMs);
        return;
      }
      const message = this.session.takeOutgoing();
      if (message === undefined) return;
      const data = encode(message);
      const most = this.session.limits?.message_bytes ?? data.length;
      if (data.length <= most || !("id" in message)) this.#connection.send(data);
      else
        this.session.giveUp(
          message.id,
          "too_large",
          `This is too much for one edit: more than ${most} bytes.`,
        );
    }
  }
}

/** How a socket to the room is opened, with a ticket where there is something to get one for. */
function dialer(roomId: string, origin: string, entry: Entry | null, world: World): () => Socket {
  const id = encodeURIComponent(roomId);
  const url = `${origin.replace(/^http/, "ws")}/ws/${id}`;
  if (entry === null) return () => world.dial(url);
  const exchange = { url: `${origin}/rooms/${id}/tickets`, entry, post: world.post };
  const dial = (ticket: string | null) =>
    world.dial(ticket === null ? url : `${url}?ticket=${ticket}`);
  return () => new TicketedSocket(exchange, dial);
}

function browserWorld(): World {
  return {
    indexedDB: globalThis.indexedDB ?? null,
    channel: (name) => (globalThis.BroadcastChannel ? new BroadcastChannel(name) : null),
    now: () => Date.now(),
    clock: {
      setTimeout: (run, ms) => setTimeout(run, ms),
      clearTimeout: (timer) => clearTimeout((timer as number | null) ?? undefined),
      random: () => Math.random(),
    },
    storage: localStorageIfAllowed(),
    dial: (url) => new WebSocket(url),
    post: (url, body) => fetch(url, { method: "POST", body }),
    onChange: (call) => {
      const onVisible = () => {
        if (document.visibilityState === "visible") call();
      };
      addEventListener("online", call);
      addEventListener("offline", call);
      addEventListener("pageshow", call);
      document.addEventListener("visibilitychange", onVisible);
      return () => {
        removeEventListener("online", call);
        removeEventListener("offline", call);
        removeEventListener("pageshow", call);
        document.removeEventListener("visibilitychange", onVisible);
      };
    },
    isOnline: () => navigator.onLine,
  };
}

function localStorageIfAllowed(): Storage | null {
  try {
    return globalThis.localStorage;
  } catch {
    return null;
  }
}
