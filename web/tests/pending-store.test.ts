import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, describe, expect, it, vi } from "vitest";
import { PendingStore, type StoreWorld } from "../src/net/pending-store";
import type { LastingWork } from "../src/sync/work";
import { makeStroke } from "./support/records";

const undo = (id: string): LastingWork => ({ t: "undo", id });
const open: PendingStore[] = [];

/** One browser: its pages share a database and hear each other. */
class Browser {
  readonly #indexedDB = new IDBFactory();
  #numPages = 0;

  page(room = "room"): PendingStore {
    const world: StoreWorld = {
      indexedDB: this.#indexedDB,
      channel: (name) => new BroadcastChannel(name),
      now: () => 1_000,
    };
    const store = new PendingStore(room, `page-${++this.#numPages}`, world);
    open.push(store);
    return store;
  }
}

afterEach(() => {
  for (const store of open.splice(0)) store.close();
});

describe("unanswered edits", () => {
  it("w15_outlive their page, in the order in which they were made", async () => {
    const browser = new Browser();
    const first = browser.page();
    await first.open();
    const put: LastingWork = {
      t: "op",
      id: "op-00002",
      changes: [{ c: "put", record: makeStroke("stroke-1") }],
    };
    for (const work of [undo("op-00009"), put, undo("op-00001"), undo("op-00005")]) {
      first.keep(work);
    }
    first.forget("op-00005");
    await first.written();
    first.close();
    const left = await browser.page().open();
    expect(left).toEqual([undo("op-00009"), put, undo("op-00001")]);
  });

  it("of a page that is still open, or of another room, are left alone", async () => {
    const browser = new Browser();
    const first = browser.page();
    await first.open();
    first.keep(undo("op-00001"));
    await first.written();
    expect(await browser.page().open()).toEqual([]);
    expect(await browser.page("room-2").open()).toEqual([]);
  });

  it("are taken over by one page only", async () => {
    const browser = new Browser();
    const first = browser.page();
    await first.open();
    first.keep(undo("op-00001"));
    await first.written();
    first.close();
    const left = await Promise.all([browser.page().open(), browser.page().open()]);
    expect(left.flat()).toHaveLength(1);
  });

  it("last as long as the page where nothing can be kept", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const store = new PendingStore("room", "page", {
      indexedDB: null,
      channel: () => null,
      now: () => 0,
    });
    expect(await store.open()).toEqual([]);
    store.keep(undo("op-00001"));
    await store.written();
    expect(warn).toHaveBeenCalledOnce();
    warn.mockRestore();
  });
});
