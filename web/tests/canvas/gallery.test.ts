import { expect, test } from "vitest";
import { Gallery } from "../../src/canvas/gallery";
import type { RoomRecord } from "../../src/protocol/messages";
import { candidate, frame, job, stroke } from "../../src/testing/records";

function galleryOf(drawable: Set<string>, ...records: RoomRecord[]) {
  const map = new Map(records.map((record) => [record.id, record]));
  const gallery = new Gallery(map, (blob) => drawable.has(blob));
  const put = (record: RoomRecord) => {
    const before = map.get(record.id);
    map.set(record.id, record);
    gallery.apply([{ id: record.id, before, after: record }]);
  };
  return { gallery, put, map };
}

const line = [
  [10, 10],
  [20, 20],
] as const;

test("U13 the newest open candidate is shown until another is chosen", () => {
  const drawable = new Set(["blob of a", "blob of b", "blob of c"]);
  const { gallery, put } = galleryOf(
    drawable,
    frame("f"),
    candidate("a", "j"),
    candidate("b", "j"),
  );
  expect(gallery.shown("f")?.id).toBe("b");
  gallery.choose("f", "a");
  expect(gallery.shown("f")?.id).toBe("a");
  put(candidate("c", "k"));
  expect(gallery.shown("f")?.id).toBe("c");
  put(candidate("c", "k", { state: "discarded" }));
  expect(gallery.shown("f")?.id).toBe("b");
});

test("U13 while a picture is loading, the one before it stays", () => {
  const drawable = new Set(["blob of a"]);
  const { gallery, put } = galleryOf(drawable, frame("f"), candidate("a", "j"));
  expect(gallery.shown("f")?.id).toBe("a");
  put(candidate("a", "j", { state: "discarded" }));
  put(candidate("b", "k"));
  expect(gallery.chosen("f")?.id).toBe("b");
  expect(gallery.shown("f")?.id).toBe("a");
  drawable.add("blob of b");
  expect(gallery.shown("f")?.id).toBe("b");
});

test("nothing is shown of a frame whose pictures are hidden", () => {
  const { gallery } = galleryOf(new Set(["blob of a"]), frame("f"), candidate("a", "j"));
  gallery.setHidden("f", true);
  expect(gallery.shown("f")).toBeUndefined();
  gallery.choose("f", "a");
  expect(gallery.shown("f")?.id).toBe("a");
});

test("U13 when a picture is kept, the others make way for it until a new one is asked for", () => {
  const drawable = new Set(["blob of a", "blob of b"]);
  const { gallery, put } = galleryOf(
    drawable,
    frame("f"),
    candidate("a", "j"),
    candidate("b", "j"),
  );
  put(candidate("b", "j", { state: "accepted" }));
  expect(gallery.shown("f")).toBeUndefined();
  expect(gallery.openCandidates("f").map(({ id }) => id)).toEqual(["a"]);
  put(job("k", "f"));
  expect(gallery.shown("f")?.id).toBe("a");
});

test("U14 an emerging picture is finished when it can be drawn, or never will be", () => {
  const drawable = new Set<string>();
  const { gallery, put } = galleryOf(drawable, frame("f"), job("j", "f"));
  expect(gallery.hasFinished("j", 0, true)).toBe(false);
  put(candidate("a", "j"));
  put(job("j", "f", { state: "done" }));
  expect(gallery.hasFinished("j", 0, true)).toBe(false);
  drawable.add("blob of a");
  expect(gallery.hasFinished("j", 0, true)).toBe(true);
  put(job("k", "f", { state: "failed" }));
  expect(gallery.hasFinished("k", 0, true)).toBe(true);
});

test("U15 strokes newer than a picture are drawn over it, until a picture knows them", () => {
  const { gallery, put, map } = galleryOf(new Set(["blob of a"]), stroke("old", line), frame("f"));
  put(stroke("before", line));
  put(job("j", "f"));
  put(stroke("after", line));
  put(stroke("elsewhere", line, { x: 9000 }));
  put(stroke("eraser", line, { erase: true }));
  const box = { x: 0, y: 0, w: 512, h: 512 };
  expect(gallery.freshStrokes(box, "j", map).map(({ id }) => id)).toEqual(["after"]);
  put(job("k", "f"));
  expect(gallery.freshStrokes(box, "k", map)).toEqual([]);
});

test("U14 a live frame's next picture emerges over the one before, and then takes its place", () => {
  const drawable = new Set(["blob 1"]);
  const live = job("j", "f", { live: true });
  const { gallery, put, map } = galleryOf(drawable, frame("f", { live: true }), live);
  const first = candidate("c", "j", { live: true, blob: "blob 1" });
  put(first);
  put({ ...live, state: "done" });
  put(stroke("drawn then", line));
  expect(gallery.freshStrokes(first, "c", map).map(({ id }) => id)).toEqual(["drawn then"]);

  put(live);
  expect(gallery.hasFinished("j", 0, false)).toBe(false);
  expect(gallery.freshStrokes(first, "j", map)).toEqual([]);
  expect(gallery.freshStrokes(first, "c", map)).toHaveLength(1);

  expect(gallery.shown("f")?.blob).toBe("blob 1");
  put({ ...first, blob: "blob 2" });
  put({ ...live, state: "done" });
  expect(gallery.hasFinished("j", 0, true)).toBe(false);
  expect(gallery.shown("f")?.blob).toBe("blob 1");
  drawable.add("blob 2");
  expect(gallery.hasFinished("j", 0, true)).toBe(true);
  expect(gallery.shown("f")?.blob).toBe("blob 2");
  expect(gallery.freshStrokes(first, "c", map)).toEqual([]);
});

test("the job of a frame is the newest, and the frame is busy while any is unfinished", () => {
  const { gallery, put } = galleryOf(new Set(), frame("f"), job("j", "f"));
  put(job("k", "f", { state: "failed", reason: "too large" }));
  expect(gallery.jobOf("f")?.reason).toBe("too large");
  expect(gallery.isBusy("f")).toBe(true);
  put(job("j", "f", { state: "cancelled" }));
  expect(gallery.isBusy("f")).toBe(false);
});

test("U13 a kept or discarded picture that comes back by undo is shown", () => {
  const drawable = new Set(["blob of a", "blob of b"]);
  const { gallery, put } = galleryOf(
    drawable,
    frame("f"),
    candidate("a", "j"),
    candidate("b", "j"),
  );
  for (const state of ["accepted", "discarded"] as const) {
    put(candidate("a", "j", { state }));
    put(candidate("a", "j"));
    expect(gallery.shown("f")?.id).toBe("a");
  }
});

test("U14 an older picture that is finished meanwhile leaves a newer one's preview over it", () => {
  const drawable = new Set(["blob of a", "blob of b"]);
  const { gallery, put } = galleryOf(drawable, frame("f"), job("older", "f"), job("newer", "f"));
  put(candidate("a", "older"));
  put(job("older", "f", { state: "done" }));
  expect(gallery.shown("f")?.id).toBe("a");
  expect(gallery.hasFinished("newer", 0, false)).toBe(false);
  put(candidate("b", "newer"));
  expect(gallery.hasFinished("newer", 0, false)).toBe(true);
  expect(gallery.shown("f")?.id).toBe("b");
});
