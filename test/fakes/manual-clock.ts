/** A clock for code whose sleepers do not sleep again: `advance` fires what is due and waits for nothing else. */
import type { Clock } from "../../src/lib/clock.ts";
import { turn } from "../../src/lib/turn.ts";

interface Timer {
  readonly due: number;
  readonly fire: () => void;
}

/** Wall and monotonic time are one. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const cancel = this.after(ms, resolve);
      signal.addEventListener(
        "abort",
        () => {
          cancel();
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }

  after(ms: number, fire: () => void): () => void {
    const timer = { due: this.#now + ms, fire };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time on, firing everything due on the way at its own moment. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const [next] = Array.from(this.#timers)
        .filter(({ due }) => due <= end)
        .sort((a, b) => a.due - b.due);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.due);
      this.#timers.delete(next);
      next.fire();
      await turn();
    }
    this.#now = end;
    await turn();
  }
}
