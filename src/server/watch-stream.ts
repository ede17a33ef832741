/** One open watch stream: remembers that something happened until its handler asks, so memory stays bounded. */

/** What a handler is woken for. `replaced`: the stream must end, for a newer one or for good. */
export type WatchEvent = "changed" | "recheck" | "heartbeat" | "replaced";

/** Latest state wins: any number of changes between two looks is one. */
export class WatchStream {
  #changed = true;
  #recheck = false;
  #replaced = false;
  #timedOut = false;
  #spreadMs = 0;
  #wake: (() => void) | undefined;

  /** Something of the agent's changed; it should wait a random time up to `spreadMs` before it calls. */
  change(spreadMs: number): void {
    this.#spreadMs = this.#changed ? Math.max(this.#spreadMs, spreadMs) : spreadMs;
    this.#changed = true;
    this.#wake?.();
  }

  /** The agent's own rights may have changed. */
  recheck(): void {
    this.#recheck = true;
    this.#wake?.();
  }

  /** Ends the stream. */
  replace(): void {
    this.#replaced = true;
    this.#wake?.();
  }

  /**
   * What to do next: at once when something happened since the last time, else when it does. `timeout` arms a timer
   * for a heartbeat and returns the function that disarms it.
   */
  async next(
    timeout: (fire: () => void) => () => void,
    signal: AbortSignal,
  ): Promise<{ readonly event: WatchEvent; readonly spreadMs: number }> {
    while (!this.#changed && !this.#recheck && !this.#replaced && !this.#timedOut) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const disarm = timeout(() => {
          this.#timedOut = true;
          wake();
        });
        const wake = (): void => {
          disarm();
          signal.removeEventListener("abort", wake);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener("abort", wake, { once: true });
      });
    }
    return this.#take();
  }

  #take(): { readonly event: WatchEvent; readonly spreadMs: number } {
    this.#timedOut = false;
    if (this.#replaced) return { event: "replaced", spreadMs: 0 };
    if (this.#changed) {
      const spreadMs = this.#spreadMs;
      this.#changed = false;
      this.#recheck = false;
      this.#spreadMs = 0;
      return { event: "changed", spreadMs };
    }
    const event = this.#recheck ? "recheck" : "heartbeat";
    this.#recheck = false;
    return { event, spreadMs: 0 };
  }
}
