/** Which of the entries that a caller matches this API serves, and which bundles go with them. */
import { errorText, publicError } from "../lib/errors.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { parseSpiffeId, type TrustDomain, trustDomainId } from "../spiffe/id.ts";
import type { WorkloadIdentity, WorkloadUpdate } from "./ports.ts";

/**
 * None that is meant for a store of secrets only, and of several with the same hint the oldest (by ID when equally
 * old): hints are unique within an answer (Workload API 5.2.1, 6.2.1, 7.2.1). The order stays.
 */
export function servedBy<T>(items: readonly T[], entryOf: (item: T) => AuthorizedEntry): readonly T[] {
  const byHint = new Map<string, T>();
  const served = items.filter((item) => !entryOf(item).storeSvid);
  for (const item of served) {
    const entry = entryOf(item);
    const rival = byHint.get(entry.hint);
    if (rival === undefined || isOlder(entry, entryOf(rival))) byHint.set(entry.hint, item);
  }
  return served.filter((item) => {
    const { hint } = entryOf(item);
    return hint === "" || byHint.get(hint) === item;
  });
}

function isOlder(a: AuthorizedEntry, b: AuthorizedEntry): boolean {
  return a.createdAt < b.createdAt || (a.createdAt === b.createdAt && a.entryId < b.entryId);
}

/** The entries that a caller asks tokens for: all, or those of one identity. Entries need no X509-SVID for that. */
export function requestedEntries({ entries }: WorkloadUpdate, spiffeId: string): readonly AuthorizedEntry[] {
  const served = servedBy(entries, (entry) => entry);
  return spiffeId === "" ? served : served.filter((entry) => entry.spiffeId === spiffeId);
}

/** The identity that a request names; empty for all. Throws `INVALID_ARGUMENT`. */
export function checkRequestedId(text: string): void {
  if (text === "") return;
  try {
    parseSpiffeId(text);
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", `invalid requested SPIFFE ID: ${errorText(error)}`);
  }
}

/** Before the first sync nobody can be told that there is nothing for them. */
export function isSynced(update: WorkloadUpdate): boolean {
  return !update.pending || update.entries.length > 0;
}

/** Whether the caller has an identity that this API serves; its X.509-SVID may still be on its way. */
export function hasIdentity(update: WorkloadUpdate): boolean {
  return update.entries.some((entry) => !entry.storeSvid);
}

/** The bundles that these identities federate with, of those that the update has. */
export function federatedWith(
  { federatedBundles }: WorkloadUpdate,
  identities: readonly WorkloadIdentity[],
): ReadonlyMap<TrustDomain, TrustBundle> {
  const wanted = new Set(identities.flatMap(({ entry }) => entry.federatesWith));
  return new Map([...federatedBundles].filter(([trustDomain]) => wanted.has(trustDomain)));
}

/** The bundles that a caller may have, federated ones only with an identity, as the map that goes into the answer. */
export function bundleMap<V>(update: WorkloadUpdate, encode: (bundle: TrustBundle) => V): Record<string, V> {
  const federated = hasIdentity(update) ? update.federatedBundles : new Map<TrustDomain, TrustBundle>();
  return encodeBundles(new Map(federated).set(update.bundle.trustDomain, update.bundle), encode);
}

/** Keyed by trust domain ID and sorted, so that equal maps have equal bytes. */
export function encodeBundles<V>(
  bundles: ReadonlyMap<TrustDomain, TrustBundle>,
  encode: (bundle: TrustBundle) => V,
): Record<string, V> {
  const sorted = [...bundles].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, bundle]) => [trustDomainId(name), encode(bundle)]));
}
