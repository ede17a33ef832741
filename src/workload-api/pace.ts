/** Bounds how fast one stream's requests are taken. */

/** Requests that may come at once. */
const BURST = 50;
/** Requests a second that may follow. Envoy sends one for each answer, clients of reflection a few in all. */
const PER_SECOND = 10;

/** A bucket of turns that fills again with time. */
export class Pace {
  #turns = BURST;
  #since: number;

  /** Times are monotonic, in milliseconds. */
  constructor(now: number) {
    this.#since = now;
  }

  /** Takes a turn; returns how many milliseconds to wait for it. */
  take(now: number): number {
    this.#turns = Math.min(BURST, this.#turns + ((now - this.#since) * PER_SECOND) / 1000) - 1;
    this.#since = now;
    return this.#turns >= 0 ? 0 : (-this.#turns * 1000) / PER_SECOND;
  }
}
