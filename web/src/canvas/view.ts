/**
 * The canvas as a person sees it: two canvas elements, a camera and one frame loop.
 *
 * The lower element shows the records of each layer from its tiles, with ink in progress in its
 * place; the upper one (`Overlay`) shows what isn't part of the picture. Nothing is drawn unless
 * something asked for it. Knows no tools and no panels.
 */

import type { RecordId } from "../protocol/messages";
import type { Showable } from "../sync/room-client";
import { type Camera, camera, fitted, type Insets, type Size, snapped, visibleBox } from "./camera";
import { decodeJpeg, EmergingPictures } from "./emerging";
import { Gallery } from "./gallery";
import { type Box, boxesIntersect, unionBoxes } from "./geometry";
import { Overlay, type OverlayModel } from "./overlay";
import { itemsIn, type LiveInk, paintInk, paintItem, type Surface } from "./paint";
import { PictureStore } from "./pictures";
import { boundsOf, type Damages, Scene, type SceneLayer } from "./scene";
import { TILE_PX, TileCache, type TileSurface } from "./tiles";

const PAINT_BUDGET_MS = 9;
const ITEMS_PER_YIELD = 40;
const MAX_PIXEL_RATIO = 3;

export class View {
  readonly scene: Scene;
  readonly gallery: Gallery;
  readonly emerging: EmergingPictures;
  readonly pictures: PictureStore;
  /** Where the pointer events go; on top of everything drawn. */
  readonly element: HTMLCanvasElement;

  readonly #room: Showable;
  readonly #model: OverlayModel;
  readonly #base: HTMLCanvasElement;
  readonly #scratch: HTMLCanvasElement;
  readonly #overlay: Overlay;
  readonly #tiles = new Map<string, TileCache>();
  readonly #listeners = new Set<() => void>();
  readonly #stops: (() => void)[] = [];
  #camera: Camera = camera(0, 0, 1);
  #size: Size = { width: 1, height: 1 };
  #pixelRatio = 1;
  #frameRequest = 0;
  #flight: { to: Camera; from: Camera; start: number; ms: number } | null = null;

  constructor(room: Showable, model: OverlayModel, container: HTMLElement) {
    this.#room = room;
    this.#model = model;
    this.#base = container.appendChild(document.createElement("canvas"));
    this.element = container.appendChild(document.createElement("canvas"));
    this.element.dataset["testid"] = "canvas";
    this.element.setAttribute("role", "img");
    this.#scratch = document.createElement("canvas");
    this.pictures = new PictureStore(
      (blob) => room.blobUrl(blob),
      (blob) => this.#pictureReady(blob),
    );
    this.scene = new Scene(room.records);
    this.gallery = new Gallery(room.records, (blob) => this.pictures.get(blob) !== null);
    this.emerging = new EmergingPictures(decodeJpeg, () => this.refresh());
    this.#overlay = new Overlay(this, room, model);
    this.#listen(container);
  }

  get camera(): Camera {
    return this.#camera;
  }

  get size(): Size {
    return this.#size;
  }

  /** Called after every frame that was drawn, and whenever what lies over frames changed. */
  onDraw(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  look(next: Camera): void {
    this.#flight = null;
    this.#camera = next;
    this.refresh();
  }

  /** Look there by and by, or at once for those who asked for less motion. */
  flyTo(to: Camera): void {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.look(to);
    else this.#flight = { to, from: this.#camera, start: performance.now(), ms: 260 };
    this.refresh();
  }

  /** See everything there is, or the given box. */
  fit(insets: Insets, box: Box | null = this.contentBox()): void {
    const target = box ?? { x: -512, y: -384, w: 1024, h: 768 };
    this.flyTo(fitted(target, this.#size, insets));
  }

  contentBox(): Box | null {
    const boxes: Box[] = [...this.gallery.frames];
    for (const layer of this.scene.layers) boxes.push(...layer.items.map(boundsOf));
    return unionBoxes(boxes);
  }

  /** Take records out of the picture while they are dragged; the overlay draws them. */
  lift(ids: Iterable<RecordId>): void {
    this.#damage(this.scene.lift(ids));
  }

  settle(): void {
    this.#damage(this.scene.settle());
  }

  /** Ask for a frame to be drawn. */
  refresh(): void {
    if (this.#frameRequest === 0) {
      this.#frameRequest = requestAnimationFrame((now) => this.#drawFrame(now));
    }
  }

  /**
   * What a person would see of the records in this part of the canvas, without frames or anything
   * else that lies over them, on white.
   */
  renderRegion(x: number, y: number, w: number, h: number, width: number, height: number) {
    const result = context(sized(document.createElement("canvas"), width, height));
    result.fillStyle = "#ffffff";
    result.fillRect(0, 0, width, height);
    for (const layer of this.scene.layers) {
      if (!layer.visible) continue;
      const ctx = context(sized(document.createElement("canvas"), width, height));
      ctx.setTransform(width / w, 0, 0, height / h, (-x * width) / w, (-y * height) / h);
      for (const item of itemsIn(layer.items, { x, y, w, h })) paintItem(ctx, item, this.pictures);
      result.globalAlpha = layer.opacity;
      result.drawImage(ctx.canvas, 0, 0);
    }
    return result.getImageData(0, 0, width, height);
  }

  close(): void {
    for (const stop of this.#stops) stop();
    cancelAnimationFrame(this.#frameRequest);
    this.pictures.close();
    this.#base.remove();
    this.element.remove();
  }

  #listen(container: HTMLElement): void {
    const resize = () => this.#resize(container);
    const observer = new ResizeObserver(resize);
    observer.observe(container);
    window.addEventListener("resize", resize);
    const redraw = () => this.refresh();
    this.#stops.push(
      () => observer.disconnect(),
      () => window.removeEventListener("resize", resize),
      this.#room.on("records", (changes) => {
        this.#damage(this.scene.apply(changes));
        this.gallery.apply(changes);
      }),
      this.#room.on("previews", () => this.emerging.follow(this.#room.previews)),
      this.#room.on("ink", redraw),
      this.#room.on("people", redraw),
      this.#model.on(redraw),
    );
    this.emerging.follow(this.#room.previews);
    resize();
  }

  #resize(container: HTMLElement): void {
    const { width, height } = container.getBoundingClientRect();
    this.#size = { width: Math.max(1, width), height: Math.max(1, height) };
    this.#pixelRatio = Math.min(MAX_PIXEL_RATIO, window.devicePixelRatio || 1);
    const across = Math.round(this.#size.width * this.#pixelRatio);
    const down = Math.round(this.#size.height * this.#pixelRatio);
    for (const canvas of [this.#base, this.#scratch, this.element]) sized(canvas, across, down);
    // A resized canvas is blank: draw before the browser shows it.
    this.#drawFrame(performance.now());
  }

  #drawFrame(now: number): void {
    cancelAnimationFrame(this.#frameRequest);
    this.#frameRequest = 0;
    this.#fly(now);
    const view = snapped(this.#camera, this.#pixelRatio);
    const isComplete = this.#drawBase(view);
    this.emerging.sweep((...picture) => this.gallery.hasFinished(...picture));
    const isMoving = this.#overlay.draw(this.element, view, this.#size, this.#pixelRatio);
    for (const listener of this.#listeners) listener();
    if (!isComplete || isMoving || this.#flight) this.refresh();
  }

  #fly(now: number): void {
    if (!this.#flight) return;
    const { from, to, start, ms } = this.#flight;
    const t = Math.min(1, Math.max(0, (now - start) / ms));
    const eased = 1 - (1 - t) ** 3;
    const zoom = from.zoom * (to.zoom / from.zoom) ** eased;
    // The middle of what is seen goes straight from one to the other.
    const middle = (view: Camera, side: "width" | "height", at: "x" | "y") =>
      view[at] + this.#size[side] / 2 / view.zoom;
    const along = (side: "width" | "height", at: "x" | "y") => {
      const [a, b] = [middle(from, side, at), middle(to, side, at)];
      return a + (b - a) * eased - this.#size[side] / 2 / zoom;
    };
    this.#camera = t === 1 ? to : camera(along("width", "x"), along("height", "y"), zoom);
    if (t === 1) this.#flight = null;
  }

  #drawBase(view: Camera): boolean {
    const box = visibleBox(view, this.#size);
    const deadline = performance.now() + PAINT_BUDGET_MS;
    const isTimeUp = () => performance.now() >= deadline;
    const ctx = context(this.#base);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.#base.width, this.#base.height);
    let isComplete = true;
    for (const layer of this.scene.layers) {
      if (!layer.visible || layer.opacity === 0) continue;
      const tiles = this.#tilesOf(layer);
      tiles.look(box, view.zoom * this.#pixelRatio);
      isComplete = tiles.work(isTimeUp) && isComplete;
      this.#drawLayer(ctx, layer, tiles, view, box);
    }
    return isComplete;
  }

  /** Ink in progress is part of its layer: an eraser there must not reach the layers below. */
  #drawLayer(
    ctx: CanvasRenderingContext2D,
    layer: SceneLayer,
    tiles: TileCache,
    view: Camera,
    box: Box,
  ): void {
    const inks = this.inkIn(layer.id);
    const isPlain = layer.opacity === 1 && !inks.some((ink) => ink.erase);
    const target = isPlain ? ctx : context(this.#scratch);
    if (!isPlain) {
      target.setTransform(1, 0, 0, 1, 0, 0);
      target.clearRect(0, 0, this.#scratch.width, this.#scratch.height);
    }
    tiles.draw(target, view, this.#pixelRatio, box);
    if (inks.length > 0) {
      target.save();
      intoCanvasUnits(target, view, this.#pixelRatio);
      for (const ink of inks) paintInk(target, ink);
      target.restore();
    }
    if (isPlain) return;
    ctx.globalAlpha = layer.opacity;
    ctx.drawImage(this.#scratch, 0, 0);
    ctx.globalAlpha = 1;
  }

  /** Strokes in progress that belong into a layer, our own last. */
  inkIn(layer: string): LiveInk[] {
    const inks: LiveInk[] = [];
    for (const { stroke, style, points } of this.#room.ink.values()) {
      if (style.kind !== "stroke" || this.#room.records.has(stroke)) continue;
      if (this.scene.layer(style.layer).id === layer) inks.push({ id: stroke, points, ...style });
    }
    const own = this.#model.ink;
    if (own?.style.kind === "stroke" && this.scene.layer(own.style.layer).id === layer) {
      inks.push({ id: own.id, points: own.points, ...own.style });
    }
    return inks.filter((ink) => ink.points.length > 0);
  }

  #tilesOf(layer: SceneLayer): TileCache {
    let tiles = this.#tiles.get(layer.id);
    if (!tiles) {
      const { id } = layer;
      const paint = (ctx: () => Surface, box: Box) => this.#paintTile(id, ctx, box);
      tiles = new TileCache(paint, createTileSurface);
      this.#tiles.set(id, tiles);
    }
    return tiles;
  }

  *#paintTile(layer: string, ctx: () => Surface, box: Box): Generator<void, void, void> {
    const items = itemsIn(this.scene.layer(layer).items, box);
    for (const [index, item] of items.entries()) {
      if (!this.scene.isLifted(item.id)) paintItem(ctx(), item, this.pictures);
      if (index % ITEMS_PER_YIELD === ITEMS_PER_YIELD - 1) yield;
    }
  }

  #damage(damages: Damages): void {
    if (damages === "all") this.#tiles.clear();
    else {
      for (const { layer, box, appended } of damages) {
        const tiles = this.#tiles.get(layer);
        if (appended) tiles?.append(box, (ctx) => paintItem(ctx, appended, this.pictures));
        else tiles?.invalidate(box);
      }
    }
    this.refresh();
  }

  #pictureReady(blob: string): void {
    for (const layer of this.scene.layers) {
      for (const item of layer.items) {
        if (item.type === "image" && item.blob === blob) {
          this.#tiles.get(layer.id)?.invalidate(boundsOf(item));
        }
      }
    }
    this.refresh();
  }

  /** Whether any of `box` is in view. */
  canSee(box: Box): boolean {
    return boxesIntersect(box, visibleBox(this.#camera, this.#size));
  }
}

export function intoCanvasUnits(ctx: Surface, view: Camera, pixelRatio: number): void {
  const scale = view.zoom * pixelRatio;
  ctx.setTransform(scale, 0, 0, scale, -view.x * scale, -view.y * scale);
}

export function context(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ctx = canvas.getContext("2d");
  if (!ctx) throw new Error("expected a browser with a 2D canvas; this one has none");
  return ctx;
}

function sized(canvas: HTMLCanvasElement, width: number, height: number): HTMLCanvasElement {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  return canvas;
}

function createTileSurface(): TileSurface {
  const image = sized(document.createElement("canvas"), TILE_PX, TILE_PX);
  return { image, ctx: context(image) };
}
