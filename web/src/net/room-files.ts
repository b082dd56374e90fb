/** A room as a file, a new room from such a file, and what a room was before. */

import { ToldError, told } from "./told";

/** The server didn't do it. */
export class RoomFileError extends ToldError {
  override name = "RoomFileError";
}

export class RoomFiles {
  readonly #room: string;

  /** `origin` is "" in a page of the server itself. */
  constructor(origin: string, roomId: string) {
    this.#room = `${origin}/rooms/${encodeURIComponent(roomId)}`;
  }

  /** The room as a file; throws RoomFileError. */
  async save(badge: string): Promise<Blob> {
    const response = await this.#send("archive", "GET", badge);
    return await response.blob();
  }

  /** The id of a new room with what is in the file; throws RoomFileError. */
  async open(file: Blob, badge: string): Promise<string> {
    const response = await this.#send("imports", "POST", badge, file);
    return ((await response.json()) as { room: string }).room;
  }

  /** All that can be gone back over, for `decodeHistory`; throws RoomFileError. */
  async history(badge: string): Promise<Uint8Array> {
    const response = await this.#send("history", "GET", badge);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** The history as an animated WebP, or as a ZIP of frames; throws RoomFileError. */
  async film(kind: "webp" | "frames", badge: string): Promise<Blob> {
    const response = await this.#send(`timelapse?as=${kind}`, "GET", badge);
    return await response.blob();
  }

  /** The id of a new room that begins as this one was after an op; throws RoomFileError. */
  async branch(seq: number, badge: string): Promise<string> {
    const body = new Blob([JSON.stringify({ seq })]);
    const response = await this.#send("branches", "POST", badge, body);
    return ((await response.json()) as { room: string }).room;
  }

  async #send(what: string, method: string, badge: string, body?: Blob): Promise<Response> {
    const headers = { authorization: `Bearer ${badge}` };
    const request = body === undefined ? { method, headers } : { method, headers, body };
    const response = await fetch(`${this.#room}/${what}`, request).catch(() => null);
    if (response === null) throw new RoomFileError("no_answer", "the server doesn't answer");
    if (!response.ok) throw new RoomFileError(...(await told(response)));
    return response;
  }
}
