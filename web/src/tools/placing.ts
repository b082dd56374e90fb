/** Pictures that are dropped or pasted: uploaded, then put onto the canvas. */

import type { Point } from "../canvas/geometry";
import type { RecordId } from "../protocol/messages";
import { layerFault } from "./layers";
import type { Bench } from "./tool";

const TYPES = new Set(["image/png", "image/jpeg", "image/webp"]);
const LARGEST_SHARE = 0.6;

export function picturesIn(transfer: DataTransfer | null): File[] {
  return [...(transfer?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

/**
 * Upload one after the other and select what was placed. Each is shown at its own size, or as
 * large as fits well into what is seen. Rejects with the reason of the first refused one.
 */
export async function placePictures(
  { room, view, desk }: Pick<Bench, "room" | "view" | "desk">,
  files: readonly Blob[],
  at: Point,
  visible: { readonly w: number; readonly h: number },
): Promise<void> {
  const placed: RecordId[] = [];
  const layer = layerFault({ room, desk }) === null ? desk.layer : null;
  for (const [index, file] of files.entries()) {
    const { blob, width, height } = await room.upload(await asAccepted(file));
    const most = Math.min(
      (visible.w * LARGEST_SHARE) / width,
      (visible.h * LARGEST_SHARE) / height,
    );
    const scale = Math.min(1, most);
    const [w, h] = [width * scale, height * scale];
    const id = room.newId();
    const shift = index * 24;
    room.submit([
      {
        c: "put",
        record: {
          type: "image",
          id,
          by: "",
          z: view.scene.topZ(layer),
          blob,
          x: at.x - w / 2 + shift,
          y: at.y - h / 2 + shift,
          w,
          h,
          opacity: 1,
          layer,
        },
      },
    ]);
    placed.push(id);
  }
  desk.tool = "select";
  desk.select(placed);
}

/** What the server takes as it is; anything else that the browser can show becomes a PNG. */
async function asAccepted(file: Blob): Promise<Blob> {
  if (TYPES.has(file.type)) return file;
  const picture = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((png) => (png ? resolve(png) : reject(new Error("no PNG"))), "image/png");
  });
}
