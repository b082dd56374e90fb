/** Who this browser is: a secret key, a name and a colour, kept in localStorage. */

import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { clean, color as colorFault } from "../protocol/schema";
import type { Profile } from "../sync/session-ports";

const KEY = "atelier.key";
const PROFILE = "atelier.profile";
const KEY_BYTES = 32;
const COLORS = [
  "#d9480f",
  "#e03131",
  "#c2255c",
  "#9c36b5",
  "#6741d9",
  "#3b5bdb",
  "#1971c2",
  "#0c8599",
  "#099268",
  "#2f9e44",
] as const;

/** The part of `Storage` that is used; private windows may have none. */
export type SmallStorage = Pick<Storage, "getItem" | "setItem">;

/** The same key on every visit; a new one each time where nothing can be kept. */
export function identityKey(storage: SmallStorage | null): Uint8Array {
  const kept = read(storage, KEY);
  if (kept !== null && /^[0-9a-f]{64}$/.test(kept)) return hexToBytes(kept);
  const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  write(storage, KEY, bytesToHex(key));
  return key;
}

export function readProfile(storage: SmallStorage | null): Profile {
  try {
    const kept: unknown = JSON.parse(read(storage, PROFILE) ?? "null");
    if (typeof kept === "object" && kept !== null && "name" in kept && "color" in kept) {
      const { name, color } = kept;
      if (typeof name === "string" && colorFault(color) === null) {
        return { name: clean(name, 80), color: color as string };
      }
    }
  } catch {
    // Somebody else wrote it: begin anew.
  }
  const [byte = 0] = crypto.getRandomValues(new Uint8Array(1));
  return { name: "", color: COLORS[byte % COLORS.length] ?? COLORS[0] };
}

export function keepProfile(storage: SmallStorage | null, profile: Profile): void {
  write(storage, PROFILE, JSON.stringify(profile));
}

/** 96 random bits, in 16 letters, digits, `-` and `_`. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

function read(storage: SmallStorage | null, key: string): string | null {
  try {
    return storage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}

function write(storage: SmallStorage | null, key: string, value: string): void {
  try {
    storage?.setItem(key, value);
  } catch {
    // A full or forbidden storage: who this is lasts as long as the page.
  }
}
