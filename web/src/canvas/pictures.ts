/** Loads the pictures that records name, and keeps them decoded. */

const MAX_PICTURES = 300;
const RETRY_MS = 3_000;

interface Entry {
  element: HTMLImageElement;
  isReady: boolean;
}

export class PictureStore {
  readonly #entries = new Map<string, Entry>();
  readonly #url: (blob: string) => string;
  readonly #onReady: (blob: string) => void;
  readonly #timers = new Set<number>();

  constructor(url: (blob: string) => string, onReady: (blob: string) => void) {
    this.#url = url;
    this.#onReady = onReady;
  }

  /** The decoded picture, or null while it is loading. Asking starts that. */
  get(blob: string): HTMLImageElement | null {
    const known = this.#entries.get(blob);
    if (known) return known.isReady ? known.element : null;
    this.#load(blob);
    return null;
  }

  /** Whether no picture that was asked for is still on its way. */
  get isIdle(): boolean {
    for (const { isReady } of this.#entries.values()) if (!isReady) return false;
    return true;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#entries.clear();
  }

  #load(blob: string): void {
    const element = new Image();
    const entry: Entry = { element, isReady: false };
    this.#entries.set(blob, entry);
    element.src = this.#url(blob);
    element.decode().then(
      () => {
        entry.isReady = true;
        this.#onReady(blob);
      },
      () => this.#retryLater(blob),
    );
    this.#evict();
  }

  #retryLater(blob: string): void {
    const timer = window.setTimeout(() => {
      this.#timers.delete(timer);
      this.#entries.delete(blob);
      this.#onReady(blob);
    }, RETRY_MS);
    this.#timers.add(timer);
  }

  #evict(): void {
    for (const [blob, entry] of this.#entries) {
      if (this.#entries.size <= MAX_PICTURES) return;
      if (entry.isReady) this.#entries.delete(blob);
    }
  }
}
