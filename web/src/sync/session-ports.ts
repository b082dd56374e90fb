/** What a session needs of the world: to keep work, to send, and to reach the server over HTTP. */

import type { Limits } from "../protocol/messages";
import type { Keeper } from "./replica";
import type { RoomClient } from "./room-client";

export interface Profile {
  readonly name: string;
  readonly color: string;
}

/** What the pure part needs of the world. */
export interface SessionPorts {
  readonly keeper: Keeper;
  newId(): string;
  /** Milliseconds since 1970, by this machine's clock. */
  now(): number;
  /** Work waits to be sent. */
  workWaits(): void;
  /** A cursor or ink waits to be sent, at the pace of `ephemeral` messages. */
  ephemeralWaits(): void;
  upload(file: Blob, limits: Limits | null, badge: string): ReturnType<RoomClient["upload"]>;
  saveRoom(badge: string): Promise<Blob>;
  openFile(file: Blob, badge: string): Promise<string>;
  history(badge: string): Promise<Uint8Array>;
  film(kind: "webp" | "frames", badge: string): Promise<Blob>;
  branch(seq: number, badge: string): Promise<string>;
  blobUrl(blob: string): string;
  keepProfile(profile: Profile): void;
  close(): void;
}
