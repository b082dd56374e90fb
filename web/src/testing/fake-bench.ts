/** A bench on a room in memory, with everything of the view that needs no pixels. */

import { type Camera, camera, toScreen } from "../canvas/camera";
import { Gallery } from "../canvas/gallery";
import { Scene } from "../canvas/scene";
import type { RecordId, RoomRecord } from "../protocol/messages";
import { Desk } from "../tools/desk";
import type { Bench, Easel, Sample, Tool } from "../tools/tool";
import { FakeRoom } from "./fake-room";

export class FakeEasel implements Easel {
  readonly scene: Scene;
  readonly gallery: Gallery;
  camera: Camera = camera(0, 0, 1);

  constructor(room: FakeRoom) {
    this.scene = new Scene(room.records);
    this.gallery = new Gallery(room.records, () => true);
    room.on("records", (changes) => {
      this.scene.apply(changes);
      this.gallery.apply(changes);
    });
  }

  look(next: Camera): void {
    this.camera = next;
  }

  lift(ids: Iterable<RecordId>): void {
    this.scene.lift(ids);
  }

  settle(): void {
    this.scene.settle();
  }
}

export interface FakeBench extends Bench {
  readonly room: FakeRoom;
  readonly view: FakeEasel;
  readonly told: string[];
  readonly framedIds: RecordId[];
}

export function fakeBench(...records: RoomRecord[]): FakeBench {
  const room = new FakeRoom();
  for (const record of records) room.records.set(record.id, record);
  const told: string[] = [];
  const framedIds: RecordId[] = [];
  return {
    room,
    desk: new Desk(),
    view: new FakeEasel(room),
    told,
    framedIds,
    tell: (message) => told.push(message),
    framed: (frame) => framedIds.push(frame),
  };
}

export function sample(bench: FakeBench, x: number, y: number, more: Partial<Sample> = {}): Sample {
  const at = { x, y };
  return {
    at,
    screen: toScreen(bench.view.camera, at),
    pressure: 0.5,
    pen: false,
    shift: false,
    ...more,
  };
}

/** Press at the first place, go through the others, and let go at the last. */
export function dragged(
  bench: FakeBench,
  tool: Tool,
  places: readonly (readonly [x: number, y: number])[],
  more: Partial<Sample> = {},
): void {
  const samples = places.map(([x, y]) => sample(bench, x, y, more));
  const [first] = samples;
  const last = samples.at(-1);
  if (!first || !last) return;
  tool.down(first);
  for (const one of samples.slice(1)) tool.move([one]);
  tool.up(last);
}
