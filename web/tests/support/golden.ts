/** Reads the vectors that pytest and vitest share. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const GOLDEN = fileURLToPath(new URL("../../../tests/golden/", import.meta.url));

export function golden<T>(name: string): T {
  return unhexed(JSON.parse(readFileSync(GOLDEN + name, "utf-8"))) as T;
}

export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Bytes within JSON are {"$bytes": "<hex>"}. */
function unhexed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unhexed);
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value) return fromHex(String(value.$bytes));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unhexed(item)]));
}
