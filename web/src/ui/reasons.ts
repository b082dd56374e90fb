/** What the server and the connection say, in the language of the page. Pure. */

import { ToldError } from "../net/told";
import { CLOSE } from "../protocol/messages";
import type { WORDS } from "./words";

type Words = (typeof WORDS)["en"];

/** Where the server knows more than there is a word for, what it says stands behind the word. */
const DETAILED: readonly string[] = [
  "engine_failed",
  "engine_error",
  "no_model",
  "bad_record",
  "bad_archive",
  "too_large",
  "invalid",
];

/** Why something was refused; as the server says it where the page has no words for it. */
export function refusalText(words: Words, code: string, reason: string): string {
  if (!Object.hasOwn(words.refusals, code)) return reason;
  const text = words.refusals[code as keyof Words["refusals"]];
  return DETAILED.includes(code) && reason !== "" ? `${text} (${reason})` : text;
}

/** What went wrong with something that was asked over HTTP. */
export function errorText(words: Words, error: unknown): string {
  if (error instanceof ToldError) return refusalText(words, error.code, error.message);
  return error instanceof Error ? error.message : "";
}

/** Why there is no connection; `code` is that with which the last one was closed. */
export function closingText({ closings }: Words, code: number, isOnline: boolean): string {
  const name = (Object.keys(CLOSE) as (keyof typeof CLOSE)[]).find((name) => CLOSE[name] === code);
  if (name !== undefined && Object.hasOwn(closings, name)) {
    return closings[name as keyof typeof closings];
  }
  return isOnline ? closings.noAnswer : closings.offline;
}
