/** How much can be undone and redone, once all that is pending is done. */

import type { Change } from "../protocol/records";
import { isStamped } from "../protocol/schema";
import type { Work } from "./work";

export interface Depths {
  readonly undo: number;
  readonly redo: number;
}

/** The server's count, and what each pending work will make of it. Typing is no step. */
export function depthsAfter(history: Depths, pending: Iterable<Work>): Depths {
  let { undo, redo } = history;
  for (const work of pending) {
    const { t } = work;
    if (t === "accept" || t === "discard" || (t === "op" && work.changes.some(isStep))) {
      undo++;
      redo = 0;
    } else if (t === "undo") {
      undo--;
      redo++;
    } else if (t === "redo") {
      undo++;
      redo--;
    }
  }
  return { undo, redo };
}

/** Undo passes over what people say. */
function isStep(change: Change): boolean {
  return change.c !== "put" || !isStamped(change.record);
}
