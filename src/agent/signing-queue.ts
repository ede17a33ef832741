/** Which entries need an SVID now, and in what order: pure. */
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { isExpired, type Lifetime } from "../spiffe/rotation.ts";
import { sameEntry } from "./entry-changes.ts";
import type { Issued } from "./workload-update.ts";

/** An entry and its SVID of one kind. */
export interface QueuedEntry<S extends Lifetime> {
  readonly entry: AuthorizedEntry;
  /** The latest SVID; absent until there is one. */
  readonly issued: Issued<S> | undefined;
  /** Whether a caller that matches it is connected. */
  readonly wanted: boolean;
}

/** Why an entry needs an SVID. */
export type Need =
  /** It never had one, or the one it had has expired. */
  | "none"
  /** The entry's definition changed. */
  | "outdated"
  /** It hangs below a tainted authority. */
  | "tainted"
  /** Its time to be renewed has come. */
  | "expiring";

/** What the decision depends on, besides the entries. */
export interface QueueContext<S extends Lifetime> {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Whether the SVID hangs below a tainted authority. */
  readonly isTainted: (svid: S) => boolean;
  /** Entries that failed lately, and until when they rest (milliseconds since the Unix epoch). */
  readonly resting: ReadonlyMap<string, number>;
}

/** What there is to do. */
export interface SigningQueue<S extends Lifetime> {
  /** The most urgent first: those that somebody waits for, then those with the least life left. */
  readonly due: readonly QueuedEntry<S>[];
  /** How many of them have which need. */
  readonly counts: Readonly<Record<Need, number>>;
  /** How many of `due` a connected caller lacks altogether; they come first. */
  readonly waiting: number;
  /** When the next entry will be due if nothing happens; `Infinity` for never. */
  readonly nextDueAt: number;
}

/** Looks at every entry. */
export function signingQueue<S extends Lifetime>(
  entries: Iterable<QueuedEntry<S>>,
  context: QueueContext<S>,
): SigningQueue<S> {
  const counts = { none: 0, outdated: 0, tainted: 0, expiring: 0 };
  const due: { readonly entry: QueuedEntry<S>; readonly waiting: boolean; readonly lifeEnd: number }[] = [];
  let nextDueAt = Number.POSITIVE_INFINITY;
  let waiting = 0;
  for (const entry of entries) {
    const need = needOf(entry, context);
    if (need === undefined) {
      if (entry.issued !== undefined) nextDueAt = Math.min(nextDueAt, entry.issued.rotateAt);
      continue;
    }
    const restsUntil = context.resting.get(entry.entry.entryId) ?? 0;
    if (restsUntil > context.now) {
      nextDueAt = Math.min(nextDueAt, restsUntil);
      continue;
    }
    counts[need]++;
    const isWaiting = need === "none" && entry.wanted;
    if (isWaiting) waiting++;
    due.push({ entry, waiting: isWaiting, lifeEnd: need === "none" ? 0 : (entry.issued?.svid.notAfter ?? 0) });
  }
  due.sort((a, b) => Number(b.waiting) - Number(a.waiting) || a.lifeEnd - b.lifeEnd);
  return { due: due.map(({ entry }) => entry), counts, waiting, nextDueAt };
}

/** An entry that is not to be fetched ahead needs nothing until somebody comes for it. */
function needOf<S extends Lifetime>(entry: QueuedEntry<S>, { now, isTainted }: QueueContext<S>): Need | undefined {
  if (entry.entry.disableX509SvidPrefetch && !entry.wanted) return undefined;
  const { issued } = entry;
  if (issued === undefined || isExpired(issued.svid, now)) return "none";
  if (!sameEntry(issued.entry, entry.entry)) return "outdated";
  if (isTainted(issued.svid)) return "tainted";
  return now >= issued.rotateAt ? "expiring" : undefined;
}
