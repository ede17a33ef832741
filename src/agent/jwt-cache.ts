/** JWT-SVIDs in memory, a bounded number: who has most of them gives one up for the next. */
import { createHash } from "node:crypto";
import type { SpiffeId } from "../spiffe/id.ts";
import type { JwtSvid } from "../spiffe/svid.ts";

/** A token with when to replace it. */
export interface CachedJwt {
  readonly svid: JwtSvid;
  /** Milliseconds since the Unix epoch. */
  readonly refreshAt: number;
}

/** Longer tokens are had anew each time, so that the number of tokens bounds the memory. */
const LONGEST_TOKEN = 16 * 1024;
/** Longer keys are hashed. */
const LONGEST_KEY = 256;

/** Under which key a token is kept. Each part comes with its length, so that no two requests share a key by their spelling. */
export function jwtKey(spiffeId: SpiffeId, audience: readonly string[]): string {
  const parts = audience.length === 1 ? [spiffeId, ...audience] : [spiffeId, ...audience.toSorted()];
  let key = "";
  for (const part of parts) key += `${part.length}:${part}`;
  return key.length <= LONGEST_KEY ? key : `#${createHash("sha256").update(key).digest("base64")}`;
}

/** Says nothing of expiry. */
export class JwtCache {
  readonly #maxSize: number;
  /** By identity, then by key, the least recently used first: nobody's audiences push out another identity's. */
  readonly #tokens = new Map<SpiffeId, Map<string, CachedJwt>>();
  #size = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get size(): number {
    return this.#size;
  }

  get(spiffeId: SpiffeId, key: string): CachedJwt | undefined {
    const own = this.#tokens.get(spiffeId);
    const found = own?.get(key);
    if (own === undefined || found === undefined) return undefined;
    if (own.size > 1) {
      own.delete(key);
      own.set(key, found);
    }
    return found;
  }

  put(key: string, token: CachedJwt): void {
    const { spiffeId } = token.svid;
    this.#remove(spiffeId, key);
    if (token.svid.token.length > LONGEST_TOKEN) return;
    if (this.#size >= this.#maxSize) this.#evict();
    const own = this.#tokens.get(spiffeId);
    if (own === undefined) this.#tokens.set(spiffeId, new Map([[key, token]]));
    else own.set(key, token);
    this.#size++;
  }

  /** Removes those of which `isGone` says so; returns how many. */
  drop(isGone: (token: CachedJwt) => boolean): number {
    const before = this.#size;
    for (const [spiffeId, own] of this.#tokens) {
      for (const [key, token] of own) if (isGone(token)) this.#remove(spiffeId, key);
    }
    return before - this.#size;
  }

  clear(): void {
    this.#tokens.clear();
    this.#size = 0;
  }

  #remove(spiffeId: SpiffeId, key: string): void {
    const own = this.#tokens.get(spiffeId);
    if (own === undefined || !own.delete(key)) return;
    this.#size--;
    if (own.size === 0) this.#tokens.delete(spiffeId);
  }

  #evict(): void {
    let most: readonly [SpiffeId, ReadonlyMap<string, CachedJwt>] | undefined;
    for (const one of this.#tokens) if (most === undefined || one[1].size > most[1].size) most = one;
    for (const key of most?.[1].keys() ?? []) {
      this.#remove(most?.[0] as SpiffeId, key);
      return;
    }
  }
}
