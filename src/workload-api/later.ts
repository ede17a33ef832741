/** Does a moment later what need not be done at once, and not at all to those who left meanwhile. */
import type { Clock } from "../lib/clock.ts";

/** How it is done. */
export interface LaterOptions<T> {
  /** The longest that one waits, in milliseconds. */
  readonly withinMs: number;
  /** How many may wait; of more, the one that waited longest has its turn at once. */
  readonly most?: number;
  /** Must not throw. */
  readonly work: (item: T) => void;
}

/** One timer for all who wait. */
export class Later<T> {
  readonly #clock: Clock;
  readonly #options: LaterOptions<T>;
  readonly #waiting = new Set<T>();
  #armed = false;

  constructor(clock: Clock, options: LaterOptions<T>) {
    this.#clock = clock;
    this.#options = options;
  }

  add(item: T): void {
    const { withinMs, most = Number.POSITIVE_INFINITY, work } = this.#options;
    this.#waiting.add(item);
    if (this.#waiting.size > most) {
      for (const oldest of this.#waiting) {
        this.#waiting.delete(oldest);
        work(oldest);
        break;
      }
    }
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(withinMs, this.#turn);
  }

  delete(item: T): void {
    this.#waiting.delete(item);
  }

  readonly #turn = (): void => {
    this.#armed = false;
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      this.#options.work(item);
    }
  };
}
