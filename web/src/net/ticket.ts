/**
 * Comes in by a link or a token: exchanges it for a ticket, then opens the socket with that.
 *
 * What stands behind the `#` of a page's address goes to no server by itself, and isn't kept: a page
 * that is loaded again has it in its address. A ticket is good once, so each socket gets its own.
 */

import { CLOSE } from "../protocol/messages";
import type { Socket } from "./connection";

export type Entry = { readonly link: string } | { readonly token: string };

/** What the address says behind its `#`; null where that is nothing to come in with. */
export function entryOf(hash: string): Entry | null {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const link = fields.get("link");
  const token = fields.get("token");
  if (token) return { token };
  return link ? { link } : null;
}

export interface Exchange {
  readonly url: string;
  readonly entry: Entry;
  readonly post: (url: string, body: string) => Promise<Response>;
}

const LOST = 1006;

/** A socket that asks for its ticket first; to whoever uses it, that is a part of the opening. */
export class TicketedSocket implements Socket {
  binaryType = "";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  #socket: Socket | null = null;
  #isClosed = false;

  constructor(exchange: Exchange, dial: (ticket: string | null) => Socket) {
    void this.#open(exchange, dial);
  }

  get bufferedAmount(): number {
    return this.#socket?.bufferedAmount ?? 0;
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    this.#isClosed = true;
    this.#socket?.close(code, reason);
  }

  async #open(exchange: Exchange, dial: (ticket: string | null) => Socket): Promise<void> {
    const ticket = await ticketFor(exchange);
    if (this.#isClosed) return;
    if (typeof ticket === "number") {
      this.onclose?.({ code: ticket, reason: "" } as never);
      return;
    }
    const socket = dial(ticket);
    this.#socket = socket;
    socket.binaryType = this.binaryType;
    socket.onopen = (event) => this.onopen?.(event);
    socket.onmessage = (event) => this.onmessage?.(event);
    socket.onclose = (event) => this.onclose?.(event);
    socket.onerror = (event) => this.onerror?.(event);
  }
}

/** The ticket, null to do without, or the code with which a socket would have been closed. */
async function ticketFor({ url, entry, post }: Exchange): Promise<string | number | null> {
  try {
    const answer = await post(url, JSON.stringify(entry));
    if (answer.status === 404 || answer.status === 400) {
      // A role of one's own holds when the link has ended; a token also says who somebody is.
      return "link" in entry ? null : CLOSE.noSuchRoom;
    }
    if (answer.status === 429) return CLOSE.tooMany;
    const body: unknown = answer.ok ? await answer.json() : null;
    if (typeof body === "object" && body !== null && "ticket" in body) return String(body.ticket);
  } catch {
    // The network is down, as when a socket can't be opened.
  }
  return LOST;
}
