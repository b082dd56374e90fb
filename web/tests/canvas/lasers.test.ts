import { describe, expect, it } from "vitest";
import { Lasers } from "../../src/canvas/lasers";

describe("laser pointers", () => {
  it("leave a trail that fades from its beginning", () => {
    const lasers = new Lasers();
    lasers.point("ann", "#ff0000", { x: 0, y: 0 }, 0);
    lasers.point("ann", "#ff0000", { x: 5, y: 0 }, 500);
    lasers.point("bob", "#00ff00", { x: 1, y: 1 }, 600);
    expect([lasers.fade(600), lasers.numSpots]).toEqual([true, 3]);
    expect([lasers.fade(1_000), lasers.numSpots]).toEqual([true, 2]);
    expect([lasers.fade(1_600), lasers.numSpots]).toEqual([false, 0]);
  });

  it("that rest or point nowhere add nothing to it", () => {
    const lasers = new Lasers();
    for (const ms of [0, 10, 20]) lasers.point("ann", "#ff0000", { x: 0, y: 0 }, ms);
    lasers.point("ann", "#ff0000", null, 30);
    expect(lasers.numSpots).toBe(1);
  });
});
