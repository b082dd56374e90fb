/** Where the caret goes when somebody else changes the text around it. */

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
