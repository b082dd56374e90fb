/** The others in the room: who is there, where they point, and their strokes in progress. */

import type { PeerInk, PeerLook, PeerPresence, Person, RecordId } from "../protocol/messages";
import { decodePoints, MAX_POINTS, type Point } from "../protocol/strokes";
import type { Peer, PeerInkStroke } from "./room-client";

/** Strokes in progress that one connection may have at a time; the oldest makes room. */
const MAX_STROKES_EACH = 16;

interface GrowingStroke extends PeerInkStroke {
  readonly points: Point[];
  /** Index, in the peer's stroke, of the first of `points`: above 0 for somebody who came late. */
  readonly offset: number;
}

export class Company {
  readonly peers = new Map<string, Peer>();
  readonly ink = new Map<RecordId, GrowingStroke>();
  #self = "";
  /** One's own place: what the room lets one do. */
  self: Person | null = null;

  /** A new connection: everybody who is there now. */
  meet(people: readonly Person[], self: string): void {
    this.#self = self;
    if (people.length > 0) this.self = null;
    this.peers.clear();
    this.ink.clear();
    for (const person of people) this.join(person);
  }

  /** Somebody came, or has a new name, colour or role. */
  join(person: Person): void {
    if (person.session === this.#self) {
      this.self = person;
      return;
    }
    const known = this.peers.get(person.session);
    const { cursor = null, tool = "", sight = null } = known ?? {};
    this.peers.set(person.session, { ...person, cursor, tool, sight });
  }

  leave(session: string): void {
    this.peers.delete(session);
    for (const [stroke, ink] of this.ink) if (ink.session === session) this.ink.delete(stroke);
  }

  move({ session, cursor, tool }: PeerPresence): void {
    const peer = this.peers.get(session);
    if (peer !== undefined) this.peers.set(session, { ...peer, cursor, tool });
  }

  look({ session, sight }: PeerLook): void {
    const peer = this.peers.get(session);
    if (peer !== undefined) this.peers.set(session, { ...peer, sight });
  }

  /** Take new points; chunks that were dropped on the way leave a straight line. */
  draw(message: PeerInk): void {
    if (message.end) {
      this.ink.delete(message.stroke);
      return;
    }
    const stroke = this.ink.get(message.stroke) ?? this.#begin(message);
    if (stroke === undefined || message.points.length === 0) return;
    const fresh = decodePoints(message.points);
    const at = Math.max(0, message.first - stroke.offset);
    if (at + fresh.length > MAX_POINTS) return;
    bridge(stroke.points, at, fresh[0]);
    stroke.points.length = at;
    for (const point of fresh) stroke.points.push(point);
  }

  /** A stroke became a record; returns whether its ink was here. */
  land(stroke: RecordId): boolean {
    return this.ink.delete(stroke);
  }

  #begin({ stroke, session, style, first }: PeerInk): GrowingStroke | undefined {
    if (style === null) return undefined;
    const theirs = [...this.ink.values()].filter((ink) => ink.session === session);
    const oldest = theirs.length >= MAX_STROKES_EACH ? theirs[0] : undefined;
    if (oldest !== undefined) this.ink.delete(oldest.stroke);
    const begun = { stroke, session, style, points: [], offset: first };
    this.ink.set(stroke, begun);
    return begun;
  }
}

/** Put points between the last one and `next`, which has the index `at`. */
function bridge(points: Point[], at: number, next: Point | undefined): void {
  const from = points.at(-1) ?? next;
  if (from === undefined || next === undefined) return;
  const start = points.length;
  for (let i = start; i < at; i++) {
    const t = (i - start + 1) / (at - start + 1);
    points.push([
      from[0] + (next[0] - from[0]) * t,
      from[1] + (next[1] - from[1]) * t,
      from[2] + (next[2] - from[2]) * t,
    ]);
  }
}
