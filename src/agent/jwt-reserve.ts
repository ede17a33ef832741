/**
 * Holds JWT-SVIDs that live for hours, and gives them only while the server cannot be reached: for what workloads asked
 * for in the last day, where the server's operator allows it.
 */
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { JwtSvid } from "../spiffe/svid.ts";
import type { HealthFacts } from "./health.ts";
import { AskedTokens, type Remembered } from "./jwt-asked.ts";
import { jwtKey } from "./jwt-cache.ts";
import { type AskedFor, isEntitled, isSpent, mayGive, planReserve, type ReserveToken } from "./jwt-reserve-plan.ts";

/** What `JwtReserve` is made of. */
export interface JwtReserveDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: { readonly facts: Pick<Watchable<HealthFacts>, "value"> };
  /** The entry as it is now, if workloads may have it. */
  readonly entry: (entryId: string) => AuthorizedEntry | undefined;
}

const HOUR_MS = 3_600_000;
/** A connection that breaks is made anew in less: until then each caller has the server asked first. */
const LOST_MS = 10_000;

/** `ReserveMaker` fills it; nothing is asked of the server before a workload asks here. */
export class JwtReserve {
  readonly #deps: JwtReserveDeps;
  readonly #asked = new AskedTokens();
  #isWithdrawn: (keyId: string) => boolean = () => false;
  #isGiving = false;
  /** Told when there is something new to store. */
  onChanged: () => void = () => {};
  /** Told when a token is missing. */
  onWanted: () => void = () => {};

  constructor(deps: JwtReserveDeps) {
    this.#deps = deps;
  }

  /** Tokens that are held now. */
  get size(): number {
    let size = 0;
    for (const { reserve } of this.#asked) if (reserve !== undefined) size++;
    return size;
  }

  /** What workloads asked for, with the tokens, for the store. */
  stored(): Iterable<AskedFor> {
    return this.#asked;
  }

  /** Takes over what was stored, of entries that are there; of its tokens those that the bundle still vouches for. */
  restore(stored: Iterable<AskedFor>, { jwtAuthorities }: TrustBundle, now: number): void {
    const keys = new Set(jwtAuthorities.filter(({ tainted }) => !tainted).map(({ keyId }) => keyId));
    for (const { entryId, spiffeId, audience, askedAt, reserve } of stored) {
      const entry = this.#deps.entry(entryId);
      if (entry === undefined || !isEntitled({ spiffeId }, entry)) continue;
      const good = reserve !== undefined && keys.has(reserve.svid.keyId) && !isSpent(reserve, entry, now);
      this.#asked.add(
        { entryId, spiffeId, audience, askedAt, ...(good ? { reserve } : {}) },
        jwtKey(spiffeId, audience),
      );
    }
  }

  /** A workload that may have it asks for it. `key` is that of `jwtKey`. */
  noteAsked({ entryId, spiffeId }: AuthorizedEntry, audience: readonly string[], key: string): void {
    const now = this.#deps.clock.now();
    const known = this.#asked.get(spiffeId, entryId, key);
    if (known !== undefined) {
      // What is stored may be an hour old: not every call is worth a writing.
      const isNews = Math.floor(now / HOUR_MS) !== Math.floor(known.askedAt / HOUR_MS);
      known.askedAt = now;
      if (isNews) this.onChanged();
      return;
    }
    if (this.#asked.add({ entryId, spiffeId, audience: [...audience], askedAt: now }, key) === undefined) return;
    this.onChanged();
    this.onWanted();
  }

  /** The token that is held, if it is good, whether or not it may be given. */
  held(entry: AuthorizedEntry, key: string): JwtSvid | undefined {
    const token = this.#asked.get(entry.spiffeId, entry.entryId, key)?.reserve;
    return token !== undefined && mayGive(token, entry, this.#deps.clock.now()) ? token.svid : undefined;
  }

  /** The token, if the server has been out of reach for a while: nobody need wait for it then. */
  giveAtOnce(entry: AuthorizedEntry, key: string): JwtSvid | undefined {
    const since = this.#deps.health.facts.value.unreachableSince;
    if (since === undefined || this.#deps.clock.monotonic() - since < LOST_MS) {
      if (since === undefined) this.#isGiving = false;
      return undefined;
    }
    return this.give(entry, key);
  }

  /** The token, if a call to the server has just failed on its way. */
  giveWhenLost(entry: AuthorizedEntry, key: string): JwtSvid | undefined {
    return this.#deps.health.facts.value.unreachableSince === undefined ? undefined : this.give(entry, key);
  }

  /** The token, for who knows that the server does not answer. */
  give(entry: AuthorizedEntry, key: string): JwtSvid | undefined {
    const svid = this.held(entry, key);
    if (svid !== undefined && !this.#isGiving) {
      this.#isGiving = true;
      this.#deps.log.warn("JWT-SVIDs held in reserve are given while the server cannot be reached");
    }
    return svid;
  }

  /** Drops tokens whose key is tainted or revoked; new ones are had at once. */
  withdraw(isWithdrawn: (keyId: string) => boolean): void {
    this.#isWithdrawn = isWithdrawn;
    const dropped = this.#dropWhere(({ reserve }) => reserve !== undefined && isWithdrawn(reserve.svid.keyId));
    if (dropped === 0) return;
    this.#deps.log.info("Reserve JWT-SVIDs of a tainted or revoked authority were removed", { count: dropped });
    this.onWanted();
  }

  /** The entries may be others by now: what is of none of them is gone at once. */
  entriesChanged(): void {
    const now = this.#deps.clock.now();
    let gone = 0;
    for (const asked of Array.from(this.#asked)) {
      const entry = this.#deps.entry(asked.entryId);
      if (entry === undefined || !isEntitled(asked, entry)) {
        this.#asked.delete(asked);
        gone++;
      } else if (asked.reserve !== undefined && isSpent(asked.reserve, entry, now)) {
        asked.reserve = undefined;
        gone++;
        this.onWanted();
      }
    }
    if (gone > 0) this.onChanged();
  }

  /** Stops serving. */
  clear(): void {
    this.#asked.clear();
  }

  /** Looks at all that was asked for, lets go what nobody may or needs to have, and says what to have made. */
  plan(maxAudiences: number): readonly Remembered[] {
    const { clock, entry } = this.#deps;
    const { forget, drop, renew } = planReserve(this.#asked, { now: clock.now(), maxAudiences, entry });
    for (const asked of forget) this.#asked.delete(asked);
    for (const asked of drop) asked.reserve = undefined;
    if (forget.length + drop.length > 0) this.onChanged();
    return renew;
  }

  /** Takes a token, or that there is none. Says whether it is still asked for, and its key still good. */
  put(asked: Remembered, token: ReserveToken | undefined): boolean {
    // It may have been forgotten, and serving stopped, while the server was asked.
    if (!this.#asked.has(asked)) return false;
    const kept = token !== undefined && this.#isWithdrawn(token.svid.keyId) ? undefined : token;
    if (asked.reserve !== kept) this.onChanged();
    asked.reserve = kept;
    return kept !== undefined;
  }

  /** The server gives none any more. */
  dropAll(): void {
    this.#dropWhere(() => true);
  }

  /** What was refused may be asked for again. */
  forgetRefusals(): void {
    for (const asked of this.#asked) asked.refused = undefined;
  }

  #dropWhere(isGone: (asked: Remembered) => boolean): number {
    let dropped = 0;
    for (const asked of this.#asked) {
      if (asked.reserve === undefined || !isGone(asked)) continue;
      asked.reserve = undefined;
      dropped++;
    }
    if (dropped > 0) this.onChanged();
    return dropped;
  }
}
