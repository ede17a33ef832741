/** Remembers which JWT-SVIDs workloads asked for, a bounded number: who has most of them gives one up for the next. */
import type { SpiffeId } from "../spiffe/id.ts";
import type { AskedFor } from "./jwt-reserve-plan.ts";

/** In all, with tokens of up to `LONGEST_TOKEN` some tens of megabytes at the very most. */
const MOST = 4_096;
/** More than a server lets an identity have. */
const MOST_OF_IDENTITY = 64;
/** Longer audiences, in characters of all together, get no reserve. */
const LONGEST_AUDIENCE = 1_024;
/** Longer tokens are not held in reserve. */
export const LONGEST_TOKEN = 8 * 1_024;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** One that is remembered. */
export interface Remembered extends Mutable<AskedFor> {
  /** The same for the same audiences in any order. */
  readonly key: string;
  /** Not to be asked of the server before, in monotonic milliseconds. */
  restUntil?: number;
}

/** Says nothing of what may be had. */
export class AskedTokens {
  /** By identity, then by entry and audiences: nobody's audiences push out another identity's. */
  readonly #asked = new Map<SpiffeId, Map<string, Remembered>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Generator<Remembered> {
    for (const own of this.#asked.values()) yield* own.values();
  }

  get(spiffeId: SpiffeId, entryId: string, key: string): Remembered | undefined {
    return this.#asked.get(spiffeId)?.get(`${entryId} ${key}`);
  }

  /** Remembers one that is not known yet; undefined where it is too long. */
  add(asked: AskedFor, key: string): Remembered | undefined {
    let length = 0;
    for (const one of asked.audience) length += one.length;
    if (length > LONGEST_AUDIENCE || asked.audience.length === 0) return undefined;
    const own = this.#asked.get(asked.spiffeId);
    if (own !== undefined && own.size >= MOST_OF_IDENTITY) this.#evict(own);
    else if (this.#size >= MOST) this.#evict(this.#largest());
    const remembered: Remembered = { ...asked, key };
    const place = this.#asked.get(asked.spiffeId) ?? new Map<string, Remembered>();
    this.#asked.set(asked.spiffeId, place);
    if (!place.has(nameOf(remembered))) this.#size++;
    place.set(nameOf(remembered), remembered);
    return remembered;
  }

  delete(asked: Remembered): void {
    const own = this.#asked.get(asked.spiffeId);
    if (own === undefined || !own.delete(nameOf(asked))) return;
    this.#size--;
    if (own.size === 0) this.#asked.delete(asked.spiffeId);
  }

  has(asked: Remembered): boolean {
    return this.#asked.get(asked.spiffeId)?.get(nameOf(asked)) === asked;
  }

  clear(): void {
    this.#asked.clear();
    this.#size = 0;
  }

  #largest(): ReadonlyMap<string, Remembered> {
    let largest: ReadonlyMap<string, Remembered> = new Map();
    for (const own of this.#asked.values()) if (own.size > largest.size) largest = own;
    return largest;
  }

  #evict(own: ReadonlyMap<string, Remembered>): void {
    let oldest: Remembered | undefined;
    for (const one of own.values()) if (oldest === undefined || one.askedAt < oldest.askedAt) oldest = one;
    if (oldest !== undefined) this.delete(oldest);
  }
}

function nameOf({ entryId, key }: Remembered): string {
  return `${entryId} ${key}`;
}
