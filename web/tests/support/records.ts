/** Records to try things with. */

import type { InkStyle } from "../../src/protocol/messages";
import type { Frame, JobRecord, Stroke } from "../../src/protocol/records";
import { frame, job, type Line, stroke } from "../../src/testing/records";

const LINE: Line = [
  [0, 0],
  [10, 10],
];

/** Ink of a plain brush. */
export const INK_STYLE: InkStyle = {
  kind: "stroke",
  size: 8,
  color: "#1e1e1e",
  opacity: 1,
  erase: false,
  pen: false,
  layer: null,
  frame: null,
};

export function makeStroke(id: string, fields: Partial<Stroke> = {}): Stroke {
  return stroke(id, LINE, { size: 8, ...fields });
}

export function makeFrame(id: string, fields: Partial<Frame> = {}): Frame {
  return frame(id, { z: "a1", w: 256, h: 256, ...fields });
}

export function makeJob(id: string, fields: Partial<JobRecord> = {}): JobRecord {
  return job(id, "frame-1", { by: "ann", seed: 7, ...fields });
}
