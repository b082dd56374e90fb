/** Moves the view, not the canvas. */

import { panned } from "../canvas/camera";
import type { Bench, Sample, Tool } from "./tool";

export class PanTool implements Tool {
  readonly cursor = "grab";
  readonly #bench: Pick<Bench, "view">;
  #last: Sample | null = null;

  constructor(bench: Pick<Bench, "view">) {
    this.#bench = bench;
  }

  down(sample: Sample): void {
    this.#last = sample;
  }

  move(samples: readonly Sample[]): void {
    const next = samples.at(-1);
    if (!this.#last || !next) return;
    const { view } = this.#bench;
    const dx = next.screen.x - this.#last.screen.x;
    const dy = next.screen.y - this.#last.screen.y;
    view.look(panned(view.camera, dx, dy));
    this.#last = next;
  }

  up(): void {
    this.#last = null;
  }

  cancel(): void {
    this.#last = null;
  }
}
