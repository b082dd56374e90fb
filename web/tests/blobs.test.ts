import { afterEach, expect, test, vi } from "vitest";
import { Blobs } from "../src/net/blobs";

afterEach(() => vi.unstubAllGlobals());

test("a refused picture is explained by the server's own sentence", async () => {
  const body = { error: "unsupported", reason: "expected a PNG, JPEG or WEBP picture" };
  const answer = new Response(JSON.stringify(body), { status: 415 });
  vi.stubGlobal("fetch", () => Promise.resolve(answer));
  const text = new Blob(["not a picture"], { type: "image/png" });
  await expect(new Blobs("", "room").upload(text, null)).rejects.toThrow(body.reason);
});
