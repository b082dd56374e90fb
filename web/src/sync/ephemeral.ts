/** What is worth sending only now: one's cursor, name, and strokes in progress. Knows no clock. */

import type { ClientMessage, InkStyle, RecordId } from "../protocol/messages";
import { clean, coordinate } from "../protocol/schema";
import type { Point } from "../protocol/strokes";
import { InkSender } from "./ink-sender";

type Cursor = readonly [number, number] | null;

export class Ephemeral {
  readonly #ink = new InkSender();
  #presence: { cursor: Cursor; tool: string } = { cursor: null, tool: "" };
  #hasMoved = false;
  #hasNewProfile = false;

  move(cursor: Cursor, tool: string): void {
    const isFine = cursor?.every((value) => coordinate(value) === null) ?? false;
    this.#presence = { cursor: isFine ? cursor : null, tool: clean(tool, 20) };
    this.#hasMoved = true;
  }

  /** One's name or colour is another. */
  rename(): void {
    this.#hasNewProfile = true;
  }

  draw(stroke: RecordId, style: InkStyle, points: readonly Point[]): void {
    this.#ink.draw(stroke, style, points);
  }

  finish(stroke: RecordId): void {
    this.#ink.finish(stroke);
  }

  abandon(stroke: RecordId): void {
    this.#ink.abandon(stroke);
  }

  /** A new connection: nobody there has seen anything. */
  restart(): void {
    this.#ink.restart();
    this.#hasMoved = true;
  }

  /** The messages that are due. */
  take(name: string, color: string): ClientMessage[] {
    const messages: ClientMessage[] = this.#ink.take();
    if (this.#hasMoved) messages.push({ t: "presence", ...this.#presence });
    if (this.#hasNewProfile) messages.push({ t: "profile", name, color });
    this.#hasMoved = false;
    this.#hasNewProfile = false;
    return messages;
  }
}
