/** Cuts one's own strokes in progress into chunks of new points. Knows no clock. */

import type { Ink, InkStyle, RecordId } from "../protocol/messages";
import { encodePoints, MAX_INK_POINTS, type Point } from "../protocol/strokes";

/** Every so many chunks carry the style again, for those who came in the middle. */
const STYLE_EVERY = 30;

interface Progress {
  readonly style: InkStyle;
  points: readonly Point[];
  numSent: number;
  numChunks: number;
}

export class InkSender {
  readonly #strokes = new Map<RecordId, Progress>();
  #abandoned: RecordId[] = [];

  get hasNews(): boolean {
    if (this.#abandoned.length > 0) return true;
    return [...this.#strokes.values()].some(({ points, numSent }) => points.length > numSent);
  }

  /** All points of a stroke so far; the array may be the same one, grown. */
  draw(stroke: RecordId, style: InkStyle, points: readonly Point[]): void {
    const known = this.#strokes.get(stroke);
    if (known !== undefined) known.points = points;
    else this.#strokes.set(stroke, { style, points, numSent: 0, numChunks: 0 });
  }

  /** The stroke is submitted: the record replaces its ink. */
  finish(stroke: RecordId): void {
    this.#strokes.delete(stroke);
  }

  /** Whoever has seen some of it is told that there will be no more. */
  abandon(stroke: RecordId): void {
    this.#strokes.delete(stroke);
    this.#abandoned.push(stroke);
  }

  /** A new connection: nobody there has seen anything of what is in progress. */
  restart(): void {
    this.#abandoned = [];
    for (const progress of this.#strokes.values()) {
      progress.numSent = 0;
      progress.numChunks = 0;
    }
  }

  /** The chunks that are due. */
  take(): Ink[] {
    const chunks: Ink[] = this.#abandoned.map((stroke) => endOf(stroke));
    this.#abandoned = [];
    for (const [stroke, progress] of this.#strokes) {
      while (progress.numSent < progress.points.length) chunks.push(nextChunk(stroke, progress));
    }
    return chunks;
  }
}

function nextChunk(stroke: RecordId, progress: Progress): Ink {
  const first = progress.numSent;
  const fresh = progress.points.slice(first, first + MAX_INK_POINTS / 2);
  const style = progress.numChunks % STYLE_EVERY === 0 ? progress.style : null;
  progress.numSent += fresh.length;
  progress.numChunks++;
  return { t: "ink", stroke, first, points: encodePoints(fresh), style, end: false };
}

function endOf(stroke: RecordId): Ink {
  return { t: "ink", stroke, first: 0, points: new Uint8Array(0), style: null, end: true };
}
