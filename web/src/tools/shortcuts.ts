/** The keyboard: which key does what. Keys go by their place (`code`), so any layout works. */

import type { ToolName } from "./desk";

export type Action =
  | { readonly do: "tool"; readonly tool: ToolName }
  | {
      readonly do:
        | "undo"
        | "redo"
        | "delete"
        | "selectAll"
        | "escape"
        | "thinner"
        | "thicker"
        | "zoomIn"
        | "zoomOut"
        | "zoomFit"
        | "zoomActual"
        | "generate"
        | "accept"
        | "discard"
        | "previousCandidate"
        | "nextCandidate";
    };

/** What of a keyboard event decides. */
export interface Key {
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly altKey: boolean;
  readonly isComposing: boolean;
}

const TOOLS: Readonly<Record<string, ToolName>> = {
  KeyV: "select",
  KeyH: "pan",
  KeyB: "brush",
  KeyE: "eraser",
  KeyF: "frame",
  KeyM: "mask",
  KeyN: "note",
  KeyC: "comment",
  KeyL: "laser",
};

const PLAIN: Readonly<Record<string, Exclude<Action["do"], "tool">>> = {
  Delete: "delete",
  Backspace: "delete",
  Escape: "escape",
  BracketLeft: "thinner",
  BracketRight: "thicker",
  Equal: "zoomIn",
  NumpadAdd: "zoomIn",
  Minus: "zoomOut",
  NumpadSubtract: "zoomOut",
  Digit1: "zoomFit",
  Digit0: "zoomActual",
  Enter: "accept",
  KeyX: "discard",
  ArrowLeft: "previousCandidate",
  ArrowRight: "nextCandidate",
};

const WITH_COMMAND: Readonly<Record<string, Exclude<Action["do"], "tool">>> = {
  KeyZ: "undo",
  KeyY: "redo",
  KeyA: "selectAll",
  Enter: "generate",
};

/** What switches and sliders take themselves, or what would surprise somebody who is at one. */
const CONTROL_KEYS = new Set(["Space", "Backspace", "Delete"]);

/** What this key asks for; null for keys that are the browser's or the input method's. */
export function actionOf(key: Key): Action | null {
  if (key.isComposing || key.altKey) return null;
  if (key.ctrlKey || key.metaKey) {
    if (key.code === "KeyZ" && key.shiftKey) return { do: "redo" };
    const action = WITH_COMMAND[key.code];
    return action ? { do: action } : null;
  }
  const tool = TOOLS[key.code];
  if (tool && !key.shiftKey) return { do: "tool", tool };
  const action = PLAIN[key.code];
  return action ? { do: action } : null;
}

/** Whether keys go into a text field now. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement) return true;
  if (target instanceof HTMLSelectElement) return true;
  return (
    target instanceof HTMLInputElement && !["range", "checkbox", "color"].includes(target.type)
  );
}

/** Whether this key works the control that has the focus. */
export function belongsToControl(key: Key, target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest("button, [role=button], a[href], summary")) {
    return key.code === "Enter" || key.code === "Space";
  }
  if (!(target instanceof HTMLInputElement)) return false;
  return CONTROL_KEYS.has(key.code) || key.code.startsWith("Arrow");
}
