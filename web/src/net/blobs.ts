/** Uploads pictures, named by the SHA-256 of their bytes. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Limits } from "../protocol/messages";
import { backoffMs } from "./backoff";
import { ToldError, told } from "./told";

export interface Stored {
  readonly blob: string;
  readonly width: number;
  readonly height: number;
}

/** The picture can't be stored. */
export class UploadError extends ToldError {
  override name = "UploadError";
}

const TYPES = ["image/png", "image/jpeg", "image/webp"];
const ATTEMPTS = 4;

export class Blobs {
  readonly #room: string;
  readonly #wait: (ms: number) => Promise<void>;

  /** `origin` is "" in a page of the server itself. */
  constructor(origin: string, roomId: string, wait: (ms: number) => Promise<void> = sleep) {
    this.#room = `${origin}/rooms/${encodeURIComponent(roomId)}/blobs`;
    this.#wait = wait;
  }

  url(blob: string): string {
    return `${this.#room}/${blob}`;
  }

  /** Resolves when the picture is stored; throws UploadError. */
  async upload(file: Blob, limits: Limits | null, badge: string): Promise<Stored> {
    if (!TYPES.includes(file.type)) {
      const got = file.type || "a file";
      throw new UploadError("unsupported", `expected a PNG, JPEG or WEBP picture, got ${got}`);
    }
    if (limits !== null && file.size > limits.blob_bytes) {
      const most = Math.floor(limits.blob_bytes / 1024 / 1024);
      throw new UploadError("too_large", `the picture is larger than ${most} MB: make it smaller`);
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const name = await sha256Hex(bytes);
    return await this.#put(name, new Blob([bytes], { type: file.type }), badge);
  }

  /** Storing the same bytes twice is no error, so a lost answer is no reason not to try again. */
  async #put(name: string, body: Blob, badge: string): Promise<Stored> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.#send(name, body, badge);
      if (response?.ok) return (await response.json()) as Stored;
      const mayPass = response === null || response.status >= 500 || response.status === 429;
      if (!mayPass) throw new UploadError(...(await told(response)));
      if (attempt === ATTEMPTS) {
        throw new UploadError("no_answer", "the server doesn't answer");
      }
      await this.#wait(backoffMs(attempt, Math.random()));
    }
  }

  async #send(name: string, body: Blob, badge: string): Promise<Response | null> {
    try {
      return await fetch(this.url(name), {
        method: "PUT",
        body,
        headers: { "content-type": body.type, authorization: `Bearer ${badge}` },
      });
    } catch {
      return null;
    }
  }
}

/** Browsers have no `crypto.subtle` on plain http, which a studio on the local network is. */
export async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  if (subtle === undefined) return bytesToHex(sha256(bytes));
  return bytesToHex(new Uint8Array(await subtle.digest("SHA-256", bytes)));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
