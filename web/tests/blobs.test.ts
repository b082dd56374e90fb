import { afterEach, expect, test, vi } from "vitest";
import { Blobs } from "../src/net/blobs";

afterEach(() => vi.unstubAllGlobals());

test("a refused picture is explained by the server's own sentence", async () => {
  const body = { error: "unsupported", reason: "expected a PNG, JPEG or WEBP picture" };
  const answer = new Response(JSON.stringify(body), { status: 415 });
  vi.stubGlobal("fetch", () => Promise.resolve(answer));
  const text = new Blob(["not a picture"], { type: "image/png" });
  await expect(new Blobs("", "room").upload(text, null, "badge")).rejects.toThrow(body.reason);
});

test("W22 an upload shows the badge of its session, and waits where it was too much at once", async () => {
  const answers = [new Response("{}", { status: 429 }), new Response("{}", { status: 201 })];
  const shown: unknown[] = [];
  vi.stubGlobal("fetch", (_url: string, { headers }: RequestInit) => {
    shown.push((headers as Record<string, string>)["authorization"]);
    return Promise.resolve(answers.shift());
  });
  const picture = new Blob(["picture"], { type: "image/png" });
  await new Blobs("", "room", () => Promise.resolve()).upload(picture, null, "badge");
  expect(shown).toEqual(["Bearer badge", "Bearer badge"]);
});
