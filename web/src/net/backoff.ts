/** How long to wait before the next attempt. Pure. */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/**
 * Milliseconds to wait after `numFailed` attempts in a row: doubling, with full jitter, so that
 * a room full of people doesn't come back in the same moment. `random` is in [0, 1).
 */
export function backoffMs(numFailed: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.max(0, numFailed - 1));
  return Math.round(ceiling * (0.2 + 0.8 * random));
}
