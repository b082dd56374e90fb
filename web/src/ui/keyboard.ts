/** Carries out what keys ask for, wherever on the page they are pressed. */

import { type Action, actionOf, belongsToControl, isTyping } from "../tools/shortcuts";
import type { Studio } from "./studio.svelte";

type Deed = Exclude<Action["do"], "tool">;

/** Listen until the returned function is called. */
export function listenToKeys(studio: Studio): () => void {
  const abort = new AbortController();
  const options = { signal: abort.signal };
  window.addEventListener("keydown", (event) => keyDown(studio, event), options);
  window.addEventListener(
    "keyup",
    ({ code }) => {
      if (code === "Space") studio.isSpaceDown = false;
    },
    options,
  );
  window.addEventListener(
    "blur",
    () => {
      studio.isSpaceDown = false;
    },
    options,
  );
  return () => abort.abort();
}

function keyDown(studio: Studio, event: KeyboardEvent): void {
  // Nothing is done to what the room was.
  if (studio.journey) return;
  if (isTyping(event.target) || belongsToControl(event, event.target)) return;
  if (event.code === "Space") {
    event.preventDefault();
    studio.isSpaceDown = true;
    return;
  }
  const action = actionOf(event);
  if (action && perform(studio, action)) event.preventDefault();
}

/** False where there is nothing to do, so that the key stays the browser's. */
function perform(studio: Studio, action: Action): boolean {
  if (action.do === "tool") studio.pick(action.tool);
  else {
    const deed = deedsOnFrame(studio)[action.do] ?? deeds(studio)[action.do];
    if (!deed) return false;
    deed();
  }
  return true;
}

function deedsOnFrame(studio: Studio): Partial<Record<Deed, () => void>> {
  const { frame } = studio;
  if (!frame) return {};
  const generate = () => studio.room.generate(frame.id);
  const chosen = studio.view.gallery.chosen(frame.id);
  if (!chosen) return { generate };
  return {
    generate,
    accept: () => studio.accept(chosen.id),
    discard: () => studio.discard(chosen.id),
    previousCandidate: () => studio.step(chosen, -1),
    nextCandidate: () => studio.step(chosen, 1),
  };
}

function deeds(studio: Studio): Partial<Record<Deed, () => void>> {
  return {
    undo: () => studio.room.undo(),
    redo: () => studio.room.redo(),
    delete: () => studio.deleteSelection(),
    selectAll: () => studio.selectAll(),
    escape: () => studio.escape(),
    thinner: () => resizeBrush(studio, 1 / 1.25),
    thicker: () => resizeBrush(studio, 1.25),
    zoomIn: () => studio.zoomBy(1.4),
    zoomOut: () => studio.zoomBy(1 / 1.4),
    zoomFit: () => studio.zoomFit(),
    zoomActual: () => studio.zoomActual(),
  };
}

function resizeBrush({ desk }: Studio, factor: number): void {
  if (desk.size !== null) desk.size = Math.round(desk.size * factor * 2) / 2;
}
