/** Spreads the news of a change over turns of the event loop, so that thousands of streams hold up nothing else. */
import type { Clock } from "../lib/clock.ts";

/** Something that wants to look at the newest state; told once however often it was added. */
export interface Pushable {
  /** Must not throw. */
  push(): void;
}

/** How long one turn may work, in milliseconds. */
const SLICE_MS = 5;

/** First come, first served. */
export class PushQueue {
  readonly #clock: Clock;
  readonly #waiting = new Set<Pushable>();
  #scheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(item: Pushable): void {
    this.#waiting.add(item);
    this.#schedule();
  }

  delete(item: Pushable): void {
    this.#waiting.delete(item);
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(this.#work);
  }

  readonly #work = (): void => {
    this.#scheduled = false;
    const end = this.#clock.monotonic() + SLICE_MS;
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      item.push();
      if (this.#clock.monotonic() >= end) break;
    }
    this.#schedule();
  };
}
