/**
 * Pictures in the making: the newest preview of each, decoded.
 *
 * A preview's picture stays until the finished one can be drawn in its place, so that nothing
 * blinks in between. Decoding is late by nature: of what arrives meanwhile, only the latest counts.
 */

import type { PreviewMessage } from "../protocol/messages";
import type { Box } from "./geometry";

export interface EmergingPicture {
  readonly frame: string;
  readonly job: string;
  readonly index: number;
  readonly box: Box;
  readonly step: number;
  readonly steps: number;
  readonly image: ImageBitmap;
}

export type Decode = (jpeg: Uint8Array) => Promise<ImageBitmap>;

interface Slot {
  shown: EmergingPicture | null;
  newest: PreviewMessage;
  isDecoding: boolean;
  hasEnded: boolean;
  /** The finished picture is drawn instead. */
  isSettled: boolean;
}

export function decodeJpeg(jpeg: Uint8Array): Promise<ImageBitmap> {
  return createImageBitmap(new Blob([jpeg as Uint8Array<ArrayBuffer>], { type: "image/jpeg" }));
}

export class EmergingPictures {
  readonly #slots = new Map<string, Slot>();
  readonly #decode: Decode;
  readonly #onChange: () => void;

  constructor(decode: Decode, onChange: () => void) {
    this.#decode = decode;
    this.#onChange = onChange;
  }

  /** Pictures of a frame that are being made, by index. */
  of(frame: string): EmergingPicture[] {
    const pictures: EmergingPicture[] = [];
    for (const { shown, isSettled } of this.#slots.values()) {
      if (shown?.frame === frame && !isSettled) pictures.push(shown);
    }
    return pictures.sort((a, b) => a.index - b.index);
  }

  /** Take over the room's previews; those that are gone have ended. */
  follow(previews: ReadonlyMap<string, PreviewMessage>): void {
    for (const [key, slot] of this.#slots) slot.hasEnded = !previews.has(key);
    for (const [key, preview] of previews) {
      const slot = this.#slots.get(key);
      if (!slot) {
        const young: Slot = {
          shown: null,
          newest: preview,
          isDecoding: false,
          hasEnded: false,
          isSettled: false,
        };
        this.#slots.set(key, young);
        this.#refresh(young);
      } else if (slot.newest !== preview) {
        slot.newest = preview;
        this.#refresh(slot);
      }
    }
    this.#onChange();
  }

  /**
   * Stop showing what needn't be shown any more: `isSettled` says whether its job failed or was
   * cancelled, or its finished picture can be drawn.
   */
  sweep(isSettled: (job: string, index: number, hasEnded: boolean) => boolean): void {
    for (const [key, slot] of this.#slots) {
      slot.isSettled = isSettled(slot.newest.job, slot.newest.index, slot.hasEnded);
      if (!slot.isSettled || !slot.hasEnded) continue;
      slot.shown?.image.close();
      this.#slots.delete(key);
    }
  }

  async #refresh(slot: Slot): Promise<void> {
    if (slot.isDecoding) return;
    slot.isDecoding = true;
    for (let done: PreviewMessage | null = null; done !== slot.newest; ) {
      done = slot.newest;
      const image = await this.#decode(done.jpeg).catch(() => null);
      if (image) this.#show(slot, done, image);
    }
    slot.isDecoding = false;
  }

  #show(slot: Slot, preview: PreviewMessage, image: ImageBitmap): void {
    slot.shown?.image.close();
    const [x, y, w, h] = preview.box;
    const { frame, job, index, step, steps } = preview;
    slot.shown = { frame, job, index, step, steps, image, box: { x, y, w, h } };
    this.#onChange();
  }
}
