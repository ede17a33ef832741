/** Rate limits per client address: token buckets in which a call waits for its tokens, as SPIRE's do. */
import type { Clock } from "../lib/clock.ts";
import { overloaded, Refused } from "./refused.ts";

/** How a limiter is set up. */
export interface RateLimitOptions {
  /** Tokens per second and address; also the most that are saved up. */
  readonly perSecond: number;
  /** Addresses that have a bucket of their own; default 10,000. Beyond, newcomers share one. */
  readonly maxAddresses?: number;
  /** Calls that wait at a time, over all addresses; default 1,000. Further ones are refused at once. */
  readonly maxWaiting?: number;
  /** Longest wait in milliseconds of a caller without a deadline; default 30 s. */
  readonly maxWaitMs?: number;
}

interface Bucket {
  /** Negative while calls wait: their tokens are taken already. */
  tokens: number;
  /** Monotonic milliseconds of the last refill. */
  refilledAt: number;
}

/** The bucket of all addresses that found no room. */
const SHARED = "shared";

/** A limiter for one method, or for several that share one budget. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #rate: number;
  readonly #maxAddresses: number;
  readonly #maxWaiting: number;
  readonly #maxWaitMs: number;
  /** Least recently used first. */
  readonly #buckets = new Map<string, Bucket>();
  #waiting = 0;

  constructor(clock: Clock, options: RateLimitOptions) {
    this.#clock = clock;
    this.#rate = options.perSecond;
    this.#maxAddresses = options.maxAddresses ?? 10_000;
    this.#maxWaiting = options.maxWaiting ?? 1_000;
    this.#maxWaitMs = options.maxWaitMs ?? 30_000;
  }

  /** How many addresses have a bucket. */
  get addresses(): number {
    return this.#buckets.size;
  }

  /**
   * Takes `cost` tokens of `address`, waiting for them if need be. Throws `RESOURCE_EXHAUSTED` at once when the
   * cost is more than a full bucket, when the tokens come later than `timeLeftMs`, or when too many calls wait.
   * Resolves to whether it had to wait.
   */
  async take(address: string, cost: number, timeLeftMs: number, signal: AbortSignal): Promise<boolean> {
    if (cost > this.#rate) {
      throw new Refused("RESOURCE_EXHAUSTED", `rate (${cost}) exceeds burst size (${this.#rate})`, {});
    }
    const bucket = this.#bucket(limitKey(address));
    bucket.tokens -= cost;
    const waitMs = (-bucket.tokens / this.#rate) * 1000;
    if (waitMs <= 0) return false;
    if (waitMs > Math.min(timeLeftMs, this.#maxWaitMs) || this.#waiting >= this.#maxWaiting) {
      bucket.tokens += cost;
      throw overloaded("rate limit exceeded", waitMs);
    }
    this.#waiting++;
    try {
      await this.#clock.sleep(waitMs, signal);
      return true;
    } catch (error) {
      bucket.tokens += cost;
      throw error;
    } finally {
      this.#waiting--;
    }
  }

  #bucket(key: string): Bucket {
    const now = this.#clock.monotonic();
    const known = this.#buckets.get(key);
    if (known !== undefined) {
      this.#refill(known, now);
      this.#buckets.delete(key);
      this.#buckets.set(key, known);
      return known;
    }
    if (this.#buckets.size >= this.#maxAddresses && !this.#dropIdle(now) && key !== SHARED) return this.#bucket(SHARED);
    const bucket = { tokens: this.#rate, refilledAt: now };
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #refill(bucket: Bucket, now: number): void {
    bucket.tokens = Math.min(this.#rate, bucket.tokens + ((now - bucket.refilledAt) / 1000) * this.#rate);
    bucket.refilledAt = now;
  }

  /** Forgets the address that was quiet longest, if its bucket is full again: a new one would be the same. */
  #dropIdle(now: number): boolean {
    for (const [key, bucket] of this.#buckets) {
      this.#refill(bucket, now);
      if (bucket.tokens < this.#rate) return false;
      this.#buckets.delete(key);
      return true;
    }
    return false;
  }
}

/**
 * What is limited as one client: an IPv4 address, also when it came mapped into IPv6; of IPv6 the /64 network,
 * because a single host has all of its 2^64 addresses.
 */
export function limitKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!address.includes(":")) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
