/** Rooms as files: saving one, and opening a new room from such a file. */

import { told } from "./told";

/** The file can't be saved or opened; the message is a sentence for people. */
export class RoomFileError extends Error {
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

  async #send(what: string, method: string, badge: string, body?: Blob): Promise<Response> {
    const headers = { authorization: `Bearer ${badge}` };
    const request = body === undefined ? { method, headers } : { method, headers, body };
    const response = await fetch(`${this.#room}/${what}`, request).catch(() => null);
    if (response === null) throw new RoomFileError("The server doesn't answer.");
    if (!response.ok) throw new RoomFileError(await told(response));
    return response;
  }
}
