/** Selects, moves and resizes. What is dragged is shown by the overlay and kept on release. */

import { type Box, boxFromCorners, type Point } from "../canvas/geometry";
import {
  type Corner,
  cornerOf,
  frameAt,
  frameEdgeAt,
  handleAt,
  notesIn,
  paintedAt,
  recordsIn,
  selectableBounds,
  withErasers,
} from "../canvas/hit";
import type { Change, RecordId } from "../protocol/messages";
import { snapSide } from "./frames";
import type { Bench, Sample, Tool } from "./tool";

const MOVE_PX = 3;
const REACH_PX = 5;
const MIN_IMAGE_SIDE = 8;
const MAX_IMAGE_SIDE = 16_384;

type Gesture =
  | { readonly kind: "marquee"; readonly start: Sample; readonly kept: ReadonlySet<RecordId> }
  | { readonly kind: "press"; readonly start: Sample; readonly hit: RecordId }
  | { readonly kind: "move"; readonly start: Sample }
  | {
      readonly kind: "resize";
      readonly id: RecordId;
      readonly box: Box;
      readonly corner: Corner;
      readonly keepsRatio: boolean;
    };

export class SelectTool implements Tool {
  readonly cursor = "default";
  readonly #bench: Bench;
  #gesture: Gesture | null = null;

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  down(sample: Sample): void {
    const { desk } = this.#bench;
    this.#gesture = this.#resizeAt(sample);
    if (this.#gesture) return;
    const hit = this.hitAt(sample.at);
    if (hit === null) {
      const kept = sample.shift ? desk.selection : new Set<RecordId>();
      desk.select(kept);
      this.#gesture = { kind: "marquee", start: sample, kept };
      return;
    }
    if (sample.shift) desk.select(toggled(desk.selection, hit));
    else if (!desk.selection.has(hit)) desk.select([hit]);
    this.#gesture = { kind: "press", start: sample, hit };
  }

  move(samples: readonly Sample[]): void {
    const sample = samples.at(-1);
    if (!sample || !this.#gesture) return;
    if (this.#gesture.kind === "press") this.#startMoving(this.#gesture, sample);
    if (this.#gesture.kind === "marquee") this.#stretch(this.#gesture, sample);
    else if (this.#gesture.kind === "move") this.#drag(this.#gesture.start, sample);
    else if (this.#gesture.kind === "resize") this.#resize(this.#gesture, sample);
  }

  up(sample: Sample): void {
    const gesture = this.#gesture;
    const { desk } = this.#bench;
    if (gesture?.kind === "press" && !sample.shift) desk.select([gesture.hit]);
    const changes = gesture ? this.#result(gesture) : [];
    if (changes.length > 0) this.#bench.room.submit(changes);
    this.cancel();
  }

  cancel(): void {
    const { desk, view } = this.#bench;
    this.#gesture = null;
    desk.marquee = null;
    if (desk.drag) desk.drag = null;
    if (desk.resize) desk.resize = null;
    if (desk.lifted.size > 0) desk.lifted = new Set();
    view.settle();
  }

  /** What is selected goes along with something that is dragged by other means. */
  carry(by: Point): void {
    const { desk } = this.#bench;
    if (desk.drag === null) this.#lift(desk.selection);
    desk.drag = by;
  }

  /** What was carried stays where it is now. */
  putDown(): void {
    const { desk, room } = this.#bench;
    const changes = desk.drag ? this.#moved(desk.drag) : [];
    if (changes.length > 0) room.submit(changes);
    this.cancel();
  }

  /** What a click here takes: a frame's edge first, a thing that is seen next, then a frame. */
  hitAt(at: Point): RecordId | null {
    const { view } = this.#bench;
    const { frames } = view.gallery;
    const edge = frameEdgeAt(frames, at, view.camera.zoom);
    if (edge) return edge.id;
    const frame = frameAt(frames, at);
    if (frame && view.gallery.shown(frame.id)) return frame.id;
    return paintedAt(view.scene, at, REACH_PX / view.camera.zoom)?.id ?? frame?.id ?? null;
  }

  #resizeAt(sample: Sample): Gesture | null {
    const { desk, room, view } = this.#bench;
    const [id] = desk.selection;
    if (desk.selection.size !== 1 || id === undefined) return null;
    const record = room.records.get(id);
    if (record?.type !== "image" && record?.type !== "frame") return null;
    const box = selectableBounds(record);
    const corner = box && handleAt(box, sample.at, view.camera.zoom);
    if (!box || !corner) return null;
    return { kind: "resize", id, box, corner, keepsRatio: record.type === "image" };
  }

  #startMoving({ start }: { readonly start: Sample }, sample: Sample): void {
    const { screen } = sample;
    if (Math.hypot(screen.x - start.screen.x, screen.y - start.screen.y) < MOVE_PX) return;
    this.#gesture = { kind: "move", start };
    this.#lift(this.#bench.desk.selection);
  }

  #lift(ids: ReadonlySet<RecordId>): void {
    const { desk, view } = this.#bench;
    desk.lifted = withErasers(view.scene, ids);
    view.lift(desk.lifted);
  }

  #stretch(gesture: Gesture & { kind: "marquee" }, sample: Sample): void {
    const { desk, room, view } = this.#bench;
    const box = boxFromCorners(gesture.start.at, sample.at);
    desk.marquee = box;
    const drawn = recordsIn(view.scene, view.gallery.frames, box);
    desk.select([...gesture.kept, ...drawn, ...notesIn(room.records.values(), box)]);
  }

  #drag(start: Sample, { at, shift }: Sample): void {
    let dx = at.x - start.at.x;
    let dy = at.y - start.at.y;
    if (shift && Math.abs(dx) < Math.abs(dy)) dx = 0;
    else if (shift) dy = 0;
    this.#bench.desk.drag = { x: dx, y: dy };
  }

  #resize(gesture: Gesture & { kind: "resize" }, { at, shift }: Sample): void {
    const { desk } = this.#bench;
    if (!desk.resize) this.#lift(new Set([gesture.id]));
    const anchor = cornerOf(gesture.box, opposite(gesture.corner));
    const box = gesture.keepsRatio
      ? scaledTo(gesture.box, anchor, at)
      : frameTo(gesture.box, anchor, at, shift);
    desk.resize = { id: gesture.id, box };
  }

  #result(gesture: Gesture): Change[] {
    const { desk } = this.#bench;
    if (gesture.kind === "resize" && desk.resize) {
      return [{ c: "patch", id: gesture.id, fields: { ...desk.resize.box } }];
    }
    if (gesture.kind !== "move" || !desk.drag) return [];
    return this.#moved(desk.drag);
  }

  /** A frame takes its mask along. */
  #moved({ x, y }: Point): Change[] {
    const { desk, room, view } = this.#bench;
    const ids = [...desk.lifted].flatMap((id) => [
      id,
      ...view.gallery.masksOf(id).map((mask) => mask.id),
    ]);
    return ids.flatMap((id): Change[] => {
      const record = room.records.get(id);
      if (!record || !("x" in record)) return [];
      return [{ c: "patch", id, fields: { x: record.x + x, y: record.y + y } }];
    });
  }
}

/** Delete what is selected; a frame takes its mask along. */
export function deleteSelection({ desk, room, view }: Pick<Bench, "desk" | "room" | "view">): void {
  const changes = [...withErasers(view.scene, desk.selection)].flatMap((id): Change[] => {
    if (!room.records.has(id)) return [];
    const masks = view.gallery.masksOf(id).map(({ id }): Change => ({ c: "delete", id }));
    return [...masks, { c: "delete", id }];
  });
  desk.select([]);
  if (changes.length > 0) room.submit(changes);
}

export function toggled(selection: ReadonlySet<RecordId>, id: RecordId): Set<RecordId> {
  const next = new Set(selection);
  if (!next.delete(id)) next.add(id);
  return next;
}

function opposite(corner: Corner): Corner {
  return ({ nw: "se", ne: "sw", se: "nw", sw: "ne" } as const)[corner];
}

/** `box` scaled about `anchor` so that it reaches as far as `to` on the longer way. */
function scaledTo(box: Box, anchor: Point, to: Point): Box {
  const wanted = Math.max(Math.abs(to.x - anchor.x) / box.w, Math.abs(to.y - anchor.y) / box.h);
  const least = MIN_IMAGE_SIDE / Math.min(box.w, box.h);
  const most = MAX_IMAGE_SIDE / Math.max(box.w, box.h);
  const scale = Math.max(least, Math.min(most, wanted));
  return anchored(box, anchor, box.w * scale, box.h * scale);
}

function frameTo(box: Box, anchor: Point, to: Point, keepsRatio: boolean): Box {
  if (keepsRatio) {
    const { w, h } = scaledTo(box, anchor, to);
    return anchored(box, anchor, snapSide(w), snapSide(h));
  }
  const w = snapSide(Math.abs(to.x - anchor.x));
  return anchored(box, anchor, w, snapSide(Math.abs(to.y - anchor.y)));
}

function anchored(box: Box, anchor: Point, w: number, h: number): Box {
  return {
    x: anchor.x > box.x ? anchor.x - w : anchor.x,
    y: anchor.y > box.y ? anchor.y - h : anchor.y,
    w,
    h,
  };
}
