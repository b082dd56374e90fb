import { expect, test } from "vitest";
import { EXAMPLES } from "../../src/ui/examples";
import { preferredLanguage, WORDS } from "../../src/ui/words";

test("the language is the browser's first, where there are words for it", () => {
  expect(preferredLanguage(["zh-TW", "en"])).toBe("zh");
  expect(preferredLanguage(["de", "zh"])).toBe("en");
  expect(preferredLanguage([])).toBe("en");
});

test("no word is missing or empty in any language", () => {
  const empty = (words: object): string[] =>
    Object.entries(words).flatMap(([key, word]) => {
      if (typeof word === "object" && word !== null) return empty(word);
      return word === "" ? [key] : [];
    });
  for (const words of Object.values(WORDS)) expect(empty(words)).toEqual([]);
  for (const { prompt } of EXAMPLES) expect(empty(prompt)).toEqual([]);
});
