/**
 * What the first screen offers to make, with what the embedded model makes of it.
 *
 * The model knows both languages. `scripts/train_embedded examples` paints the pictures anew.
 */

import boat from "./examples/boat.webp";
import castle from "./examples/castle.webp";
import cat from "./examples/cat.webp";

import type { Language } from "./words";

export interface Example {
  readonly prompt: Readonly<Record<Language, string>>;
  readonly picture: string;
}

export const EXAMPLES: readonly Example[] = [
  {
    prompt: { en: "a red boat at sunset, watercolor", zh: "水彩画：夕阳下的一艘红船" },
    picture: boat,
  },
  {
    prompt: { en: "an orange cat in a meadow", zh: "草地上的一只橙色的猫" },
    picture: cat,
  },
  {
    prompt: { en: "pixel art of a castle at night", zh: "夜空下的一座城堡，像素画" },
    picture: castle,
  },
];
