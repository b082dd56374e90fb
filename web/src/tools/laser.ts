/** Points at things: others see a trail that fades, and nothing stays. */

import type { Bench, Sample, Tool } from "./tool";

export class LaserTool implements Tool {
  readonly cursor = "crosshair";
  readonly #bench: Pick<Bench, "desk">;

  constructor(bench: Pick<Bench, "desk">) {
    this.#bench = bench;
  }

  down(sample: Sample): void {
    this.hover(sample);
  }

  move(samples: readonly Sample[]): void {
    const last = samples.at(-1);
    if (last) this.hover(last);
  }

  up(): void {}

  cancel(): void {
    this.hover(null);
  }

  hover(sample: Sample | null): void {
    this.#bench.desk.laser = sample?.at ?? null;
  }
}
