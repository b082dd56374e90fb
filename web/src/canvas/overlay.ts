/**
 * What lies over the picture: frames with their candidates, previews and masks, the selection,
 * other people's cursors, one's own brush. Drawn anew for every frame, in CSS pixels.
 */

import type { Frame, InkStyle, RecordId } from "../protocol/messages";
import type { Showable } from "../sync/room-client";
import { boxToScreen, type Camera, type Size, toScreen, visibleBox } from "./camera";
import { drawCursors } from "./cursors";
import type { EmergingPicture, EmergingPictures } from "./emerging";
import type { Gallery } from "./gallery";
import { type Box, boxesIntersect, outset, type Point, translate, unionBoxes } from "./geometry";
import { CORNERS, cornerOf, selectableBounds } from "./hit";
import { Lasers } from "./lasers";
import { MaskOverlay } from "./masks";
import type { InkPoint } from "./outline";
import { type LiveInk, type Pictures, paintInk, paintItem } from "./paint";
import { inOrder, isPainted, type Painted, type Scene } from "./scene";

/** A stroke of our own, before it becomes a record. */
export interface OwnInk {
  readonly id: RecordId;
  readonly style: InkStyle;
  readonly points: readonly InkPoint[];
}

/** What the person at this screen is doing, as far as it shows. */
export interface OverlayModel {
  readonly tool: string;
  readonly selection: ReadonlySet<RecordId>;
  /** What is being dragged: the selection, and erasers that go along with it. */
  readonly lifted: ReadonlySet<RecordId>;
  /** How far it is being dragged. */
  readonly drag: Point | null;
  /** Where a record that is being resized would be. */
  readonly resize: { readonly id: RecordId; readonly box: Box } | null;
  readonly marquee: Box | null;
  /** A frame being drawn. */
  readonly draft: Box | null;
  readonly ink: OwnInk | null;
  /** The brush under the pointer: where, and how wide in canvas units. */
  readonly nib: { readonly at: Point; readonly size: number } | null;
  /** Where one points with the laser. */
  readonly laser: Point | null;
  readonly frameWord: string;
  on(listener: () => void): () => void;
}

interface Sources {
  readonly scene: Scene;
  readonly gallery: Gallery;
  readonly emerging: EmergingPictures;
  readonly pictures: Pictures;
  inkIn(layer: string): LiveInk[];
}

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const ACCENT = "#3b6ff5";
const FRAME_LINE = "#8b8f99";
const LIVE = "#e5484d";
/** One's own; others' have their colours. */
const LASER = "#e5484d";
const FONT = '12px system-ui, -apple-system, "Segoe UI", sans-serif';
const FONT_BOLD = '600 12px system-ui, -apple-system, "Segoe UI", sans-serif';

export class Overlay {
  readonly #sources: Sources;
  readonly #room: Showable;
  readonly #model: OverlayModel;
  readonly #masks = new MaskOverlay();
  readonly #lasers = new Lasers();
  readonly #scratch = document.createElement("canvas");

  constructor(sources: Sources, room: Showable, model: OverlayModel) {
    this.#sources = sources;
    this.#room = room;
    this.#model = model;
  }

  /** True while something on it moves by itself. */
  draw(canvas: HTMLCanvasElement, view: Camera, size: Size, pixelRatio: number): boolean {
    const ctx = canvas.getContext("2d");
    if (!ctx) return false;
    ctx.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    ctx.clearRect(0, 0, size.width, size.height);
    const seen = visibleBox(view, size);
    let isMoving = false;
    for (const frame of this.#sources.gallery.frames) {
      const box = this.#boxOf(frame);
      if (!boxesIntersect(outset(box, 40 / view.zoom), seen)) continue;
      isMoving = this.#drawFrame(ctx, view, frame, box) || isMoving;
    }
    this.#drawLifted(ctx, view);
    this.#drawSelection(ctx, view);
    this.#drawDrafts(ctx, view);
    const isFading = this.#drawLasers(ctx, view, performance.now());
    drawCursors(ctx, view, size, this.#room.peers.values());
    this.#drawNib(ctx, view);
    return isMoving || isFading;
  }

  #drawLasers(ctx: CanvasRenderingContext2D, view: Camera, ms: number): boolean {
    this.#lasers.point("", LASER, this.#model.laser, ms);
    for (const { session, color, cursor, tool } of this.#room.peers.values()) {
      const at = tool === "laser" && cursor ? { x: cursor[0], y: cursor[1] } : null;
      this.#lasers.point(session, color, at, ms);
    }
    const isFading = this.#lasers.fade(ms);
    if (isFading) this.#lasers.draw(ctx, view, ms);
    return isFading;
  }

  /** Where a frame is now, with what is being done to it. */
  #boxOf(record: Frame): Box {
    const { drag, resize, selection } = this.#model;
    if (resize?.id === record.id) return resize.box;
    if (drag && selection.has(record.id)) return translate(record, drag.x, drag.y);
    return { x: record.x, y: record.y, w: record.w, h: record.h };
  }

  #drawFrame(ctx: CanvasRenderingContext2D, view: Camera, frame: Frame, box: Box): boolean {
    const busy = this.#sources.gallery.isBusy(frame.id);
    ctx.save();
    ctx.scale(view.zoom, view.zoom);
    ctx.translate(-view.x, -view.y);
    ctx.imageSmoothingQuality = "high";
    const emerging = this.#drawPictures(ctx, frame);
    ctx.translate(box.x - frame.x, box.y - frame.y);
    this.#drawMask(ctx, frame, emerging !== null);
    ctx.restore();
    this.#drawBorder(ctx, view, frame, box, busy);
    if (busy) drawProgress(ctx, boxToScreen(view, box), emerging);
    return busy && emerging === null && !CALM.matches;
  }

  /** A mask would hide the picture that was made for it: then it is seen only at work on it. */
  #drawMask(ctx: CanvasRenderingContext2D, frame: Frame, isEmerging: boolean): void {
    const { gallery } = this.#sources;
    const live = this.#maskInk(frame.id);
    const hasPicture = isEmerging || gallery.shown(frame.id) !== undefined;
    if (hasPicture && this.#model.tool !== "mask" && live.length === 0) return;
    this.#masks.draw(ctx, frame, gallery.masksOf(frame.id), live);
  }

  /** The shown candidate, what emerges over it, and strokes that are newer than either. */
  #drawPictures(ctx: CanvasRenderingContext2D, frame: Frame): EmergingPicture | null {
    const { gallery, emerging, pictures } = this.#sources;
    const shown = gallery.shown(frame.id);
    const picture = shown ? pictures.get(shown.blob) : null;
    if (shown && picture) ctx.drawImage(picture, shown.x, shown.y, shown.w, shown.h);
    const next = emerging.of(frame.id)[0] ?? null;
    if (gallery.isHidden(frame.id)) return next;
    if (next) ctx.drawImage(next.image, next.box.x, next.box.y, next.box.w, next.box.h);
    if (next) this.#drawFresh(ctx, next.box, next.job);
    else if (shown && picture) this.#drawFresh(ctx, shown, shown.id);
    return next;
  }

  #drawFresh(ctx: CanvasRenderingContext2D, box: Box, job: RecordId): void {
    const { scene, gallery, pictures, inkIn } = this.#sources;
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x, box.y, box.w, box.h);
    ctx.clip();
    for (const stroke of gallery.freshStrokes(box, job, this.#room.records)) {
      paintItem(ctx, stroke, pictures);
    }
    for (const layer of scene.layers) {
      for (const ink of inkIn.call(this.#sources, layer.id)) if (!ink.erase) paintInk(ctx, ink);
    }
    ctx.restore();
  }

  #maskInk(frame: RecordId): LiveInk[] {
    const inks: LiveInk[] = [];
    for (const { stroke, style, points } of this.#room.ink.values()) {
      if (style.kind === "mask" && style.frame === frame && !this.#room.records.has(stroke)) {
        inks.push({ id: stroke, points, ...style });
      }
    }
    const own = this.#model.ink;
    if (own?.style.kind === "mask" && own.style.frame === frame) {
      inks.push({ id: own.id, points: own.points, ...own.style });
    }
    return inks.filter(({ points }) => points.length > 0);
  }

  #drawBorder(
    ctx: CanvasRenderingContext2D,
    view: Camera,
    frame: Frame,
    box: Box,
    busy: boolean,
  ): void {
    const { x, y, w, h } = boxToScreen(view, box);
    const isSelected = this.#model.selection.has(frame.id);
    const color = isSelected || busy ? ACCENT : FRAME_LINE;
    ctx.strokeStyle = color;
    ctx.lineWidth = isSelected ? 2 : 1.25;
    ctx.strokeRect(Math.round(x) - 0.5, Math.round(y) - 0.5, Math.round(w) + 1, Math.round(h) + 1);
    if (w < 48) return;
    ctx.font = isSelected ? FONT_BOLD : FONT;
    ctx.textBaseline = "alphabetic";
    let left = x;
    if (frame.live) {
      ctx.fillStyle = LIVE;
      ctx.beginPath();
      ctx.arc(left + 4, y - 11, 4, 0, 2 * Math.PI);
      ctx.fill();
      left += 14;
    }
    ctx.fillStyle = color;
    const name = frame.prompt.trim().replace(/\s+/g, " ") || this.#model.frameWord;
    ctx.fillText(shortened(ctx, name, x + w - left), left, y - 7);
  }

  /**
   * Things being dragged are drawn here, so that nothing below needs to be painted again: by
   * themselves first, since there may be erasers among them.
   */
  #drawLifted(ctx: CanvasRenderingContext2D, view: Camera): void {
    const moved = this.#moved();
    const scratch = moved.length > 0 ? this.#cleared(ctx.canvas) : null;
    if (!scratch) return;
    scratch.setTransform(ctx.getTransform());
    scratch.scale(view.zoom, view.zoom);
    scratch.translate(-view.x, -view.y);
    for (const record of moved) paintItem(scratch, record, this.#sources.pictures);
    ctx.save();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(scratch.canvas, 0, 0);
    ctx.restore();
  }

  #moved(): Painted[] {
    const { drag, resize, lifted } = this.#model;
    const moved: Painted[] = [];
    for (const id of lifted) {
      const record = this.#room.records.get(id);
      if (!isPainted(record)) continue;
      if (resize?.id === id && record.type === "image") moved.push({ ...record, ...resize.box });
      else if (drag) moved.push({ ...record, x: record.x + drag.x, y: record.y + drag.y });
    }
    return moved.sort(inOrder);
  }

  #cleared({ width, height }: HTMLCanvasElement): CanvasRenderingContext2D | null {
    this.#scratch.width = width;
    this.#scratch.height = height;
    return this.#scratch.getContext("2d");
  }

  #drawSelection(ctx: CanvasRenderingContext2D, view: Camera): void {
    const { selection, drag, resize } = this.#model;
    const boxes: Box[] = [];
    for (const id of selection) {
      const bounds = selectableBounds(this.#room.records.get(id));
      if (!bounds) continue;
      if (resize?.id === id) boxes.push(resize.box);
      else boxes.push(drag ? translate(bounds, drag.x, drag.y) : bounds);
    }
    const around = unionBoxes(boxes);
    if (!around) return;
    ctx.strokeStyle = ACCENT;
    ctx.lineWidth = 1;
    for (const box of boxes.length > 1 && boxes.length <= 200 ? boxes : []) {
      strokeBox(ctx, boxToScreen(view, box));
    }
    ctx.lineWidth = 1.5;
    const outer = boxToScreen(view, around);
    strokeBox(ctx, outer);
    if (boxes.length === 1 && this.#isResizable())
      for (const c of CORNERS) drawHandle(ctx, cornerOf(outer, c));
  }

  #isResizable(): boolean {
    const [id] = this.#model.selection;
    const type = this.#room.records.get(id ?? "")?.type;
    return this.#model.tool === "select" && (type === "image" || type === "frame");
  }

  #drawDrafts(ctx: CanvasRenderingContext2D, view: Camera): void {
    const { marquee, draft } = this.#model;
    for (const box of [marquee, draft]) {
      if (!box) continue;
      const { x, y, w, h } = boxToScreen(view, box);
      ctx.fillStyle = "rgb(59 111 245 / 0.08)";
      ctx.fillRect(x, y, w, h);
      ctx.strokeStyle = ACCENT;
      ctx.lineWidth = box === draft ? 2 : 1;
      strokeBox(ctx, { x, y, w, h });
    }
    if (!draft) return;
    const { x, y, h } = boxToScreen(view, draft);
    ctx.font = FONT_BOLD;
    ctx.fillStyle = ACCENT;
    ctx.fillText(`${Math.round(draft.w)} × ${Math.round(draft.h)}`, x, y + h + 18);
  }

  #drawNib(ctx: CanvasRenderingContext2D, view: Camera): void {
    const { nib } = this.#model;
    if (!nib) return;
    const { x, y } = toScreen(view, nib.at);
    const radius = Math.max(1.5, (nib.size / 2) * view.zoom);
    ctx.lineWidth = 3;
    ctx.strokeStyle = "rgb(255 255 255 / 0.7)";
    circle(ctx, x, y, radius);
    ctx.lineWidth = 1.25;
    ctx.strokeStyle = "rgb(30 30 30 / 0.75)";
    circle(ctx, x, y, radius);
  }
}

function circle(ctx: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.stroke();
}

function strokeBox(ctx: CanvasRenderingContext2D, { x, y, w, h }: Box): void {
  ctx.strokeRect(Math.round(x) + 0.5, Math.round(y) + 0.5, Math.round(w), Math.round(h));
}

function drawHandle(ctx: CanvasRenderingContext2D, { x, y }: Point): void {
  ctx.fillStyle = "#ffffff";
  ctx.strokeStyle = ACCENT;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.roundRect(x - 5, y - 5, 10, 10, 3);
  ctx.fill();
  ctx.stroke();
}

/** A bar along the frame's foot, and "step n of m" in figures; a waiting job has a moving bar. */
function drawProgress(
  ctx: CanvasRenderingContext2D,
  { x, y, w, h }: Box,
  emerging: EmergingPicture | null,
): void {
  const bar = { x: x + 8, y: y + h - 12, w: w - 16 };
  if (bar.w < 24) return;
  ctx.lineCap = "round";
  ctx.lineWidth = 4;
  line(ctx, bar.x, bar.x + bar.w, bar.y, "rgb(20 20 22 / 0.3)");
  if (!emerging) {
    const t = CALM.matches ? 0.5 : (performance.now() / 1400) % 1;
    const width = bar.w * 0.25;
    const from = bar.x + (bar.w - width) * (0.5 - 0.5 * Math.cos(2 * Math.PI * t));
    line(ctx, from, from + width, bar.y, ACCENT);
    return;
  }
  const share = emerging.step / Math.max(1, emerging.steps);
  line(ctx, bar.x, bar.x + bar.w * share, bar.y, ACCENT);
  if (w < 96) return;
  const text = `${emerging.step} / ${emerging.steps}`;
  ctx.font = FONT_BOLD;
  const width = ctx.measureText(text).width + 16;
  ctx.fillStyle = "rgb(20 20 22 / 0.6)";
  ctx.beginPath();
  ctx.roundRect(x + w - width - 8, y + 8, width, 22, 11);
  ctx.fill();
  ctx.fillStyle = "#ffffff";
  ctx.fillText(text, x + w - width, y + 23);
}

function line(
  ctx: CanvasRenderingContext2D,
  from: number,
  to: number,
  y: number,
  color: string,
): void {
  ctx.strokeStyle = color;
  ctx.beginPath();
  ctx.moveTo(from, y);
  ctx.lineTo(to, y);
  ctx.stroke();
}

function shortened(ctx: CanvasRenderingContext2D, text: string, width: number): string {
  if (ctx.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= width) low = middle;
    else high = middle - 1;
  }
  return low > 0 ? `${text.slice(0, low)}…` : "";
}
