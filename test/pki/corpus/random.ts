/** A seeded source of choices, so that a corpus can be made again and one of its chains alone. */

/** Choices that follow from the seed. */
export class Choices {
  #state: number;

  constructor(...seeds: readonly number[]) {
    // FNV-1a over the seeds' bytes
    let hash = 0x811c9dc5;
    for (const seed of seeds) {
      for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((seed >>> shift) & 0xff), 0x01000193);
    }
    this.#state = hash >>> 0;
  }

  /** From 0 up to, and without, `below` (mulberry32). */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  /** True that often of a hundred times. */
  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    const chosen = from[this.int(from.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const out = [...list];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}
