/**
 * What the first screen offers to make: plain things that the embedded model draws well.
 *
 * The model knows both languages: a prompt is sent as the card says it. `art` is a small drawing
 * for the card, in a box of 96 × 72.
 */

import type { Language } from "./words";

export interface Example {
  readonly prompt: Readonly<Record<Language, string>>;
  readonly art: readonly { readonly d: string; readonly fill: string }[];
}

const BOX = "M0 0H96V72H0Z";

export const EXAMPLES: readonly Example[] = [
  {
    prompt: { en: "a red heart on a white background", zh: "白色背景上的一颗红心" },
    art: [
      { d: BOX, fill: "#fbfaf7" },
      {
        d: "M48 58C30 46 25 38 25 29.5A11.5 11.5 0 0 1 48 25.5A11.5 11.5 0 0 1 71 29.5C71 38 66 46 48 58Z",
        fill: "#e23b3b",
      },
    ],
  },
  {
    prompt: { en: "a green tree on a meadow, blue sky", zh: "草地上的一棵绿树，蓝天" },
    art: [
      { d: BOX, fill: "#a9d6f5" },
      { d: "M0 54C24 48 64 48 96 54V72H0Z", fill: "#7cc35b" },
      { d: "M45 38H51L53 58H43Z", fill: "#8a5a34" },
      {
        d: "M48 10A15 15 0 0 1 63 22A12 12 0 0 1 60 45H36A12 12 0 0 1 33 22A15 15 0 0 1 48 10Z",
        fill: "#3f9444",
      },
    ],
  },
  {
    prompt: { en: "a yellow star, night sky", zh: "夜空中的一颗黄色星星" },
    art: [
      { d: BOX, fill: "#1c2550" },
      {
        d: "M48 13L54.8 28.2L71.3 29.9L59 41L62.5 57.2L48 48.8L33.5 57.2L37 41L24.7 29.9L41.2 28.2Z",
        fill: "#ffd23f",
      },
      {
        d: "M14 16h2v2h-2ZM80 14h2v2h-2ZM76 56h2v2h-2ZM18 52h2v2h-2ZM30 12h1.5v1.5h-1.5ZM86 36h1.5v1.5h-1.5Z",
        fill: "#c7d0ff",
      },
    ],
  },
];
