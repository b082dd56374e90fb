/**
 * What lies over each frame: its masks, its jobs, its candidates, and the one that is shown.
 *
 * The newest open candidate is shown until somebody chooses another. While the chosen one is
 * still loading, the one before it stays. Knows nothing of pixels.
 */

import type {
  Candidate,
  Frame,
  JobRecord,
  MaskStroke,
  RecordId,
  RoomRecord,
  Stroke,
} from "../protocol/messages";
import type { RecordChange } from "../sync/changes";
import { type Box, boxesIntersect } from "./geometry";
import { boundsOf, inOrder } from "./scene";

export class Gallery {
  readonly #frames = new Map<RecordId, Frame>();
  readonly #masks = new Map<RecordId, MaskStroke>();
  readonly #jobs = new Map<RecordId, JobRecord>();
  readonly #candidates = new Map<RecordId, Candidate>();
  readonly #chosen = new Map<RecordId, RecordId>();
  readonly #lastShown = new Map<RecordId, Candidate>();
  readonly #hidden = new Set<RecordId>();
  /** When strokes came, counted in batches of changes; what was here before us has no time. */
  readonly #arrivals = new Map<RecordId, number>();
  /** Which batch a job's picture was drawn from, and the picture of a candidate. */
  readonly #asked = new Map<RecordId, number>();
  #clock = 0;
  #sortedFrames: readonly Frame[] | null = null;
  readonly #isDrawable: (blob: string) => boolean;

  constructor(records: ReadonlyMap<RecordId, RoomRecord>, isDrawable: (blob: string) => boolean) {
    this.#isDrawable = isDrawable;
    for (const record of records.values()) this.#take(record);
  }

  /** All frames, the lowest first. */
  get frames(): readonly Frame[] {
    this.#sortedFrames ??= [...this.#frames.values()].sort(inOrder);
    return this.#sortedFrames;
  }

  frame(id: RecordId): Frame | undefined {
    return this.#frames.get(id);
  }

  masksOf(frame: RecordId): MaskStroke[] {
    return [...this.#masks.values()].filter((mask) => mask.frame === frame).sort(inOrder);
  }

  /** The newest job of a frame; a live frame has one that begins anew for each picture. */
  jobOf(frame: RecordId): JobRecord | undefined {
    const isLive = this.#frames.get(frame)?.live ?? false;
    let newest: JobRecord | undefined;
    for (const job of this.#jobs.values()) {
      if (job.frame === frame && job.live === isLive) newest = job;
    }
    return newest;
  }

  isBusy(frame: RecordId): boolean {
    for (const job of this.#jobs.values()) {
      if (job.frame === frame && isUnfinished(job)) return true;
    }
    return false;
  }

  openCandidates(frame: RecordId): Candidate[] {
    return [...this.#candidates.values()].filter(
      (candidate) => candidate.frame === frame && candidate.state === "open",
    );
  }

  /**
   * Whether a picture of a job is there to be drawn, or never will be. The candidate of a live
   * frame is there from the picture before, so that counts only once the previews `haveEnded`.
   */
  hasFinished(job: RecordId, index: number, haveEnded: boolean): boolean {
    let made: Candidate | undefined;
    for (const candidate of this.#candidates.values()) {
      if (candidate.job === job && candidate.index === index) made = candidate;
    }
    const record = this.#jobs.get(job);
    if (made && (haveEnded || !record?.live)) {
      return made.state !== "open" || this.#isDrawable(made.blob);
    }
    return !record || record.state === "cancelled" || record.state === "failed";
  }

  choose(frame: RecordId, candidate: RecordId): void {
    this.#chosen.set(frame, candidate);
    this.#hidden.delete(frame);
  }

  /** Look at what lies below a frame's pictures. */
  setHidden(frame: RecordId, isHidden: boolean): void {
    if (isHidden) this.#hidden.add(frame);
    else this.#hidden.delete(frame);
  }

  isHidden(frame: RecordId): boolean {
    return this.#hidden.has(frame);
  }

  /** The candidate that a person is looking at, whether or not it can be drawn yet. */
  chosen(frame: RecordId): Candidate | undefined {
    const open = this.openCandidates(frame);
    const id = this.#chosen.get(frame);
    const chosen = open.find((candidate) => candidate.id === id);
    if (chosen) return chosen;
    const live = this.#frames.get(frame)?.live ? open.findLast(({ live }) => live) : undefined;
    return live ?? open.at(-1);
  }

  /** The candidate to draw: the chosen one, or while it is loading the last one drawn. */
  shown(frame: RecordId): Candidate | undefined {
    if (this.#hidden.has(frame)) return undefined;
    const chosen = this.chosen(frame);
    if (!chosen) return undefined;
    if (this.#isDrawable(chosen.blob)) {
      this.#lastShown.set(frame, chosen);
      return chosen;
    }
    return this.#lastShown.get(frame);
  }

  /**
   * Strokes drawn over a picture after it was asked for: it can't show them, so they are drawn
   * on top of it until a picture comes that knows them. `of` is a job or a candidate.
   */
  freshStrokes(box: Box, of: RecordId, records: ReadonlyMap<RecordId, RoomRecord>): Stroke[] {
    const asked = this.#asked.get(of) ?? 0;
    const strokes: Stroke[] = [];
    for (const [id, arrival] of this.#arrivals) {
      if (arrival <= asked) continue;
      const record = records.get(id);
      if (record?.type !== "stroke" || record.erase) continue;
      if (boxesIntersect(boundsOf(record), box)) strokes.push(record);
    }
    return strokes.sort(inOrder);
  }

  /** Whether anything that lies over frames changed. */
  apply(changes: readonly RecordChange[]): boolean {
    let changed = false;
    this.#clock++;
    for (const { id, before, after } of changes) {
      this.#note(before, after);
      if (after === undefined) this.#drop(id);
      else this.#take(after);
      const { type } = after ?? before ?? { type: "stroke" };
      changed ||= type !== "stroke" && type !== "image" && type !== "layer";
    }
    return changed;
  }

  #note(before: RoomRecord | undefined, after: RoomRecord | undefined): void {
    if (after?.type === "stroke" && !before) this.#arrivals.set(after.id, this.#clock);
    else if (after?.type === "job") {
      const old = before?.type === "job" ? before : undefined;
      const isDrawnAnew = after.live && after.state === "running" && old?.state !== "running";
      if (!old || isDrawnAnew) this.#asked.set(after.id, this.#clock);
    } else if (after?.type === "candidate") {
      const old = before?.type === "candidate" ? before : undefined;
      const asked = this.#asked.get(after.job) ?? 0;
      if (old?.blob !== after.blob) this.#asked.set(after.id, asked);
    }
  }

  #take(record: RoomRecord): void {
    if (record.type === "mask") this.#masks.set(record.id, record);
    else if (record.type === "job") this.#takeJob(record);
    else if (record.type === "candidate") this.#takeCandidate(record);
    else if (record.type === "frame") {
      this.#frames.set(record.id, record);
      this.#sortedFrames = null;
    }
  }

  /**
   * A new picture is what people wait for: it is shown even if an older one was chosen. When one
   * is kept, the others make way for it: it lies on the canvas, below them. Undo brings it back.
   */
  #takeCandidate(candidate: Candidate): void {
    const { id, frame, state } = candidate;
    const before = this.#candidates.get(id);
    this.#candidates.set(id, candidate);
    if (!before) {
      this.#chosen.delete(frame);
      this.#hidden.delete(frame);
    } else if (before.state === "open" && state === "accepted") this.#hidden.add(frame);
    else if (before.state !== "open" && state === "open") this.choose(frame, id);
  }

  #takeJob(job: JobRecord): void {
    if (!this.#jobs.has(job.id)) this.#hidden.delete(job.frame);
    this.#jobs.set(job.id, job);
  }

  #drop(id: RecordId): void {
    this.#arrivals.delete(id);
    this.#asked.delete(id);
    this.#masks.delete(id);
    this.#jobs.delete(id);
    this.#candidates.delete(id);
    this.#chosen.delete(id);
    this.#lastShown.delete(id);
    this.#hidden.delete(id);
    if (this.#frames.delete(id)) this.#sortedFrames = null;
  }
}

export function isUnfinished(job: JobRecord | undefined): boolean {
  return job?.state === "queued" || job?.state === "running";
}
