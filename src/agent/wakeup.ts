/** A pause that somebody else may cut short. */
import type { Clock } from "../lib/clock.ts";

const WOKEN = new Error("woken");

/** One waiter, any number of wakers; a wake that comes while nobody waits ends the next wait at once. */
export class Wakeup {
  readonly #clock: Clock;
  #woken = false;
  #cut: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait. */
  wake(): void {
    this.#woken = true;
    this.#cut?.();
  }

  /** Resolves after `ms`, or as soon as somebody wakes: true then. Throws the signal's reason. */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (!this.#woken) {
      const pause = new AbortController();
      const abort = (): void => pause.abort(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      this.#cut = () => pause.abort(WOKEN);
      try {
        await this.#clock.sleep(ms, pause.signal);
      } catch (error) {
        if (error !== WOKEN) throw error;
      } finally {
        this.#cut = undefined;
        signal.removeEventListener("abort", abort);
      }
    }
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }
}
