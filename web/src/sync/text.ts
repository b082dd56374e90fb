/**
 * Operational transformation of plain text: `apply`, `transform`, `compose`, `invert`, `diff`.
 *
 * A delta walks over the old text in code points: n > 0 keeps n, n < 0 deletes -n, a string is
 * inserted there; what is left at the end is kept. `apply` and `transform` give component for
 * component what `server/core/text.py` gives; tests/golden holds both to that. Knows nothing of
 * records.
 */

import type { Delta } from "../protocol/records";

type Component = number | string;

/** A delta that is malformed or doesn't fit the text. */
export class DeltaError extends Error {
  override name = "DeltaError";
}

/** Apply `delta` to `text`; throws DeltaError if it reaches beyond the end. */
export function apply(text: string, delta: Delta): string {
  const points = Array.from(text);
  check(delta, points.length);
  const parts: string[] = [];
  let at = 0;
  for (const component of delta) {
    if (typeof component === "string") {
      parts.push(component);
    } else {
      if (component > 0) parts.push(points.slice(at, at + component).join(""));
      at += Math.abs(component);
    }
  }
  parts.push(points.slice(at).join(""));
  return parts.join("");
}

/** Throw DeltaError unless `delta` is well-formed and spans at most `length` code points. */
export function check(delta: Delta, length: number): void {
  if (delta.some((component) => component === 0 || component === "")) {
    throw new DeltaError("expected counts other than 0 and strings that aren't empty");
  }
  const span = oldSpan(delta);
  if (span > length) {
    throw new DeltaError(`expected an edit of a text of ${length} characters, got one of ${span}`);
  }
}

/** How many code points of the old text the delta walks over. */
export function oldSpan(delta: Delta): number {
  let span = 0;
  for (const component of delta) if (typeof component === "number") span += Math.abs(component);
  return span;
}

/** How many code points `text` has. */
export function length(text: string): number {
  return Array.from(text).length;
}

/**
 * Change `delta` so that it can be applied after `against`, made on the same text.
 *
 * Where both insert at one place, the insertion of `delta` comes `first` or second. Then both
 * orders of a and b end in the same text, if one of them is `first`.
 */
export function transform(delta: Delta, against: Delta, options: { first: boolean }): Delta {
  const out = new Builder();
  const mine = new Walker(delta);
  const other = new Walker(against);
  for (;;) {
    if (typeof other.head === "string" && !(options.first && typeof mine.head === "string")) {
      out.keep(length(other.takeText()));
    } else if (typeof mine.head === "string") {
      out.insert(mine.takeText());
    } else if (mine.head === undefined) {
      return out.finish();
    } else {
      const theirs = other.head as number | undefined;
      const count = Math.min(Math.abs(mine.head), Math.abs(theirs ?? mine.head));
      if (theirs === undefined || theirs > 0) out.count(mine.head > 0 ? count : -count);
      mine.skip(count);
      other.skip(count);
    }
  }
}

/** One delta that does what `first` and then `second` do. */
export function compose(first: Delta, second: Delta): Delta {
  const out = new Builder();
  const a = new Walker(first);
  const b = new Walker(second);
  for (;;) {
    if (typeof a.head === "number" && a.head < 0) {
      out.delete(-a.head);
      a.skip(-a.head);
    } else if (typeof b.head === "string") {
      out.insert(b.takeText());
    } else if (b.head === undefined) {
      return copyRest(a, out);
    } else {
      composeStretch(a, b, out);
    }
  }
}

/** `b` keeps or deletes a stretch of what `a` left: kept old text, or text that `a` inserted. */
function composeStretch(a: Walker, b: Walker, out: Builder): void {
  const second = b.head as number;
  const available =
    typeof a.head === "string" ? length(a.head) : Math.abs((a.head as number) ?? second);
  const count = Math.min(available, Math.abs(second));
  if (typeof a.head === "string") {
    const text = a.takePart(count);
    if (second > 0) out.insert(text);
  } else {
    out.count(second > 0 ? count : -count);
    a.skip(count);
  }
  b.skip(count);
}

function copyRest(rest: Walker, out: Builder): Delta {
  while (rest.head !== undefined) {
    if (typeof rest.head === "string") {
      out.insert(rest.takeText());
    } else {
      out.count(rest.head);
      rest.skip(Math.abs(rest.head));
    }
  }
  return out.finish();
}

/** The delta that takes `delta` back, where `text` is what `delta` was applied to. */
export function invert(delta: Delta, text: string): Delta {
  const points = Array.from(text);
  const out = new Builder();
  let at = 0;
  for (const component of delta) {
    if (typeof component === "string") {
      out.delete(length(component));
    } else {
      if (component > 0) out.keep(component);
      else out.insert(points.slice(at, at - component).join(""));
      at += Math.abs(component);
    }
  }
  return out.finish();
}

/** The shortest replacement of one stretch that makes `after` of `before`; empty where equal. */
export function diff(before: string, after: string): Delta {
  const old = Array.from(before);
  const fresh = Array.from(after);
  const most = Math.min(old.length, fresh.length);
  let head = 0;
  while (head < most && old[head] === fresh[head]) head++;
  let tail = 0;
  while (tail < most - head && old.at(-1 - tail) === fresh.at(-1 - tail)) tail++;
  const out = new Builder();
  out.keep(head);
  out.insert(fresh.slice(head, fresh.length - tail).join(""));
  out.delete(old.length - tail - head);
  return out.finish();
}

/** A place within a delta; `head` is what stands there, undefined at its end. */
class Walker {
  head: Component | undefined;
  readonly #delta: Delta;
  #next = 0;

  constructor(delta: Delta) {
    this.#delta = delta;
    this.#step();
  }

  takeText(): string {
    const text = this.head as string;
    this.#step();
    return text;
  }

  takePart(count: number): string {
    const points = Array.from(this.head as string);
    this.head = points.slice(count).join("");
    if (this.head === "") this.#step();
    return points.slice(0, count).join("");
  }

  skip(count: number): void {
    if (this.head === undefined) return;
    const left = Math.abs(this.head as number) - count;
    if (left === 0) this.#step();
    else this.head = (this.head as number) > 0 ? left : -left;
  }

  #step(): void {
    this.head = this.#delta[this.#next++];
  }
}

/** Joins neighbours of a kind and drops what keeps at the end. */
class Builder {
  readonly #delta: Component[] = [];

  insert(text: string): void {
    if (text === "") return;
    const last = this.#delta.at(-1);
    if (typeof last === "string") this.#delta[this.#delta.length - 1] = last + text;
    else this.#delta.push(text);
  }

  keep(count: number): void {
    this.count(count);
  }

  delete(count: number): void {
    this.count(-count);
  }

  count(count: number): void {
    if (count === 0) return;
    const last = this.#delta.at(-1);
    if (typeof last === "number" && last > 0 === count > 0) {
      this.#delta[this.#delta.length - 1] = last + count;
    } else {
      this.#delta.push(count);
    }
  }

  finish(): Delta {
    const last = this.#delta.at(-1);
    if (typeof last === "number" && last > 0) this.#delta.pop();
    return this.#delta;
  }
}
