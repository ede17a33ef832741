/**
 * Bounds the calls in progress, by who makes them: strangers cannot keep agents out, nor agents the operator, nor any
 * one of them the others of its kind.
 */
import type { Caller } from "./caller.ts";
import { limitKey } from "./rate-limit.ts";

/** Calls in progress at a time. */
export interface CallLimits {
  /** From the admin socket. */
  readonly local: number;
  /** From TLS peers with an SVID. */
  readonly identified: number;
  /** Streams that are open for minutes and do nothing most of the time. */
  readonly watching: number;
  /** Of either of these two, from one SPIFFE ID. */
  readonly identifiedPerId: number;
  /** From TLS peers without a certificate. */
  readonly anonymous: number;
  /** Of these, from one address. */
  readonly anonymousPerAddress: number;
}

/** Bounds that hold when a thousand agents return at once, and when twenty thousand watch. */
export const DEFAULT_CALL_LIMITS: CallLimits = {
  local: 500,
  identified: 4_000,
  watching: 20_000,
  identifiedPerId: 100,
  anonymous: 1_000,
  anonymousPerAddress: 250,
};

/** The pools. */
export type CallPool = "local" | "identified" | "watching" | "anonymous";

const WATCH = "/holdfast.server.v1.Watch/WatchAuthorized";

/** The pool of a call. */
export function poolOf(method: string, caller: Caller): CallPool {
  if (caller.kind === "local") return "local";
  if (caller.svid === undefined) return "anonymous";
  return method === WATCH ? "watching" : "identified";
}

/** Counts calls. */
export class CallPools {
  readonly #limits: CallLimits;
  readonly #running: Record<CallPool, number> = { local: 0, identified: 0, watching: 0, anonymous: 0 };
  /** Per pool and caller. */
  readonly #shares = new Map<string, number>();

  constructor(limits: CallLimits = DEFAULT_CALL_LIMITS) {
    this.#limits = limits;
  }

  /** Calls in progress. */
  get running(): number {
    return Object.values(this.#running).reduce((sum, count) => sum + count, 0);
  }

  /** Takes a call in; returns the function that takes it out, or `undefined` when there is no room. */
  enter(method: string, caller: Caller): (() => void) | undefined {
    const pool = poolOf(method, caller);
    if (this.#running[pool] >= this.#limits[pool]) return undefined;
    const share = this.#shareOf(pool, caller);
    if (share !== undefined && this.#count(share.holder, 1) > share.limit) {
      this.#count(share.holder, -1);
      return undefined;
    }
    this.#running[pool]++;
    return () => {
      this.#running[pool]--;
      if (share !== undefined) this.#count(share.holder, -1);
    };
  }

  /** Whose call it is, and how many that one may have in the pool. Callers of the admin socket are all the operator. */
  #shareOf(pool: CallPool, caller: Caller): { readonly holder: string; readonly limit: number } | undefined {
    if (caller.kind === "local") return undefined;
    const { anonymousPerAddress, identifiedPerId } = this.#limits;
    if (caller.svid === undefined) return { holder: `${pool} ${limitKey(caller.address)}`, limit: anonymousPerAddress };
    return { holder: `${pool} ${caller.svid.spiffeId}`, limit: identifiedPerId };
  }

  #count(holder: string, change: 1 | -1): number {
    const count = (this.#shares.get(holder) ?? 0) + change;
    if (count === 0) this.#shares.delete(holder);
    else this.#shares.set(holder, count);
    return count;
  }
}
