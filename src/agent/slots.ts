/** Bounds how much goes on at a time; the rest waits in line. */

/** Those who wait take turns, so that nobody waits for all that another wants. */
export class Slots {
  #free: number;
  /** By owner; whose turn it is, is first. */
  readonly #lines = new Map<string, Set<() => void>>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs `work` when there is room. Rejects with the signal's reason when it aborts before that. */
  async use<T>(work: () => Promise<T>, signal: AbortSignal, owner: string): Promise<T> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal, owner);
    try {
      return await work();
    } finally {
      this.#pass();
    }
  }

  /** Gives the slot to the next in line. */
  #pass(): void {
    const [first] = this.#lines;
    if (first === undefined) {
      this.#free++;
      return;
    }
    const [owner, line] = first;
    this.#lines.delete(owner);
    const [enter] = line;
    if (line.size > 1) this.#lines.set(owner, line);
    enter?.();
  }

  #wait(signal: AbortSignal, owner: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const line = this.#lines.get(owner) ?? new Set();
      this.#lines.set(owner, line);
      const enter = (): void => {
        line.delete(enter);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        line.delete(enter);
        if (line.size === 0) this.#lines.delete(owner);
        reject(signal.reason);
      };
      line.add(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
