/** Records to try things with. */

import type { Frame, JobRecord, Stroke } from "../../src/protocol/records";
import { frame, job, type Line, stroke } from "../../src/testing/records";

const LINE: Line = [
  [0, 0],
  [10, 10],
];

export function makeStroke(id: string, fields: Partial<Stroke> = {}): Stroke {
  return stroke(id, LINE, { size: 8, ...fields });
}

export function makeFrame(id: string, fields: Partial<Frame> = {}): Frame {
  return frame(id, { z: "a1", w: 256, h: 256, ...fields });
}

export function makeJob(id: string, fields: Partial<JobRecord> = {}): JobRecord {
  return job(id, "frame-1", { by: "ann", seed: 7, ...fields });
}
