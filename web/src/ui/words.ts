/** Every word that people see, in each language. */

import { en, type Words } from "./words/en";
import { zh } from "./words/zh";

export type { Words } from "./words/en";
export type Language = "en" | "zh";
export const LANGUAGES: Readonly<Record<Language, string>> = { en: "English", zh: "中文" };

export const WORDS: Readonly<Record<Language, Words>> = { en, zh };

export function preferredLanguage(languages: readonly string[]): Language {
  return languages[0]?.toLowerCase().startsWith("zh") ? "zh" : "en";
}
