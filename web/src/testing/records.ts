/** Records for tests, whole and plain; each takes what its test is about. */

import type {
  Candidate,
  Frame,
  ImageRecord,
  JobRecord,
  MaskStroke,
  Note,
  Stroke,
} from "../protocol/messages";
import { encodePoints } from "../protocol/strokes";

export type Line = readonly (readonly [x: number, y: number])[];

export function packed(line: Line): Uint8Array {
  return encodePoints(line.map(([x, y]) => [x, y, 0.5] as const));
}

export function stroke(id: string, line: Line, fields: Partial<Stroke> = {}): Stroke {
  return {
    type: "stroke",
    id,
    by: "",
    z: "a0",
    points: packed(line),
    size: 10,
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

export function image(id: string, fields: Partial<ImageRecord> = {}): ImageRecord {
  return {
    type: "image",
    id,
    by: "",
    z: "a0",
    blob: "b".repeat(64),
    x: 0,
    y: 0,
    w: 100,
    h: 50,
    opacity: 1,
    layer: null,
    ...fields,
  };
}

export function frame(id: string, fields: Partial<Frame> = {}): Frame {
  return {
    type: "frame",
    id,
    by: "",
    z: "a0",
    x: 0,
    y: 0,
    w: 512,
    h: 512,
    prompt: "",
    negative: "",
    clip_skip: 0,
    model: "",
    loras: {},
    steps: 20,
    guidance: 4,
    seed: null,
    variation_seed: 0,
    variation: 0,
    sampler: "dpmpp_2m",
    strength: 0.7,
    hires: 1,
    hires_strength: 0.3,
    control: "",
    control_strength: 1,
    control_start: 0,
    control_end: 1,
    count: 1,
    live: false,
    ...fields,
  };
}

export function mask(id: string, frameId: string, line: Line): MaskStroke {
  const { points } = stroke(id, line);
  const plain = { size: 20, erase: false, pen: false, x: 0, y: 0 };
  return { type: "mask", id, by: "", z: "a0", frame: frameId, points, ...plain };
}

export function job(id: string, frameId: string, fields: Partial<JobRecord> = {}): JobRecord {
  return {
    type: "job",
    id,
    by: "",
    frame: frameId,
    state: "running",
    count: 1,
    done: 0,
    live: false,
    attempt: 1,
    seed: 0,
    prompt: "",
    reason: "",
    code: "",
    ...fields,
  };
}

export function candidate(id: string, jobId: string, fields: Partial<Candidate> = {}): Candidate {
  return {
    type: "candidate",
    id,
    by: "",
    frame: "f",
    job: jobId,
    index: 0,
    blob: `blob of ${id}`,
    seed: 0,
    x: 0,
    y: 0,
    w: 512,
    h: 512,
    prompt: "",
    live: false,
    masked: false,
    layer: null,
    above: "",
    strip: "",
    num_previews: 0,
    state: "open",
    ...fields,
  };
}

export function note(id: string, fields: Partial<Note> = {}): Note {
  const look = { z: "a0", x: 0, y: 0, text: "", color: "#ffe27a" };
  return { type: "note", id, by: "", ...look, ...fields };
}
