/** Making and finding frames: the frame tool, and what other tools ask about frames. */

import { type Box, boxContains, boxFromCorners, type Point } from "../canvas/geometry";
import { frameAt } from "../canvas/hit";
import { zAbove } from "../canvas/scene";
import type { Frame, ModelInfo, RecordId } from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";
import { ASPECTS, type Aspect } from "./desk";
import type { Bench, Easel, Sample, Tool } from "./tool";

const MIN_SIDE = 32;
const MAX_SIDE = 4096;
/** A frame that is placed by a click has this area, squared. */
const USUAL_SIDE = 512;
const SNAP = 16;
/** A drag shorter than this is a click, in CSS pixels. */
const CLICK_PX = 6;

/** The only selected frame, if there is one. */
export function selectedFrame(bench: Pick<Bench, "desk" | "view">): Frame | undefined {
  const frames = [...bench.desk.selection].flatMap((id) => bench.view.gallery.frame(id) ?? []);
  return frames.length === 1 ? frames[0] : undefined;
}

/** The frame that a mask stroke starting here belongs to; it becomes the selected one. */
export function frameToMask(bench: Pick<Bench, "desk" | "view">, at: Point): Frame | null {
  const selected = selectedFrame(bench);
  if (selected && boxContains(selected, at)) return selected;
  const frame = frameAt(bench.view.gallery.frames, at) ?? selected ?? null;
  if (frame && frame !== selected) bench.desk.select([frame.id]);
  return frame;
}

export function snapSide(side: number): number {
  return Math.max(MIN_SIDE * 2, Math.min(MAX_SIDE, Math.round(side / SNAP) * SNAP));
}

export function usualSize(aspect: Aspect): { readonly w: number; readonly h: number } {
  const ratio = ASPECTS[aspect];
  return { w: snapSide(USUAL_SIDE * Math.sqrt(ratio)), h: snapSide(USUAL_SIDE / Math.sqrt(ratio)) };
}

/** Put a frame onto the canvas with the model's own settings; returns its id. */
export function placeFrame(
  room: RoomClient,
  view: Pick<Easel, "gallery">,
  box: Box,
  settings: Partial<Frame> = {},
): RecordId {
  const id = room.newId();
  const z = zAbove(view.gallery.frames.at(-1)?.z ?? null);
  const record: Frame = {
    ...defaults(room.model),
    ...settings,
    type: "frame",
    id,
    by: "",
    z,
    x: Math.round(box.x),
    y: Math.round(box.y),
    w: snapSide(box.w),
    h: snapSide(box.h),
  };
  room.submit([{ c: "put", record }]);
  return id;
}

function defaults(model: ModelInfo | null) {
  return {
    prompt: "",
    negative: "",
    clip_skip: 0,
    loras: {},
    model: "",
    steps: model?.steps ?? 20,
    guidance: model?.guidance ?? 4,
    seed: null,
    variation_seed: 0,
    variation: 0,
    sampler: model?.sampler ?? ("dpmpp_2m" as const),
    strength: 0.7,
    hires: 1,
    hires_strength: 0.3,
    control: "",
    control_strength: 1,
    control_start: 0,
    control_end: 1,
    count: 1,
    live: false,
  };
}

export class FrameTool implements Tool {
  readonly cursor = "crosshair";
  readonly #bench: Bench;
  #start: Sample | null = null;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  down(sample: Sample): void {
    this.#start = sample;
  }

  move(samples: readonly Sample[]): void {
    const last = samples.at(-1);
    if (this.#start && last) this.#bench.desk.draft = this.#draft(this.#start, last);
  }

  up(sample: Sample): void {
    const start = this.#start;
    this.cancel();
    if (!start) return;
    const { room, view, desk } = this.#bench;
    const id = placeFrame(room, view, this.#draft(start, sample) ?? this.#usual(start.at));
    desk.tool = "select";
    desk.select([id]);
    this.#bench.framed(id);
  }

  cancel(): void {
    this.#start = null;
    this.#bench.desk.draft = null;
  }

  /** The box of a drag, in whole steps; null for a click. With shift it is square. */
  #draft(start: Sample, end: Sample): Box | null {
    const across = end.screen.x - start.screen.x;
    const down = end.screen.y - start.screen.y;
    if (Math.hypot(across, down) < CLICK_PX) return null;
    const box = boxFromCorners(start.at, end.at);
    const side = Math.max(box.w, box.h);
    const w = snapSide(end.shift ? side : box.w);
    const h = snapSide(end.shift ? side : box.h);
    return {
      x: across < 0 ? start.at.x - w : start.at.x,
      y: down < 0 ? start.at.y - h : start.at.y,
      w,
      h,
    };
  }

  #usual(at: Point): Box {
    const { w, h } = usualSize(this.#bench.desk.aspect);
    return { x: at.x - w / 2, y: at.y - h / 2, w, h };
  }
}
