/** The tools that leave a stroke: brush, eraser and mask brush. */

import type { InkPoint } from "../canvas/outline";
import { zAbove } from "../canvas/scene";
import type { InkStyle, RecordId, RoomRecord } from "../protocol/messages";
import { decodePoints, encodePoints } from "../protocol/strokes";
import { frameToMask } from "./frames";
import { layerFault } from "./layers";
import type { Bench, Sample, Tool } from "./tool";

/** A longer stroke goes on as another one: a record holds no more than 20,000 points. */
const MAX_POINTS = 8_000;
const MAX_COORDINATE = 9e6;

export type InkKind = "brush" | "eraser" | "mask";

interface Pass {
  readonly id: RecordId;
  readonly style: InkStyle;
  readonly points: InkPoint[];
}

export class InkTool implements Tool {
  readonly cursor = "none";
  readonly #bench: Bench;
  readonly #kind: InkKind;
  #pass: Pass | null = null;

  constructor(bench: Bench, kind: InkKind) {
    this.#bench = bench;
    this.#kind = kind;
  }

  down(sample: Sample): void {
    const fault = this.#kind === "mask" ? null : layerFault(this.#bench);
    const style = this.#style(sample);
    if (fault !== null || !style) {
      this.#bench.tell(fault ?? "pickFrameFirst");
      return;
    }
    this.#pass = { id: this.#bench.room.newId(), style, points: [] };
    this.#add(sample);
    this.#show();
  }

  move(samples: readonly Sample[]): void {
    this.#nib(samples.at(-1) ?? null);
    if (!this.#pass) return;
    for (const sample of samples) this.#add(sample);
    if (this.#pass.points.length >= MAX_POINTS) this.#continue();
    this.#show();
  }

  up(): void {
    const pass = this.#pass;
    this.#pass = null;
    if (pass) this.#finish(pass);
    this.#bench.desk.ink = null;
  }

  cancel(): void {
    if (this.#pass) this.#bench.room.abandonInk(this.#pass.id);
    this.#pass = null;
    this.#bench.desk.ink = null;
  }

  hover(sample: Sample | null): void {
    this.#nib(sample);
  }

  #nib(sample: Sample | null): void {
    const { desk } = this.#bench;
    desk.nib = sample && desk.size !== null ? { at: sample.at, size: desk.size } : null;
  }

  #style(sample: Sample): InkStyle | null {
    const { desk } = this.#bench;
    const plain = { color: "#1e1e1e", opacity: 1, pen: sample.pen, layer: null, frame: null };
    if (this.#kind === "brush") {
      return { ...plain, ...desk.brush, kind: "stroke", erase: false, layer: desk.layer };
    }
    if (this.#kind === "eraser") {
      return { ...plain, kind: "stroke", size: desk.eraserSize, erase: true, layer: desk.layer };
    }
    const frame = frameToMask(this.#bench, sample.at);
    if (!frame) return null;
    const erase = desk.erasesMask;
    return { ...plain, kind: "mask", size: desk.maskSize, erase, frame: frame.id };
  }

  #add({ at, pressure }: Sample): void {
    const clamp = (value: number) => Math.max(-MAX_COORDINATE, Math.min(MAX_COORDINATE, value));
    const point: InkPoint = [clamp(at.x), clamp(at.y), pressure];
    const last = this.#pass?.points.at(-1);
    const isStill =
      last && Math.hypot(last[0] - point[0], last[1] - point[1]) < 1 / 16 && !this.#pass?.style.pen;
    if (!isStill) this.#pass?.points.push(point);
  }

  /** Show the points as they will be kept: packing moves them by up to 1/32 of a unit. */
  #show(): void {
    const pass = this.#pass;
    if (!pass) return;
    const { desk, room } = this.#bench;
    desk.ink = { id: pass.id, style: pass.style, points: decodePoints(encodePoints(pass.points)) };
    room.sendInk(pass.id, pass.style, pass.points);
  }

  #continue(): void {
    const pass = this.#pass;
    const last = pass?.points.at(-1);
    if (!pass || !last) return;
    this.#finish(pass);
    this.#pass = { id: this.#bench.room.newId(), style: pass.style, points: [last] };
  }

  #finish({ id, style, points }: Pass): void {
    const { room, view } = this.#bench;
    const { size, color, opacity, erase, pen, layer, frame } = style;
    const drawn = { id, by: "", points: encodePoints(points), size, erase, pen, x: 0, y: 0 };
    let record: RoomRecord;
    if (frame === null) {
      record = { ...drawn, type: "stroke", z: view.scene.topZ(layer), color, opacity, layer };
    } else {
      const z = zAbove(view.gallery.masksOf(frame).at(-1)?.z ?? null);
      record = { ...drawn, type: "mask", z, frame };
    }
    room.submit([{ c: "put", record }]);
  }
}
