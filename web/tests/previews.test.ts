/** Pictures in the making, as a page knows of them. */

import { expect, test } from "vitest";
import type { PreviewMessage } from "../src/protocol/messages";
import { Bench } from "./support/ports";
import { makeFrame, makeJob } from "./support/records";

function preview(job: string): PreviewMessage {
  const [frame, jpeg] = ["frame-1", new Uint8Array([255])];
  return { t: "preview", frame, job, index: 0, step: 1, steps: 20, box: [0, 0, 256, 256], jpeg };
}

function ending(job: string) {
  const changes = [{ c: "patch", id: job, fields: { state: "done" } }] as const;
  return { t: "applied", seq: 1, id: "made-by-server", by: "ann", changes } as const;
}

test("w14_go when their job ends, and don't come back", () => {
  const bench = new Bench();
  bench.join(makeFrame("frame-1"), makeJob("job-1"));
  bench.receive(preview("job-1"));
  expect([...bench.session.previews.keys()]).toEqual(["frame-1/0"]);
  bench.receive(ending("job-1"), preview("job-1"));
  expect(bench.session.previews.size).toBe(0);
});

test("w14_stay when an older job of their frame ends", () => {
  const bench = new Bench();
  bench.join(makeFrame("frame-1"), makeJob("job-1"), makeJob("job-2"));
  bench.receive(preview("job-1"), preview("job-2"), ending("job-1"));
  expect([...bench.session.previews.values()].map(({ job }) => job)).toEqual(["job-2"]);
});
