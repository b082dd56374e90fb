/** What a person at this screen holds and does: tool, brush, selection. Not shared with anybody. */

import type { Box, Point } from "../canvas/geometry";
import type { OverlayModel, OwnInk } from "../canvas/overlay";
import type { RecordId } from "../protocol/messages";

export type ToolName =
  | "select"
  | "pan"
  | "brush"
  | "eraser"
  | "frame"
  | "mask"
  | "note"
  | "comment"
  | "laser";

export interface BrushSettings {
  readonly color: string;
  readonly size: number;
  readonly opacity: number;
}

export const MIN_BRUSH = 1;
export const MAX_BRUSH = 256;

/** A frame's shape: its width divided by its height. */
export const ASPECTS = { "1:1": 1, "3:2": 1.5, "2:3": 2 / 3, "16:9": 16 / 9, "9:16": 9 / 16 };
export type Aspect = keyof typeof ASPECTS;

export class Desk implements OverlayModel {
  #tool: ToolName = "brush";
  #brush: BrushSettings = { color: "#1e1e1e", size: 8, opacity: 1 };
  #eraserSize = 40;
  #maskSize = 56;
  #erasesMask = false;
  #aspect: Aspect = "1:1";
  #layer: RecordId | null = null;
  #selection: ReadonlySet<RecordId> = new Set();
  #drag: Point | null = null;
  #lifted: ReadonlySet<RecordId> = new Set();
  #resize: { readonly id: RecordId; readonly box: Box } | null = null;
  #marquee: Box | null = null;
  #draft: Box | null = null;
  #ink: OwnInk | null = null;
  #nib: { readonly at: Point; readonly size: number } | null = null;
  #laser: Point | null = null;
  #frameWord = "Frame";
  readonly #listeners = new Set<() => void>();
  readonly #heldListeners = new Set<() => void>();

  /** Anything changed, also what changes with every move of the pointer. */
  on(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The tool, its settings or the selection changed. */
  onHeld(listener: () => void): () => void {
    this.#heldListeners.add(listener);
    return () => this.#heldListeners.delete(listener);
  }

  get tool(): ToolName {
    return this.#tool;
  }

  set tool(tool: ToolName) {
    this.#tool = tool;
    this.#nib = null;
    this.#laser = null;
    this.#held();
  }

  get brush(): BrushSettings {
    return this.#brush;
  }

  set brush(brush: BrushSettings) {
    this.#brush = { ...brush, size: clampSize(brush.size) };
    this.#held();
  }

  /** Width of the eraser in canvas units. */
  get eraserSize(): number {
    return this.#eraserSize;
  }

  set eraserSize(size: number) {
    this.#eraserSize = clampSize(size);
    this.#held();
  }

  get maskSize(): number {
    return this.#maskSize;
  }

  set maskSize(size: number) {
    this.#maskSize = clampSize(size);
    this.#held();
  }

  /** The size of whatever brush is held; null where the tool has none. */
  get size(): number | null {
    if (this.#tool === "brush") return this.#brush.size;
    if (this.#tool === "eraser") return this.#eraserSize;
    return this.#tool === "mask" ? this.#maskSize : null;
  }

  set size(size: number) {
    if (this.#tool === "brush") this.brush = { ...this.#brush, size };
    else if (this.#tool === "eraser") this.eraserSize = size;
    else if (this.#tool === "mask") this.maskSize = size;
  }

  get erasesMask(): boolean {
    return this.#erasesMask;
  }

  set erasesMask(erases: boolean) {
    this.#erasesMask = erases;
    this.#held();
  }

  get aspect(): Aspect {
    return this.#aspect;
  }

  set aspect(aspect: Aspect) {
    this.#aspect = aspect;
    this.#held();
  }

  /** What is drawn goes into this one; null: below all layers. */
  get layer(): RecordId | null {
    return this.#layer;
  }

  set layer(layer: RecordId | null) {
    this.#layer = layer;
    this.#held();
  }

  get selection(): ReadonlySet<RecordId> {
    return this.#selection;
  }

  select(ids: Iterable<RecordId>): void {
    this.#selection = new Set(ids);
    this.#held();
  }

  get drag(): Point | null {
    return this.#drag;
  }

  set drag(drag: Point | null) {
    this.#drag = drag;
    this.#changed();
  }

  /** What is being dragged: the selection and what goes along with it. */
  get lifted(): ReadonlySet<RecordId> {
    return this.#lifted;
  }

  set lifted(ids: ReadonlySet<RecordId>) {
    this.#lifted = ids;
    this.#changed();
  }

  get resize(): { readonly id: RecordId; readonly box: Box } | null {
    return this.#resize;
  }

  set resize(resize: { readonly id: RecordId; readonly box: Box } | null) {
    this.#resize = resize;
    this.#changed();
  }

  get marquee(): Box | null {
    return this.#marquee;
  }

  set marquee(marquee: Box | null) {
    this.#marquee = marquee;
    this.#changed();
  }

  get draft(): Box | null {
    return this.#draft;
  }

  set draft(draft: Box | null) {
    this.#draft = draft;
    this.#changed();
  }

  get ink(): OwnInk | null {
    return this.#ink;
  }

  set ink(ink: OwnInk | null) {
    this.#ink = ink;
    this.#changed();
  }

  get nib(): { readonly at: Point; readonly size: number } | null {
    return this.#nib;
  }

  set nib(nib: { readonly at: Point; readonly size: number } | null) {
    this.#nib = nib;
    this.#changed();
  }

  get laser(): Point | null {
    return this.#laser;
  }

  set laser(laser: Point | null) {
    this.#laser = laser;
    this.#changed();
  }

  /** What a frame without a prompt is called. */
  get frameWord(): string {
    return this.#frameWord;
  }

  set frameWord(word: string) {
    this.#frameWord = word;
    this.#changed();
  }

  #held(): void {
    for (const listener of this.#heldListeners) listener();
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

function clampSize(size: number): number {
  return Math.max(MIN_BRUSH, Math.min(MAX_BRUSH, size));
}
