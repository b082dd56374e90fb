/** What is worth sending only now: one's cursor, name, and strokes in progress. Knows no clock. */

import type { ClientMessage, InkStyle, RecordId, Sight } from "../protocol/messages";
import { clean, coordinate } from "../protocol/schema";
import type { Point } from "../protocol/strokes";
import { InkSender } from "./ink-sender";

type Cursor = readonly [number, number] | null;

export class Ephemeral {
  readonly #ink = new InkSender();
  #presence: { cursor: Cursor; tool: string } = { cursor: null, tool: "" };
  #sight: Sight | null = null;
  #hasMoved = false;
  #hasLooked = false;
  #hasNewProfile = false;

  look(sight: Sight): void {
    const [x, y, w, h] = sight;
    if ([x, y, w, h].some((value) => coordinate(value) !== null) || w <= 0 || h <= 0) return;
    this.#sight = sight;
    this.#hasLooked = true;
  }

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
    this.#hasLooked = this.#sight !== null;
  }

  /** The messages that are due. */
  take(name: string, color: string): ClientMessage[] {
    const messages: ClientMessage[] = this.#ink.take();
    if (this.#hasMoved) messages.push({ t: "presence", ...this.#presence });
    if (this.#hasLooked && this.#sight) messages.push({ t: "look", sight: this.#sight });
    if (this.#hasNewProfile) messages.push({ t: "profile", name, color });
    this.#hasMoved = false;
    this.#hasLooked = false;
    this.#hasNewProfile = false;
    return messages;
  }
}
