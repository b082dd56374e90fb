/** Where on a page a thread lies: beside its pin, and whole. */

import type { Point } from "../canvas/geometry";

export const PIN_PX = 34;
const SHEET_PX = 300;
const EDGE_PX = 8;
const HEADER_PX = 64;

/** As a CSS transform, for a sheet that is so high above what lies at the page's bottom. */
export function beside(
  pin: Point,
  sheetPx: number,
  page: { readonly width: number; readonly height: number },
  bottomPx: number,
): string {
  const right = pin.x + PIN_PX + EDGE_PX;
  const left = right + SHEET_PX > page.width ? pin.x - SHEET_PX - EDGE_PX : right;
  const top = Math.min(pin.y - PIN_PX, page.height - bottomPx - sheetPx - 20);
  const [x, y] = [Math.max(EDGE_PX, left), Math.max(HEADER_PX, top)];
  return `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
}
