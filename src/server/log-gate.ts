/** Keeps an outsider from filling the log: so many lines a minute, and the number of those that were left out. */
import type { Clock } from "../lib/clock.ts";

/** Lines a minute about what strangers do. */
const LINES = 60;
const MINUTE_MS = 60_000;

/** One per kind of line. */
export class LogGate {
  readonly #clock: Clock;
  #since = -MINUTE_MS;
  #lines = 0;
  #suppressed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `write` with how many lines were left out before this one, or counts it as left out. */
  pass(write: (suppressed: { readonly suppressed?: number }) => void): void {
    const now = this.#clock.monotonic();
    if (now - this.#since >= MINUTE_MS) {
      this.#since = now;
      this.#lines = 0;
    }
    if (++this.#lines > LINES) {
      this.#suppressed++;
      return;
    }
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    write(suppressed === 0 ? {} : { suppressed });
  }
}
