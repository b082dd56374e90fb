import { expect, test } from "vitest";
import { EmergingPictures } from "../../src/canvas/emerging";
import type { PreviewMessage } from "../../src/protocol/messages";

/** A decoder that finishes when told, in order. */
function decoder() {
  const waiting: { step: number; finish: () => Promise<void> }[] = [];
  const closed: number[] = [];
  const decode = (jpeg: Uint8Array) =>
    new Promise<ImageBitmap>((resolve) => {
      const step = jpeg[0] ?? 0;
      const finish = async () => {
        resolve({ close: () => closed.push(step) } as unknown as ImageBitmap);
        await Promise.resolve();
        await Promise.resolve();
        await Promise.resolve();
      };
      waiting.push({ step, finish });
    });
  return { decode, waiting, closed };
}

function preview(step: number): PreviewMessage {
  const jpeg = Uint8Array.of(step);
  return { t: "preview", frame: "f", job: "j", index: 0, step, steps: 20, box: [0, 0, 9, 9], jpeg };
}

const rooms = (message: PreviewMessage) => new Map([["f/0", message]]);

test("U14 of the previews that come while one is decoded, only the latest is decoded", async () => {
  const { decode, waiting, closed } = decoder();
  const emerging = new EmergingPictures(decode, () => {});
  for (const step of [1, 2, 3]) emerging.follow(rooms(preview(step)));
  await waiting[0]?.finish();
  expect(waiting.map(({ step }) => step)).toEqual([1, 3]);
  await waiting[1]?.finish();
  expect(emerging.of("f").map(({ step }) => step)).toEqual([3]);
  expect(closed).toEqual([1]);
});

test("U14 a preview's picture stays until the finished one can be drawn", async () => {
  const { decode, waiting, closed } = decoder();
  const emerging = new EmergingPictures(decode, () => {});
  emerging.follow(rooms(preview(7)));
  await waiting[0]?.finish();
  emerging.follow(new Map());
  emerging.sweep(() => false);
  expect(emerging.of("f")).toHaveLength(1);
  emerging.sweep(() => true);
  expect(emerging.of("f")).toEqual([]);
  expect(closed).toEqual([7]);
});

test("a preview that can't be decoded changes nothing", async () => {
  const emerging = new EmergingPictures(
    () => Promise.reject(new Error("not a JPEG")),
    () => {},
  );
  emerging.follow(rooms(preview(1)));
  await Promise.resolve();
  expect(emerging.of("f")).toEqual([]);
});
