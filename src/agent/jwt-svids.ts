/**
 * JWT-SVIDs for workloads: a valid one that was given before is given again at once, and replaced behind when half its
 * life is over; equal requests share one signing.
 */
import { backoffDelay } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, type ErrorCode, errorCode, errorText, findAgentError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { LogShare } from "../lib/log-share.ts";
import type { Random } from "../lib/random.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { JwtSvid } from "../spiffe/svid.ts";
import { acceptIssuedJwt, type SignedToken } from "./issued-jwt.ts";
import { JwtCache, jwtKey } from "./jwt-cache.ts";
import { Flights } from "./jwt-flights.ts";
import type { JwtReserve } from "./jwt-reserve.ts";
import { renewalTime } from "./renewal-time.ts";
import { isDisconnected } from "./retry-delay.ts";
import { Slots } from "./slots.ts";

/** Has the server sign a token for an entry. */
export type SignJwt = (entryId: string, audience: readonly string[], signal: AbortSignal) => Promise<SignedToken>;

/** What `JwtSvids` is made of. */
export interface JwtSvidsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Tokens that are kept. */
  readonly maxSize: number;
  /** Tokens for the time without a server; absent: none. */
  readonly reserve?: JwtReserve;
}

/** What may be better at the next try; SPIRE's agents repeat these as well. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "UNTRUSTED",
  "RESOURCE_EXHAUSTED",
  "NOT_FOUND",
]);
const RETRY = { initialMs: 500, maxMs: 5_000 };
/** A server that says nothing for so long is as good as gone, where there is a token in reserve. */
const SILENCE_MS = 5_000;
/** Calls of the server at a time; more wait in line. */
const PARALLEL = 32;
/** Tokens that are being signed or wait for it; each costs a few kilobytes. */
const MOST_FLIGHTS = 8_192;
/** More than a bundle has; the oldest are forgotten first. */
const MOST_WITHDRAWN = 2_000;

/** Nothing is asked of the server before somebody asks here. */
export class JwtSvids {
  readonly #deps: JwtSvidsDeps;
  readonly #cache: JwtCache;
  readonly #flights: Flights<JwtSvid>;
  readonly #slots = new Slots(PARALLEL);
  readonly #lines: LogShare<SpiffeId>;
  /** Until when not to try again behind, in monotonic milliseconds; only of tokens that could not be replaced. */
  readonly #resting = new Map<string, { readonly failures: number; readonly until: number }>();
  #knownKeys: ReadonlySet<string> = new Set();
  /** Keys that were tainted or taken out of the bundle: tokens of theirs may still be on their way. */
  readonly #withdrawn = new Set<string>();
  #single = 0;
  /** Set once there is a connection. */
  sign: SignJwt = () => Promise.reject(new AgentError("UNAVAILABLE", "the agent has not attested yet"));

  constructor(deps: JwtSvidsDeps) {
    this.#deps = deps;
    this.#cache = new JwtCache(deps.maxSize);
    this.#flights = new Flights(deps.clock, MOST_FLIGHTS);
    this.#lines = new LogShare(deps.clock);
  }

  /** Tokens that are kept now. */
  get size(): number {
    return this.#cache.size;
  }

  /** Throws `UNAVAILABLE` when the server gives none and there is no valid one, or the signal's reason. */
  fetch(entry: AuthorizedEntry, audience: readonly string[], signal: () => AbortSignal): JwtSvid | Promise<JwtSvid> {
    const { spiffeId } = entry;
    if (entry.jwtSvidIncludeJti) {
      // Each of these is one of its kind: never kept, never shared.
      const key = `jti ${this.#single++}`;
      return this.#flights.join(key, spiffeId, signal(), (flight) => this.#sign(entry, audience, flight));
    }
    const key = jwtKey(spiffeId, audience);
    this.#deps.reserve?.noteAsked(entry, audience, key);
    const now = this.#deps.clock.now();
    const cached = this.#cache.get(spiffeId, key);
    if (cached !== undefined && !isExpired(cached.svid, now)) {
      if (now >= cached.refreshAt) this.#refresh(key, entry, audience);
      return cached.svid;
    }
    const spare = this.#deps.reserve?.giveAtOnce(entry, key);
    if (spare !== undefined) {
      this.#refresh(key, entry, audience);
      return spare;
    }
    const ownKey = flightKey(key, entry);
    // Whoever has something in reserve does not join those who wait to the end.
    const isHeld = this.#deps.reserve?.held(entry, key) !== undefined;
    return this.#flights.join(isHeld ? `reserve ${ownKey}` : ownKey, spiffeId, signal(), (flight) =>
      this.#renewOrSpare(key, entry, audience, flight),
    );
  }

  /** Forgets tokens whose key is tainted, or was in the bundle and is no more: verifiers will refuse them. */
  adoptBundle({ jwtAuthorities }: TrustBundle): void {
    const before = this.#knownKeys;
    const tainted = new Set(jwtAuthorities.filter((key) => key.tainted).map(({ keyId }) => keyId));
    const keys = new Set(jwtAuthorities.map(({ keyId }) => keyId).filter((keyId) => !tainted.has(keyId)));
    this.#knownKeys = keys;
    for (const keyId of [...before, ...tainted]) if (!keys.has(keyId)) this.#withdrawn.add(keyId);
    for (const keyId of this.#withdrawn) {
      if (keys.has(keyId) || this.#withdrawn.size > MOST_WITHDRAWN) this.#withdrawn.delete(keyId);
    }
    const dropped = this.#cache.drop(({ svid: { keyId } }) => this.#withdrawn.has(keyId));
    this.#deps.reserve?.withdraw((keyId) => this.#withdrawn.has(keyId));
    if (dropped > 0)
      this.#deps.log.info("JWT-SVIDs of a tainted or revoked authority were removed", { count: dropped });
  }

  /** Stops serving: nothing that is kept or on its way is given to anybody. */
  clear(): void {
    this.#cache.clear();
    this.#resting.clear();
    this.#deps.reserve?.clear();
    this.#flights.abort(new AgentError("UNAVAILABLE", "the agent stopped serving"));
  }

  #refresh(key: string, entry: AuthorizedEntry, audience: readonly string[]): void {
    const { clock } = this.#deps;
    const ownKey = flightKey(key, entry);
    if (clock.monotonic() < (this.#resting.get(ownKey)?.until ?? Number.NEGATIVE_INFINITY)) return;
    this.#flights.behind(ownKey, entry.spiffeId, async (signal) => {
      try {
        return await this.#renew(key, entry, audience, signal);
      } catch (error) {
        this.#rest(ownKey, entry, error);
        throw error;
      }
    });
  }

  /** A token is still there, so nobody waits for the next try. */
  #rest(ownKey: string, { spiffeId }: AuthorizedEntry, error: unknown): void {
    const { clock, random, log } = this.#deps;
    const failures = (this.#resting.get(ownKey)?.failures ?? 0) + 1;
    if (this.#resting.size >= this.#deps.maxSize) this.#resting.clear();
    this.#resting.set(ownKey, {
      failures,
      until: clock.monotonic() + backoffDelay(RETRY, failures, () => random.unit()),
    });
    this.#lines.pass(spiffeId, (suppressed) =>
      log.warn("Could not renew a JWT-SVID; the one at hand is given", {
        spiffe_id: spiffeId,
        error: errorText(error),
        ...suppressed,
      }),
    );
  }

  /** What is held in reserve, if that is what the server leaves: it cannot be reached, or does not answer. */
  async #renewOrSpare(
    key: string,
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: AbortSignal,
  ): Promise<JwtSvid> {
    const { clock, reserve } = this.#deps;
    if (reserve?.held(entry, key) === undefined) return await this.#renew(key, entry, audience, signal);
    const asking = new AbortController();
    const abort = (): void => asking.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const { promise, resolve } = Promise.withResolvers<JwtSvid>();
    const give = (svid: JwtSvid | undefined): void => {
      if (svid !== undefined) resolve(svid);
    };
    const cancelTimer = clock.after(SILENCE_MS, () => give(reserve.give(entry, key)));
    try {
      const renewed = this.#renew(key, entry, audience, asking.signal, () => give(reserve.giveWhenLost(entry, key)));
      return await Promise.race([renewed, promise]);
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", abort);
      asking.abort(new AgentError("CANCELLED", "the token that is held in reserve was given"));
    }
  }

  async #renew(
    key: string,
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: AbortSignal,
    onLost?: () => void,
  ): Promise<JwtSvid> {
    const svid = await this.#sign(entry, audience, signal, onLost);
    // What came after the agent stopped serving is not kept.
    signal.throwIfAborted();
    const { clock, random } = this.#deps;
    this.#resting.delete(flightKey(key, entry));
    if (!this.#withdrawn.has(svid.keyId))
      this.#cache.put(key, { svid, refreshAt: renewalTime(svid, clock.now(), () => random.unit()) });
    return svid;
  }

  /** `onLost` is called after each try that did not reach the server. */
  async #sign(
    entry: AuthorizedEntry,
    audience: readonly string[],
    signal: AbortSignal,
    onLost?: () => void,
  ): Promise<JwtSvid> {
    const { clock, random } = this.#deps;
    for (let failures = 1; ; failures++) {
      try {
        const ask = (): Promise<SignedToken> => this.sign(entry.entryId, audience, signal);
        const signed = await this.#slots.use(ask, signal, entry.spiffeId);
        signal.throwIfAborted();
        return acceptIssuedJwt(signed, { entry, audience, now: clock.now() });
      } catch (error) {
        if (signal.aborted || !TRANSIENT.has(errorCode(error))) throw unavailable(error);
        if (isDisconnected(error)) onLost?.();
        try {
          await clock.sleep(
            backoffDelay(RETRY, failures, () => random.unit()),
            signal,
          );
        } catch {
          throw unavailable(error);
        }
      }
    }
  }
}

/** Entries of one identity share its tokens, not the asking: the server may know one of them no more, and the other still. */
function flightKey(key: string, { entryId }: AuthorizedEntry): string {
  return `${entryId} ${key}`;
}

/** The caller may read the kind of failure, not the server's words. */
function unavailable(error: unknown): AgentError {
  const kind = findAgentError(error)?.publicMessage ?? "internal error";
  return new AgentError("UNAVAILABLE", "could not fetch JWT-SVID", {
    cause: error,
    publicMessage: `could not fetch JWT-SVID: ${kind}`,
  });
}
