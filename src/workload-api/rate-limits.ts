/** Rate limits per method and set of selectors, which operators may set (`experimental.ratelimit`). */
import type { Clock } from "../lib/clock.ts";
import { publicError } from "../lib/errors.ts";
import type { WorkloadCall } from "./guard.ts";

/** What is limited. */
export interface RateLimitOptions {
  /** Calls a second, which is also how many may come at once, by full method name; methods not named have no limit. */
  readonly perSecond: ReadonlyMap<string, number>;
  /** The agent's own process, which an operator's limit must not make unhealthy. */
  readonly ownPid: number;
}

interface Bucket {
  tokens: number;
  /** Monotonic milliseconds. */
  filledAt: number;
}

/** Callers with equal selectors share a bucket. */
export class RateLimits {
  readonly #clock: Clock;
  readonly #options: RateLimitOptions;
  /** By method; then by the cell of the caller's selectors, which equal sets share, for as long as that lives. */
  readonly #buckets = new Map<string, WeakMap<object, Bucket>>();

  constructor(clock: Clock, options: RateLimitOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Counts a call. Throws `UNAVAILABLE` when it is one too many. */
  check({ method, peer }: WorkloadCall, cell: object): void {
    const { perSecond, ownPid } = this.#options;
    const limit = perSecond.get(method);
    if (limit === undefined || peer.pid === ownPid) return;
    const bucket = this.#bucket(method, cell, limit);
    const now = this.#clock.monotonic();
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.filledAt) / 1_000) * limit);
    bucket.filledAt = now;
    if (bucket.tokens < 1) throw publicError("UNAVAILABLE", `rate limit exceeded for ${method}`);
    bucket.tokens--;
  }

  #bucket(method: string, cell: object, limit: number): Bucket {
    let ofMethod = this.#buckets.get(method);
    if (ofMethod === undefined) {
      ofMethod = new WeakMap();
      this.#buckets.set(method, ofMethod);
    }
    let bucket = ofMethod.get(cell);
    if (bucket === undefined) {
      bucket = { tokens: limit, filledAt: this.#clock.monotonic() };
      ofMethod.set(cell, bucket);
    }
    return bucket;
  }
}
