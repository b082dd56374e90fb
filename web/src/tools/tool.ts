/** What every tool is, and what it may reach. */

import type { Camera } from "../canvas/camera";
import type { Gallery } from "../canvas/gallery";
import type { Point } from "../canvas/geometry";
import type { Scene } from "../canvas/scene";
import type { RecordId } from "../protocol/messages";
import type { RoomClient } from "../sync/room-client";
import type { Desk } from "./desk";

/** The pointer at one moment. */
export interface Sample {
  readonly screen: Point;
  readonly at: Point;
  /** 0 to 1; what a real pen says, else 0.5. */
  readonly pressure: number;
  readonly pen: boolean;
  readonly shift: boolean;
}

/** The part of the canvas view that tools use. */
export interface Easel {
  readonly scene: Scene;
  readonly gallery: Gallery;
  readonly camera: Camera;
  look(camera: Camera): void;
  lift(ids: Iterable<RecordId>): void;
  settle(): void;
}

export interface Bench {
  readonly room: RoomClient;
  readonly desk: Desk;
  readonly view: Easel;
  /** Say something to the person: a key of the word table. */
  readonly tell: (message: "pickFrameFirst" | "layerHidden" | "layerLocked") => void;
  /** A frame was placed: ask for its prompt. */
  readonly framed: (frame: RecordId) => void;
}

/** One press of the pointer goes down, move*, then up or cancel. */
export interface Tool {
  readonly cursor: string;
  down(sample: Sample): void;
  move(samples: readonly Sample[]): void;
  up(sample: Sample): void;
  cancel(): void;
  /** The pointer moved without being pressed; null: it left. */
  hover?(sample: Sample | null): void;
}
