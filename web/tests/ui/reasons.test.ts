import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ToldError } from "../../src/net/told";
import { CLOSE } from "../../src/protocol/messages";
import { closingText, errorText, refusalText } from "../../src/ui/reasons";
import { WORDS } from "../../src/ui/words";

const PROTOCOL = fileURLToPath(new URL("../../../PROTOCOL.md", import.meta.url));
const isEnglish = /[A-Za-z]{3}/;

test("W4 every refusal that the protocol knows is told in the language of the page", () => {
  const list = /Refusals \(`refused\.code`\)([\s\S]*?)\n\n/.exec(readFileSync(PROTOCOL, "utf-8"));
  const codes = [...(list?.[1] ?? "").matchAll(/`([a-z_]+)`/g)].map(([, code]) => code ?? "");
  const named = codes.filter(
    (code) => !["refused", "generate", "cancel", "code", "reason"].includes(code),
  );
  expect(named.length).toBeGreaterThan(25);
  for (const code of named) {
    expect(Object.keys(WORDS.en.refusals), code).toContain(code);
    expect(refusalText(WORDS.zh, code, ""), code).not.toMatch(isEnglish);
  }
});

test("what the server knows more stands behind the word", () => {
  expect(refusalText(WORDS.zh, "no_model", "not enough memory")).toBe(
    "此模型无法使用。 (not enough memory)",
  );
  expect(refusalText(WORDS.zh, "locked", "a host has locked it")).toBe(WORDS.zh.refusals.locked);
  expect(refusalText(WORDS.en, "brand_new", "as the server says it")).toBe("as the server says it");
});

test("what is refused over HTTP is told in the language of the page", () => {
  const error = new ToldError("unsupported", "expected a PNG");
  expect(errorText(WORDS.zh, error)).toBe(WORDS.zh.refusals.unsupported);
  expect(errorText(WORDS.zh, new ToldError("", "as the server says it"))).toBe(
    "as the server says it",
  );
  expect(errorText(WORDS.en, new Error("no PNG"))).toBe("no PNG");
  expect(errorText(WORDS.en, "nothing")).toBe("");
});

test("why there is no connection is told in the language of the page", () => {
  expect(closingText(WORDS.zh, CLOSE.cannotSave, true)).toBe(WORDS.zh.closings.cannotSave);
  expect(closingText(WORDS.en, 1006, true)).toBe("The server doesn't answer.");
  expect(closingText(WORDS.zh, 1006, false)).toBe("你已离线。");
});
