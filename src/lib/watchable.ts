/** A latest-value cell: readers always see the newest value, slow readers skip what they missed. */

/** Read side. Memory is bounded by one value however many readers are slow. */
export interface Watchable<T> {
  /** The newest value. */
  readonly value: T;
  /** Yields the present value at once, then each newer one; ends quietly when the signal aborts or the cell closes. */
  watch(signal: AbortSignal): AsyncIterable<T>;
  /** Calls back after each change, in the order of subscription; returns the function that ends it. The listener must not throw. */
  subscribe(listener: (value: T) => void): () => void;
}

/** Write side. */
export class WatchableValue<T> implements Watchable<T> {
  #value: T;
  #closed = false;
  readonly #listeners = new Set<(value: T) => void>();
  readonly #closers = new Set<() => void>();

  constructor(initial: T) {
    this.#value = initial;
  }

  get value(): T {
    return this.#value;
  }

  /** How many readers there are now. */
  get readers(): number {
    return this.#listeners.size;
  }

  /** Replaces the value, then tells every reader. */
  set(value: T): void {
    if (this.#closed) return;
    this.#value = value;
    for (const listener of Array.from(this.#listeners)) listener(value);
  }

  /** Ends every `watch`; later `set` calls are ignored. */
  close(): void {
    this.#closed = true;
    for (const closer of Array.from(this.#closers)) closer();
    this.#listeners.clear();
  }

  subscribe(listener: (value: T) => void): () => void {
    if (this.#closed) return () => {};
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<T, void, void> {
    let fresh = true;
    let wake: (() => void) | undefined;
    const changed = (): void => {
      fresh = true;
      wake?.();
    };
    const ended = (): void => wake?.();
    const unsubscribe = this.subscribe(changed);
    this.#closers.add(ended);
    signal.addEventListener("abort", ended, { once: true });
    try {
      while (!signal.aborted) {
        if (fresh) {
          fresh = false;
          yield this.#value;
          continue;
        }
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    } finally {
      unsubscribe();
      this.#closers.delete(ended);
      signal.removeEventListener("abort", ended);
    }
  }
}
