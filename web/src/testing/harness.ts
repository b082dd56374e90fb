/** The page on a room in memory, for looking at it without a server. Not part of the build. */

import { mount } from "svelte";
import App from "../App.svelte";
import "../app.css";
import type { Candidate, Frame, RecordId } from "../protocol/messages";
import { encodePoints } from "../protocol/strokes";
import { FakeRoom } from "./fake-room";

const STEPS = 20;
const STEP_MS = 220;

const room = new FakeRoom();
room.onGenerate = (frame, job) => void emerge(frame, job);

/** A picture that comes out of noise, as far as `share` says. */
function picture(side: number, share: number, hue: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const ctx = canvas.getContext("2d");
  if (!ctx) return canvas;
  ctx.fillStyle = `hsl(${hue} 60% 85%)`;
  ctx.fillRect(0, 0, side, side);
  ctx.fillStyle = `hsl(${(hue + 150) % 360} 70% 50%)`;
  ctx.beginPath();
  ctx.arc(side / 2, side / 2, side / 3.2, 0, 7);
  ctx.fill();
  const pixels = ctx.getImageData(0, 0, side, side);
  for (let i = 0; i < pixels.data.length; i++) {
    if (i % 4 === 3) continue;
    pixels.data[i] = (pixels.data[i] ?? 0) * share + Math.random() * 255 * (1 - share);
  }
  ctx.putImageData(pixels, 0, 0);
  return canvas;
}

function encoded(canvas: HTMLCanvasElement, type: string): Promise<Blob> {
  return new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? new Blob()), type, 0.8));
}

async function emerge(frameId: RecordId, job: RecordId): Promise<void> {
  const frame = room.records.get(frameId) as Frame;
  const { x, y, w, h, count } = frame;
  for (let step = 1; step <= STEPS; step++) {
    for (let index = 0; index < count; index++) {
      const small = await encoded(picture(64, step / STEPS, 40 + 80 * index), "image/jpeg");
      const jpeg = new Uint8Array(await small.arrayBuffer());
      const box = [x, y, w, h] as const;
      room.preview({ t: "preview", frame: frameId, job, index, step, steps: STEPS, box, jpeg });
    }
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    const state = room.records.get(job);
    if (state?.type === "job" && state.state === "cancelled") return;
  }
  for (let index = 0; index < count; index++) {
    const blob = room.addBlob(await encoded(picture(256, 1, 40 + 80 * index), "image/png"));
    const at = {
      x,
      y,
      w,
      h,
      prompt: frame.prompt,
      live: false,
      masked: false,
      layer: null,
      above: "",
      strip: "",
      num_previews: 0,
    };
    const id = room.newId();
    const record: Candidate = {
      ...at,
      type: "candidate",
      id,
      by: "",
      frame: frameId,
      job,
      index,
      blob,
      seed: 7 + index,
      state: "open",
    };
    room.apply([{ c: "put", record }]);
  }
  room.apply([{ c: "patch", id: job, fields: { state: "done" } }]);
  room.endPreviews(frameId);
}

/** Many strokes, for seeing how fast it is. */
function scribble(count: number): void {
  const changes = Array.from({ length: count }, (_, i) => {
    const points: [number, number, number][] = [];
    let [x, y] = [Math.random() * 6000 - 3000, Math.random() * 4000 - 2000];
    for (let k = 0; k < 60; k++) {
      x += Math.random() * 16 - 8;
      y += Math.random() * 16 - 8;
      points.push([x, y, 0.5]);
    }
    const color = `#${Math.floor(Math.random() * 0xffffff)
      .toString(16)
      .padStart(6, "0")}`;
    return {
      c: "put" as const,
      record: {
        type: "stroke" as const,
        id: room.newId(),
        by: "",
        z: `a${String(i).padStart(6, "0")}`,
        points: encodePoints(points),
        size: 6,
        color,
        opacity: 1,
        erase: false,
        pen: false,
        layer: null,
        x: 0,
        y: 0,
      },
    };
  });
  room.apply(changes);
}

Object.assign(window, { fake: room, scribble });
const target = document.getElementById("app");
if (target) mount(App, { target, props: { room } });
