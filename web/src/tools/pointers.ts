/**
 * Turns the browser's pointer and wheel events into calls of the tool in hand.
 *
 * Two fingers, the middle button, the space bar and the wheel move the view whatever the tool.
 * Once a pen was seen, a single finger moves the view too: it is the hand that holds the pen.
 */

import { panned, pinched, toCanvas, zoomedAt } from "../canvas/camera";
import type { Point } from "../canvas/geometry";
import { PanTool } from "./pan";
import type { Easel, Sample, Tool } from "./tool";

const WHEEL_LINE_PX = 16;
const ZOOM_PER_PX = 0.0022;
const MAX_WHEEL_PX = 120;

export interface PointerHost {
  readonly view: Easel;
  /** The tool in hand now. */
  tool(): Tool;
  setCursor(at: Point | null): void;
}

interface Press {
  readonly pointer: number;
  readonly tool: Tool;
  readonly isPan: boolean;
  last: Sample;
}

export class Pointers {
  readonly #element: HTMLElement;
  readonly #host: PointerHost;
  readonly #pan: PanTool;
  readonly #touches = new Map<number, Point>();
  readonly #abort = new AbortController();
  #press: Press | null = null;
  #isPinching = false;
  #hasPen = false;
  #isSpaceDown = false;

  constructor(element: HTMLElement, host: PointerHost) {
    this.#element = element;
    this.#host = host;
    this.#pan = new PanTool(host);
    const options = { signal: this.#abort.signal };
    element.addEventListener("pointerdown", (event) => this.#down(event), options);
    element.addEventListener("pointermove", (event) => this.#move(event), options);
    element.addEventListener("pointerup", (event) => this.#up(event), options);
    element.addEventListener("pointercancel", (event) => this.#cancel(event), options);
    element.addEventListener("pointerleave", () => this.#leave(), options);
    element.addEventListener("wheel", (event) => this.#wheel(event), {
      ...options,
      passive: false,
    });
    element.addEventListener("contextmenu", (event) => event.preventDefault(), options);
  }

  set isSpaceDown(isDown: boolean) {
    this.#isSpaceDown = isDown;
    this.updateCursor();
  }

  /** Give up what is being done, as when Escape is pressed. */
  abandon(): boolean {
    const press = this.#press;
    this.#press = null;
    press?.tool.cancel();
    return press !== null;
  }

  /** End what is being done where the pointer is, as if it were lifted there. */
  finish(): void {
    const press = this.#press;
    this.#press = null;
    press?.tool.up(press.last);
  }

  updateCursor(): void {
    const { cursor } = this.#host.tool();
    const isPanning = this.#press?.isPan ?? false;
    const shown = isPanning ? "grabbing" : this.#isSpaceDown ? "grab" : cursor;
    this.#element.style.cursor = shown;
  }

  close(): void {
    this.#abort.abort();
  }

  #down(event: PointerEvent): void {
    if (event.pointerType === "mouse" && event.button !== 0 && event.button !== 1) return;
    // A press on the canvas takes the focus from a text field, and a tap must not make a click of
    // its own that lands on what has come up below the finger.
    event.preventDefault();
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    this.#element.setPointerCapture(event.pointerId);
    if (event.pointerType === "pen") this.#hasPen = true;
    if (event.pointerType === "touch") {
      this.#touches.set(event.pointerId, this.#screen(event));
      if (this.#touches.size === 2) {
        this.abandon();
        this.#isPinching = true;
        return;
      }
    }
    if (this.#press || this.#isPinching) return;
    const isPan = this.#isPan(event);
    const tool = isPan ? this.#pan : this.#host.tool();
    const last = this.#sample(event);
    this.#press = { pointer: event.pointerId, tool, isPan: isPan || tool instanceof PanTool, last };
    this.updateCursor();
    tool.down(last);
  }

  #isPan(event: PointerEvent): boolean {
    if (event.pointerType === "touch") return this.#hasPen;
    return event.button === 1 || this.#isSpaceDown;
  }

  #move(event: PointerEvent): void {
    if (this.#isPinching && this.#touches.has(event.pointerId)) {
      this.#pinch(event);
      return;
    }
    if (this.#touches.has(event.pointerId)) {
      this.#touches.set(event.pointerId, this.#screen(event));
    }
    const samples = this.#samples(event);
    const last = samples.at(-1);
    if (last) this.#host.setCursor(last.at);
    if (this.#press?.pointer === event.pointerId) {
      this.#press.last = last ?? this.#press.last;
      this.#press.tool.move(samples);
    } else if (!this.#press && last && event.pointerType !== "touch") {
      this.#host.tool().hover?.(this.#isSpaceDown ? null : last);
    }
  }

  #pinch(event: PointerEvent): void {
    const [a, b] = [...this.#touches.values()];
    this.#touches.set(event.pointerId, this.#screen(event));
    const [c, d] = [...this.#touches.values()];
    const { view } = this.#host;
    if (a && b && c && d) view.look(pinched(view.camera, [a, b], [c, d]));
  }

  #up(event: PointerEvent): void {
    this.#endTouch(event);
    if (this.#press?.pointer !== event.pointerId) return;
    const { tool } = this.#press;
    this.#press = null;
    tool.up(this.#sample(event));
    if (event.pointerType === "touch") tool.hover?.(null);
    this.updateCursor();
  }

  #cancel(event: PointerEvent): void {
    this.#endTouch(event);
    if (this.#press?.pointer === event.pointerId) this.abandon();
    this.updateCursor();
  }

  /** After a pinch, the finger that stays does nothing until all are lifted. */
  #endTouch(event: PointerEvent): void {
    this.#touches.delete(event.pointerId);
    if (this.#touches.size === 0) this.#isPinching = false;
  }

  #leave(): void {
    if (this.#press) return;
    this.#host.setCursor(null);
    this.#host.tool().hover?.(null);
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const { view } = this.#host;
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? WHEEL_LINE_PX : 1;
    let [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
    if (event.ctrlKey || event.metaKey) {
      const turn = Math.max(-MAX_WHEEL_PX, Math.min(MAX_WHEEL_PX, dy));
      // A trackpad's pinch comes as small turns of the wheel with the control key.
      const speed = Math.abs(turn) < 30 ? ZOOM_PER_PX * 4 : ZOOM_PER_PX;
      const zoom = view.camera.zoom * Math.exp(-turn * speed);
      view.look(zoomedAt(view.camera, this.#screen(event), zoom));
      return;
    }
    if (event.shiftKey && dx === 0) [dx, dy] = [dy, 0];
    view.look(panned(view.camera, -dx, -dy));
  }

  /** All positions since the last event, where the browser tells them (not on plain http). */
  #samples(event: PointerEvent): Sample[] {
    const coalesced = event.getCoalescedEvents?.() ?? [];
    const events = coalesced.length > 0 ? coalesced : [event];
    return events.map((one) => this.#sample(one));
  }

  #sample(event: PointerEvent): Sample {
    const screen = this.#screen(event);
    const pen = event.pointerType === "pen";
    const pressure = pen ? event.pressure : 0.5;
    return {
      screen,
      at: toCanvas(this.#host.view.camera, screen),
      pressure,
      pen,
      shift: event.shiftKey,
    };
  }

  #screen(event: MouseEvent): Point {
    const { left, top } = this.#element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}
