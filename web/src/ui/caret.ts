/** What becomes of a text and its caret when several people type at once. */

import { apply, diff, transform } from "../sync/text";

/** `base` with both changes: that to `mine` and that to `theirs`. */
export function merged(base: string, mine: string, theirs: string): string {
  return apply(theirs, transform(diff(base, mine), diff(base, theirs), { first: false }));
}

/** The position in `after` of what stood at `caret` in `before` (UTF-16 units, as in fields). */
export function movedCaret(before: string, after: string, caret: number): number {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  while (same < shorter && before[same] === after[same]) same++;
  if (caret <= same) return caret;
  let tail = 0;
  while (
    tail < shorter - same &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail++;
  }
  const oldEnd = before.length - tail;
  const newEnd = after.length - tail;
  return caret >= oldEnd ? caret + newEnd - oldEnd : newEnd;
}
