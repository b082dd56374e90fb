/**
 * Keeps unanswered edits in IndexedDB, so that neither a reload nor a crash loses one.
 *
 * Every page keeps its own. A page that opens calls the roll of the pages in the same room
 * (over a BroadcastChannel) and takes over, in one transaction, what belongs to none of them.
 * Without IndexedDB, edits last as long as the page.
 */

import type { LastingWork } from "../sync/work";
import { readWork } from "../sync/work";

const DATABASE = "atelier";
const STORE = "pending";
const ROLL_CALL_MS = 250;

interface Kept {
  /** Sorts the work of all pages by when it was done. */
  readonly order: number;
  readonly work: unknown;
}

type Key = [room: string, page: string, id: string];
/** Work to write, or null to remove what was kept. */
type Write = Kept | null;

export interface StoreWorld {
  readonly indexedDB: IDBFactory | null;
  channel(name: string): BroadcastChannel | null;
  now(): number;
}

export class PendingStore {
  readonly #room: string;
  readonly #page: string;
  readonly #world: StoreWorld;
  readonly #channel: BroadcastChannel | null;
  #database: IDBDatabase | null = null;
  #writes = new Map<string, Write>();
  readonly #orders = new Map<string, number>();
  #order = 0;
  #isWriting = false;
  #isLost = false;
  #onIdle: (() => void)[] = [];

  constructor(room: string, page: string, world: StoreWorld) {
    this.#room = room;
    this.#page = page;
    this.#world = world;
    this.#channel = world.channel(`atelier/${room}`);
    this.#channel?.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (data === "roll call") this.#channel?.postMessage({ here: page });
    });
  }

  /** Open, and resolve with what pages that are gone left behind, oldest first. Never throws. */
  async open(): Promise<readonly LastingWork[]> {
    try {
      this.#database = await openDatabase(this.#world.indexedDB);
      const theirs = await this.#pages();
      const left = theirs.size === 0 ? [] : await this.#adopt(await this.#present(theirs));
      this.#flush();
      return left;
    } catch (error) {
      this.#lose(error);
      return [];
    }
  }

  keep(work: LastingWork): void {
    const order = this.#orders.get(work.id) ?? this.#nextOrder();
    this.#orders.set(work.id, order);
    this.#write(work.id, { order, work });
  }

  forget(id: string): void {
    this.#orders.delete(id);
    this.#write(id, null);
  }

  /** Resolves when all that was asked for is written. */
  async written(): Promise<void> {
    if (this.#isLost || (this.#writes.size === 0 && !this.#isWriting)) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  close(): void {
    this.#channel?.close();
    void this.written().then(() => this.#database?.close());
  }

  #nextOrder(): number {
    this.#order = Math.max(this.#order + 1, this.#world.now() * 1000);
    return this.#order;
  }

  #write(id: string, write: Write): void {
    if (this.#isLost) return;
    this.#writes.set(id, write);
    this.#flush();
  }

  /** One transaction at a time, each with all that came up meanwhile. */
  #flush(): void {
    if (this.#database === null || this.#isWriting || this.#writes.size === 0) return;
    const writes = this.#writes;
    this.#writes = new Map();
    this.#isWriting = true;
    const transaction = this.#database.transaction(STORE, "readwrite");
    const store = transaction.objectStore(STORE);
    for (const [id, write] of writes) {
      if (write === null) store.delete(this.#key(id));
      else store.put(write, this.#key(id));
    }
    transaction.oncomplete = () => this.#wrote();
    transaction.onabort = () => this.#lose(transaction.error);
  }

  #wrote(): void {
    this.#isWriting = false;
    this.#flush();
    if (!this.#isWriting) this.#tellIdle();
  }

  #lose(error: unknown): void {
    console.warn("unsaved edits can't be kept over a reload", error);
    this.#isLost = true;
    this.#writes.clear();
    this.#tellIdle();
  }

  #tellIdle(): void {
    for (const tell of this.#onIdle.splice(0)) tell();
  }

  #key(id: string): Key {
    return [this.#room, this.#page, id];
  }

  get #ofRoom(): IDBKeyRange {
    // In IndexedDB every array sorts after every string.
    return IDBKeyRange.bound([this.#room], [this.#room, []]);
  }

  /** The pages, other than this one, of which something is kept. */
  async #pages(): Promise<Set<string>> {
    const transaction = this.#transaction("readonly");
    const keys = await result(transaction.objectStore(STORE).getAllKeys(this.#ofRoom));
    const pages = keys.map((key) => (key as Key)[1]);
    return new Set(pages.filter((page) => page !== this.#page));
  }

  /** Which of those are still open somewhere. */
  async #present(pages: ReadonlySet<string>): Promise<Set<string>> {
    const present = new Set<string>();
    const channel = this.#channel;
    if (channel === null) return present;
    await new Promise<void>((resolve) => {
      const hear = ({ data }: MessageEvent<unknown>) => {
        if (typeof data !== "object" || data === null || !("here" in data)) return;
        present.add(String(data.here));
        if ([...pages].every((page) => present.has(page))) resolve();
      };
      channel.addEventListener("message", hear);
      channel.postMessage("roll call");
      setTimeout(() => {
        channel.removeEventListener("message", hear);
        resolve();
      }, ROLL_CALL_MS);
    });
    return present;
  }

  async #adopt(present: ReadonlySet<string>): Promise<readonly LastingWork[]> {
    const transaction = this.#transaction("readwrite");
    const store = transaction.objectStore(STORE);
    const keys = (await result(store.getAllKeys(this.#ofRoom))) as Key[];
    const all = (await result(store.getAll(this.#ofRoom))) as Kept[];
    const left: Kept[] = [];
    keys.forEach((key, i) => {
      const kept = all[i];
      if (kept === undefined || key[1] === this.#page || present.has(key[1])) return;
      store.delete(key);
      store.put(kept, this.#key(key[2]));
      this.#orders.set(key[2], kept.order);
      left.push(kept);
    });
    await completed(transaction);
    return left.sort((a, b) => a.order - b.order).flatMap((kept) => this.#read(kept));
  }

  #read({ work }: Kept): LastingWork[] {
    const read = readWork(work);
    if (read === null) console.warn("an edit that was kept can't be read any more", work);
    return read === null ? [] : [read];
  }

  #transaction(mode: IDBTransactionMode): IDBTransaction {
    if (this.#database === null) throw new Error("expected an open database");
    return this.#database.transaction(STORE, mode);
  }
}

async function openDatabase(factory: IDBFactory | null): Promise<IDBDatabase> {
  if (factory === null) throw new Error("this browser has no IndexedDB here");
  const request = factory.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const database = await result(request);
  database.onversionchange = () => database.close();
  return database;
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
