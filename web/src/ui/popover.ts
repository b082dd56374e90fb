/** An attachment for what opens over the page: a press elsewhere or Escape closes it. */

import type { Attachment } from "svelte/attachments";

export function closesOutside(close: () => void): Attachment<HTMLElement> {
  return (element) => {
    const press = (event: Event) => {
      if (event.target instanceof Node && !element.contains(event.target)) close();
    };
    const key = (event: KeyboardEvent) => {
      if (event.code !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      close();
      element.querySelector<HTMLElement>("[aria-expanded]")?.focus();
    };
    document.addEventListener("pointerdown", press, true);
    element.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("pointerdown", press, true);
      element.removeEventListener("keydown", key);
    };
  };
}
