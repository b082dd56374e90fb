/** The pictures that are coming out of the noise, the latest of each. */

import type { PreviewMessage, RecordId, RoomRecord } from "../protocol/messages";
import type { RecordChange } from "./changes";

export class Previews {
  /** By `${frame}/${index}`. */
  readonly latest = new Map<string, PreviewMessage>();

  /** Returns false where its job has ended already. */
  show(preview: PreviewMessage, job: RoomRecord | undefined): boolean {
    if (job !== undefined && !isActive(job)) return false;
    this.latest.set(`${preview.frame}/${preview.index}`, preview);
    return true;
  }

  /** Drop the previews of jobs that have ended; returns whether there were any. */
  follow(changes: readonly RecordChange[]): boolean {
    let hasEnded = false;
    for (const { id, before, after } of changes) {
      const isEnded = after?.type === "job" ? !isActive(after) : before?.type === "job";
      if (isEnded) hasEnded = this.#end(id) || hasEnded;
    }
    return hasEnded;
  }

  #end(job: RecordId): boolean {
    const ended = [...this.latest].filter(([, preview]) => preview.job === job);
    for (const [key] of ended) this.latest.delete(key);
    return ended.length > 0;
  }
}

function isActive(record: RoomRecord): boolean {
  return record.type === "job" && (record.state === "queued" || record.state === "running");
}
