/**
 * The painted records of a room in the order they are painted, and what a change damages.
 *
 * Strokes and images lie in layers; a record without a layer (or whose layer was deleted) lies
 * in the base layer, below all others. Layers and what lies in them are ordered by (z, id).
 * Knows nothing of pixels.
 */

import { generateKeyBetween } from "fractional-indexing";
import type { ImageRecord, Layer, RecordId, RoomRecord, Stroke } from "../protocol/messages";
import type { RecordChange } from "../sync/changes";
import { type Box, translate } from "./geometry";
import { shapeOf } from "./outline";

export type Painted = Stroke | ImageRecord;

export const BASE_LAYER = "";

export interface SceneLayer {
  readonly id: string;
  readonly visible: boolean;
  readonly opacity: number;
  readonly z: string;
  readonly items: readonly Painted[];
}

/** What must be drawn again: `appended` is there where it is enough to draw that on top. */
export interface Damage {
  readonly layer: string;
  readonly box: Box;
  readonly appended: Painted | null;
}

/** `"all"`: the layers themselves changed. */
export type Damages = readonly Damage[] | "all";

interface MutableLayer extends SceneLayer {
  items: Painted[];
}

interface Ordered {
  readonly z: string;
  readonly id: string;
}

export function isPainted(record: RoomRecord | undefined): record is Painted {
  return record?.type === "stroke" || record?.type === "image";
}

export function inOrder(a: Ordered, b: Ordered): number {
  if (a.z !== b.z) return a.z < b.z ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

export function boundsOf(record: Painted): Box {
  if (record.type === "image") return { x: record.x, y: record.y, w: record.w, h: record.h };
  return translate(shapeOf(record).bounds, record.x, record.y);
}

/** A z above `top`, which may come from anybody and so may be no proper key. */
export function zAbove(top: string | null): string {
  try {
    return generateKeyBetween(top, null);
  } catch {
    return `${top}V`;
  }
}

export class Scene {
  #layers: MutableLayer[] = [];
  #byId = new Map<string, MutableLayer>();
  #lifted = new Set<RecordId>();
  readonly #records: ReadonlyMap<RecordId, RoomRecord>;

  constructor(records: ReadonlyMap<RecordId, RoomRecord>) {
    this.#records = records;
    this.#rebuild();
  }

  get layers(): readonly SceneLayer[] {
    return this.#layers;
  }

  layer(id: string | null | undefined): SceneLayer {
    const layer = this.#byId.get(id ?? BASE_LAYER) ?? this.#byId.get(BASE_LAYER);
    if (!layer) throw new Error("a scene always has its base layer");
    return layer;
  }

  /** A z above everything in this layer. */
  topZ(layer: string | null): string {
    return zAbove(this.layer(layer).items.at(-1)?.z ?? null);
  }

  apply(changes: readonly RecordChange[]): Damages {
    if (changes.some(({ before, after }) => before?.type === "layer" || after?.type === "layer")) {
      this.#rebuild();
      return "all";
    }
    const damages: Damage[] = [];
    for (const { before, after } of changes) {
      const old = isPainted(before) ? before : undefined;
      const young = isPainted(after) ? after : undefined;
      if (old && young && looksSame(old, young)) this.#replace(old, young);
      else {
        if (old) this.#remove(old, damages);
        if (young) this.#insert(young, damages);
      }
    }
    return damages;
  }

  /** Take records out of the picture while they are dragged about; they keep their place. */
  lift(ids: Iterable<RecordId>): Damages {
    return this.#setLifted(new Set(ids));
  }

  settle(): Damages {
    return this.#setLifted(new Set());
  }

  isLifted(id: RecordId): boolean {
    return this.#lifted.has(id);
  }

  #setLifted(lifted: Set<RecordId>): Damages {
    const changed = [...this.#lifted, ...lifted].filter(
      (id) => this.#lifted.has(id) !== lifted.has(id),
    );
    this.#lifted = lifted;
    return changed.flatMap((id) => {
      const record = this.#records.get(id);
      if (!isPainted(record)) return [];
      return [{ layer: this.layer(record.layer).id, box: boundsOf(record), appended: null }];
    });
  }

  #insert(record: Painted, damages: Damage[]): void {
    const layer = this.layer(record.layer) as MutableLayer;
    const at = place(layer.items, record);
    const onTop = at === layer.items.length;
    layer.items.splice(at, 0, record);
    damages.push({ layer: layer.id, box: boundsOf(record), appended: onTop ? record : null });
  }

  #remove(record: Painted, damages: Damage[]): void {
    const layer = this.layer(record.layer) as MutableLayer;
    const at = place(layer.items, record);
    if (layer.items[at]?.id !== record.id) return;
    layer.items.splice(at, 1);
    damages.push({ layer: layer.id, box: boundsOf(record), appended: null });
  }

  #replace(old: Painted, young: Painted): void {
    const { items } = this.layer(old.layer) as MutableLayer;
    const at = place(items, old);
    if (items[at]?.id === old.id) items[at] = young;
  }

  #rebuild(): void {
    const layers: MutableLayer[] = [];
    for (const record of this.#records.values()) {
      if (record.type === "layer") layers.push(emptyLayer(record));
    }
    layers.sort(inOrder);
    const base = { id: BASE_LAYER, visible: true, opacity: 1, z: "", items: [] };
    this.#layers = [base, ...layers];
    this.#byId = new Map(this.#layers.map((layer) => [layer.id, layer]));
    for (const record of this.#records.values()) {
      if (isPainted(record)) (this.layer(record.layer) as MutableLayer).items.push(record);
    }
    for (const layer of this.#layers) layer.items.sort(inOrder);
  }
}

function emptyLayer({ id, visible, opacity, z }: Layer): MutableLayer {
  return { id, visible, opacity, z, items: [] };
}

/** Where `record` is or belongs among `items`. */
function place(items: readonly Painted[], record: Painted): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = items[middle];
    if (other && inOrder(other, record) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The server's echo of an own edit is another object that paints the same. */
function looksSame(a: Painted, b: Painted): boolean {
  if (a === b) return true;
  const fields = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof Painted>;
  fields.delete("by");
  for (const field of fields) if (!isEqual(a[field], b[field])) return false;
  return true;
}

function isEqual(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, index) => byte === b[index]);
  }
  return a === b;
}
