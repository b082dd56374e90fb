/** Tools that are pressed once at a place: a sticky note, a comment. */

import type { Point } from "../canvas/geometry";
import type { Sample, Tool } from "./tool";

export class PlaceTool implements Tool {
  readonly cursor = "crosshair";
  readonly #place: (at: Point) => void;

  /** `place` is called where the pointer is lifted. */
  constructor(place: (at: Point) => void) {
    this.#place = place;
  }

  down(): void {}

  move(): void {}

  up({ at }: Sample): void {
    this.#place(at);
  }

  cancel(): void {}
}
