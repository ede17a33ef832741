/** JWT-SVIDs for the time without a server: which to hold, which to renew, which may be given. Decides, and does nothing. */

import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import { reserveLeft } from "../spiffe/outage-cover.ts";
import { isExpired, type Lifetime } from "../spiffe/rotation.ts";
import type { JwtSvid } from "../spiffe/svid.ts";

/** An entry as it was: an update gives it another revision, and one that was made anew another time. */
export interface EntryVersion {
  readonly revision: bigint;
  /** Unix seconds. */
  readonly createdAt: number;
}

/** A token in reserve. */
export interface ReserveToken {
  readonly svid: JwtSvid;
  /** Milliseconds since the Unix epoch. */
  readonly refreshAt: number;
  /** What the entry said when the token was asked for. */
  readonly version: EntryVersion;
}

/** A workload asked for a token of this entry with these audiences. */
export interface AskedFor {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly askedAt: number;
  readonly reserve?: ReserveToken | undefined;
  /** The server refuses one for this version of the entry. */
  readonly refused?: EntryVersion | undefined;
}

/** What to do now. */
export interface ReservePlan<T extends AskedFor> {
  /** Nobody asked for a day, or nobody may ask any more. */
  readonly forget: readonly T[];
  /** Those whose token goes. */
  readonly drop: readonly T[];
  /** Those who need one, the most urgent first. */
  readonly renew: readonly T[];
}

const HOUR_MS = 3_600_000;
/** What nobody asked for in this time is forgotten. */
const ASKED_WITHIN_MS = 24 * HOUR_MS;
/** Clocks of hosts differ by seconds; one that is further behind than this is not trusted with tokens of hours. */
const CLOCK_LEEWAY_MS = 5 * 60_000;
/** A server whose key is about to end gives ever shorter tokens; they must not be asked for without a pause. */
const SHORTEST_MS = 30_000;

/** Whether the entry still is what it was, and its workloads may have reserves. */
export function isEntitled(asked: Pick<AskedFor, "spiffeId">, entry: AuthorizedEntry | undefined): boolean {
  return entry !== undefined && entry.spiffeId === asked.spiffeId && !entry.jwtSvidIncludeJti;
}

/** Whether the token is of another entry than this one is by now, or has expired. */
export function isSpent({ svid, version }: ReserveToken, entry: AuthorizedEntry, now: number): boolean {
  return !isEntitled(svid, entry) || !sameVersion(version, entry) || isExpired(svid, now);
}

/** Whether the token may be given: by a clock from before it was made, nobody knows whether it has expired. */
export function mayGive(token: ReserveToken, entry: AuthorizedEntry, now: number): boolean {
  return !isSpent(token, entry, now) && now >= token.svid.notBefore - CLOCK_LEEWAY_MS;
}

/** When to replace a token that came at `now`; `random` returns a number in [0, 1). */
export function reserveRefreshAt({ notBefore, notAfter }: Lifetime, now: number, random: () => number): number {
  return Math.max(notAfter - reserveLeft(notAfter - notBefore, random()), now + SHORTEST_MS);
}

/** Looks at all that was asked for. `maxAudiences` is the server's bound, per identity. */
export function planReserve<T extends AskedFor>(
  all: Iterable<T>,
  options: {
    readonly now: number;
    readonly maxAudiences: number;
    readonly entry: (entryId: string) => AuthorizedEntry | undefined;
  },
): ReservePlan<T> {
  const { now, maxAudiences } = options;
  const plan = { forget: [] as T[], drop: [] as T[], renew: [] as T[] };
  const byIdentity = new Map<SpiffeId, { readonly asked: T; readonly entry: AuthorizedEntry }[]>();
  for (const asked of all) {
    const entry = options.entry(asked.entryId);
    if (entry === undefined || !isEntitled(asked, entry) || now - asked.askedAt >= ASKED_WITHIN_MS) {
      plan.forget.push(asked);
      continue;
    }
    const own = byIdentity.get(asked.spiffeId);
    if (own === undefined) byIdentity.set(asked.spiffeId, [{ asked, entry }]);
    else own.push({ asked, entry });
  }
  for (const own of byIdentity.values()) {
    let left = maxAudiences;
    for (const { asked, entry } of own.length > 1 ? own.toSorted(byPreference) : own) {
      const { reserve, refused, audience } = asked;
      const isRefused = refused !== undefined && sameVersion(refused, entry);
      const held = !isRefused && audience.length <= left;
      if (held) left -= audience.length;
      const good = held && reserve !== undefined && !isSpent(reserve, entry, now);
      if (reserve !== undefined && !good) plan.drop.push(asked);
      if (held && !(good && now < reserve.refreshAt)) plan.renew.push(asked);
    }
  }
  return { ...plan, renew: plan.renew.sort((a, b) => endOf(a) - endOf(b)) };
}

/** Lately asked for goes first; within an hour what is held stays, so that tokens are not asked for over and over. */
function byPreference({ asked: a }: { readonly asked: AskedFor }, { asked: b }: { readonly asked: AskedFor }): number {
  const held = (one: AskedFor): number => Number(one.reserve !== undefined);
  const hour = ({ askedAt }: AskedFor): number => Math.floor(askedAt / HOUR_MS);
  return hour(b) - hour(a) || held(b) - held(a) || b.askedAt - a.askedAt;
}

/** What has no token at all is the most urgent. */
function endOf({ reserve }: AskedFor): number {
  return reserve?.svid.notAfter ?? 0;
}

function sameVersion(a: EntryVersion, b: EntryVersion): boolean {
  return a.revision === b.revision && a.createdAt === b.createdAt;
}
