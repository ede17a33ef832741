/** Keeps callers from filling the log, and from keeping each other's lines out of it. */
import type { Clock } from "./clock.ts";

/** Lines a minute about one key. */
const LINES = 30;
/** Keys a minute about which there are any. */
const KEYS = 256;
const MINUTE_MS = 60_000;

interface Share {
  lines: number;
  suppressed: number;
}

/** So many lines a minute for each key, and the number of those that were left out with the next one. */
export class LogShare<K> {
  readonly #clock: Clock;
  readonly #shares = new Map<K, Share>();
  #since = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `write` with how many lines about the key were left out before this one, or counts it as left out. */
  pass(key: K, write: (suppressed: { readonly suppressed?: number }) => void): void {
    this.#renew();
    let share = this.#shares.get(key);
    if (share === undefined) {
      if (this.#shares.size >= KEYS) return;
      share = { lines: 0, suppressed: 0 };
      this.#shares.set(key, share);
    }
    if (share.lines >= LINES) {
      share.suppressed++;
      return;
    }
    share.lines++;
    const { suppressed } = share;
    share.suppressed = 0;
    write(suppressed === 0 ? {} : { suppressed });
  }

  #renew(): void {
    const now = this.#clock.monotonic();
    if (now - this.#since < MINUTE_MS) return;
    this.#since = now;
    for (const [key, share] of this.#shares) {
      if (share.suppressed === 0) this.#shares.delete(key);
      else share.lines = 0;
    }
  }
}
