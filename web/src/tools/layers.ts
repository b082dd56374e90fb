/** What can be done to layers: the changes that make, order and delete them. Pure. */

import { generateKeyBetween, generateNKeysBetween } from "fractional-indexing";
import { inOrder, zAbove } from "../canvas/scene";
import type { Change, Layer, RecordId, RoomRecord } from "../protocol/messages";
import type { Bench } from "./tool";

type Records = ReadonlyMap<RecordId, RoomRecord>;

/** Lowest first. */
export function layersIn(records: Records): Layer[] {
  return [...records.values()].filter((record) => record.type === "layer").sort(inOrder);
}

/** A new layer, over all others. */
export function newLayer(records: Records, id: RecordId, name: string): Layer {
  const z = zAbove(layersIn(records).at(-1)?.z ?? null);
  return { type: "layer", id, by: "", z, name, visible: true, opacity: 1 };
}

/** Move a layer one up or down; empty where it is the last one there. */
export function movedLayer(records: Records, id: RecordId, by: 1 | -1): Change[] {
  const layers = layersIn(records);
  const at = layers.findIndex((layer) => layer.id === id);
  const [layer, other] = [layers[at], layers[at + by]];
  if (!layer || !other) return [];
  const to = at + by;
  layers[at] = other;
  layers[to] = layer;
  try {
    return [moved(layer, generateKeyBetween(layers[to - 1]?.z ?? null, layers[to + 1]?.z ?? null))];
  } catch {
    // Two people made theirs at once, or a key comes from elsewhere: new ones for all.
    const keys = generateNKeysBetween(null, null, layers.length);
    return layers.map((one, index) => moved(one, keys[index] ?? one.z));
  }
}

function moved({ id }: Layer, z: string): Change {
  return { c: "patch", id, fields: { z } };
}

/** Delete a layer and what lies in it. */
export function deletedLayer(records: Records, id: RecordId): Change[] {
  const within = [...records.values()].filter(
    (record) => (record.type === "stroke" || record.type === "image") && record.layer === id,
  );
  return [...within, { id }].map((record) => ({ c: "delete", id: record.id }));
}

/** Why nobody can see, or this person may not make, what they would draw; null where all is well. */
export function layerFault({ room, desk }: Pick<Bench, "room" | "desk">) {
  const layer = desk.layer === null ? undefined : room.records.get(desk.layer);
  if (layer?.type !== "layer") return null;
  if (!layer.visible) return "layerHidden";
  const isLocked = room.records.has(`:lock:${layer.id}`) && room.role !== "host";
  return isLocked ? "layerLocked" : null;
}
