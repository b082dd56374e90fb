/** Records to try things with. */

import type { Frame, JobRecord, Stroke } from "../../src/protocol/records";
import { encodePoints } from "../../src/protocol/strokes";

export function makeStroke(id: string, fields: Partial<Stroke> = {}): Stroke {
  const points = encodePoints([
    [0, 0, 0.5],
    [10, 10, 0.5],
  ]);
  return {
    type: "stroke",
    id,
    by: "",
    z: "a0",
    points,
    size: 8,
    color: "#1e1e1e",
    opacity: 1,
    erase: false,
    pen: false,
    layer: null,
    x: 0,
    y: 0,
    ...fields,
  };
}

export function makeFrame(id: string, fields: Partial<Frame> = {}): Frame {
  return {
    type: "frame",
    id,
    by: "",
    z: "a1",
    x: 0,
    y: 0,
    w: 256,
    h: 256,
    prompt: "",
    negative: "",
    steps: 20,
    guidance: 4,
    seed: null,
    sampler: "dpmpp_2m",
    strength: 0.7,
    count: 1,
    live: false,
    ...fields,
  };
}

export function makeJob(id: string, fields: Partial<JobRecord> = {}): JobRecord {
  return {
    type: "job",
    id,
    by: "ann",
    frame: "frame-1",
    state: "running",
    count: 1,
    done: 0,
    live: false,
    attempt: 1,
    seed: 7,
    prompt: "",
    reason: "",
    ...fields,
  };
}
