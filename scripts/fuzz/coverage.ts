/** Which places of the instrumented code an input reached, and how often: by AFL's buckets of counts. */

/** Where instrumented modules find the counters. */
const GLOBAL = "__fuzzCounters";
/** More than all modules that are instrumented have. */
const MAX_PLACES = 1 << 16;

/** 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and more, a bit each. */
const BUCKETS = Uint8Array.from({ length: 256 }, (_, count) => {
  if (count === 0) return 0;
  const bounds = [1, 2, 3, 7, 15, 31, 127];
  const bucket = bounds.findIndex((bound) => count <= bound);
  return 1 << (bucket === -1 ? 7 : bucket);
});

/** Counters of all instrumented modules of this thread. */
export class Coverage {
  readonly #counters = new Uint8Array(MAX_PLACES);
  readonly #seen = new Uint8Array(MAX_PLACES);
  /** The counters eight at a time: most are zero. */
  readonly #words = new Float64Array(this.#counters.buffer);
  #places = 0;

  /** Makes the counters known to the modules that are loaded from now on. */
  install(): void {
    (globalThis as Record<string, unknown>)[GLOBAL] = this.#counters;
  }

  /** What a module says to get at its counters. */
  static get expression(): string {
    return `globalThis.${GLOBAL}`;
  }

  /** Numbers for another place. */
  place(): number {
    if (this.#places === MAX_PLACES) throw new Error(`more than ${MAX_PLACES} places to count`);
    return this.#places++;
  }

  /** How many places there are. */
  get places(): number {
    return this.#places;
  }

  /** How many of them were reached so far. */
  get reached(): number {
    return this.#seen.reduce((sum, buckets) => sum + (buckets === 0 ? 0 : 1), 0);
  }

  /** Forgets the last input. */
  reset(): void {
    this.#counters.fill(0, 0, this.#places);
  }

  /** Whether the input since `reset` reached a place, or a number of times, that none before it did. */
  isNew(): boolean {
    let found = false;
    const words = (this.#places + 7) >> 3;
    for (let word = 0; word < words; word++) {
      // Neither zero: a NaN is not equal to zero either.
      if (this.#words[word] === 0 && !this.#isMinusZero(word)) continue;
      for (let at = word * 8; at < word * 8 + 8; at++) {
        const bucket = BUCKETS[this.#counters[at] ?? 0] ?? 0;
        const seen = this.#seen[at] ?? 0;
        if ((seen & bucket) === bucket) continue;
        this.#seen[at] = seen | bucket;
        found = true;
      }
    }
    return found;
  }

  /** 0x80 in the last byte alone. */
  #isMinusZero(word: number): boolean {
    return this.#counters[word * 8 + 7] === 0x80;
  }
}
