/** Builds what a workload may have from the entries that it matches: pure, and the same object while nothing changed. */
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import type { WorkloadIdentity, WorkloadUpdate } from "../workload-api/ports.ts";

/** An SVID together with the entry as it was when the SVID was asked for. */
export interface Issued<S> {
  readonly entry: AuthorizedEntry;
  readonly svid: S;
  /** When to replace it, in milliseconds since the Unix epoch; drawn once, so that jitter is not drawn until it fits. */
  readonly rotateAt: number;
}

/** An X509-SVID of an entry. */
export type IssuedSvid = Issued<X509Svid>;

/** What is known of one entry. */
export interface EntryState {
  readonly entry: AuthorizedEntry;
  /** The latest SVID; absent until there is one. */
  readonly issued: IssuedSvid | undefined;
  /** The latest attempt to get an SVID failed. */
  readonly failed: boolean;
}

/** What an update is made from, besides the entries. */
export interface UpdateContext {
  readonly now: number;
  /** False until the first sync: before it, nobody can be told that there is nothing for them. */
  readonly synced: boolean;
  readonly bundle: TrustBundle;
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

/**
 * The update of callers that match exactly `entries`, which are sorted by entry ID. An entry whose definition changed
 * is served as before until its new SVID is there, so that callers see one change and not two; unless it takes something
 * away, which must not wait for a signature.
 */
export function buildUpdate(entries: readonly EntryState[], context: UpdateContext): WorkloadUpdate {
  const identities: WorkloadIdentity[] = [];
  const federatedBundles = new Map<TrustDomain, TrustBundle>();
  for (const state of entries) {
    const { issued } = state;
    const entry = servedEntry(state);
    if (issued !== undefined && !isExpired(issued.svid, context.now)) identities.push({ entry, svid: issued.svid });
    // Those that are on their way have their bundles before them.
    for (const trustDomain of entry.federatesWith) {
      const bundle = context.federatedBundles.get(trustDomain);
      if (bundle !== undefined) federatedBundles.set(trustDomain, bundle);
    }
  }
  return {
    entries: entries.map(servedEntry),
    identities,
    lapsed: entries.some(({ issued }) => issued !== undefined && isExpired(issued.svid, context.now)),
    pending: isPending(entries, identities.length, context),
    bundle: context.bundle,
    federatedBundles,
  };
}

/** The definition that callers are served by. */
function servedEntry({ entry, issued }: EntryState): AuthorizedEntry {
  if (issued === undefined || issued.entry === entry) return entry;
  const before = issued.entry;
  const takesAway =
    before.jwtSvidIncludeJti !== entry.jwtSvidIncludeJti ||
    before.federatesWith.some((trustDomain) => !entry.federatesWith.includes(trustDomain));
  return takesAway ? entry : before;
}

/**
 * Whether a first answer should wait. With identities at hand it waits only for those that are on their way; with
 * none, waiting is better than a refusal that clients take for final.
 */
function isPending(entries: readonly EntryState[], identities: number, context: UpdateContext): boolean {
  if (identities === 0) return !context.synced || entries.length > 0;
  return entries.some(({ issued, failed }) => issued === undefined && !failed);
}

/** Whether two updates say the same. Their parts are compared by identity: the cache keeps unchanged parts as they are. */
export function sameUpdate(a: WorkloadUpdate, b: WorkloadUpdate): boolean {
  return (
    a.pending === b.pending &&
    a.lapsed === b.lapsed &&
    a.bundle === b.bundle &&
    a.entries.length === b.entries.length &&
    a.entries.every((entry, index) => entry === b.entries[index]) &&
    a.identities.length === b.identities.length &&
    a.identities.every(({ entry, svid }, index) => {
      const other = b.identities[index];
      return entry === other?.entry && svid === other.svid;
    }) &&
    a.federatedBundles.size === b.federatedBundles.size &&
    [...a.federatedBundles].every(([trustDomain, bundle]) => b.federatedBundles.get(trustDomain) === bundle)
  );
}
