/** Which secrets a caller gets for the names it asks for: pure functions over what it may have. */
import type { TrustBundle } from "../../spiffe/bundle.ts";
import { type TrustDomain, trustDomainId } from "../../spiffe/id.ts";
import type { X509Svid } from "../../spiffe/svid.ts";
import type { WorkloadUpdate } from "../ports.ts";
import { hasIdentity } from "../served.ts";

/** Names that stand for what a caller need not know the SPIFFE ID of. */
export interface SdsNames {
  /** The first X.509-SVID. */
  readonly defaultSvidName: string;
  /** The bundle of the agent's own trust domain. */
  readonly defaultBundleName: string;
  /** All bundles in one, for the SPIFFE validator only. */
  readonly defaultAllBundlesName: string;
}

/** One secret under the name by which it goes to the caller. */
export type Secret = { readonly name: string } & (
  | { readonly kind: "svid"; readonly svid: X509Svid }
  | { readonly kind: "bundle"; readonly bundle: TrustBundle }
  /** Sorted by trust domain. */
  | { readonly kind: "bundles"; readonly bundles: readonly TrustBundle[]; readonly of: WorkloadUpdate }
);

/** All that a caller may have at one moment. */
export interface SecretIndex {
  /** By every name that stands for something, bundles first. */
  readonly byName: ReadonlyMap<string, Secret>;
  /** Each secret once, under its SPIFFE ID. */
  readonly everything: readonly Secret[];
  /** Names of one secret each, of which a request may use one: the first that it has. */
  readonly exclusive: readonly (readonly string[])[];
}

/** What a set of names comes to. */
export interface Selection {
  readonly secrets: readonly Secret[];
  /** Names that stand for nothing that the caller may have, sorted. */
  readonly unknown: readonly string[];
}

/** Finds all names of what a caller may have. Of several SVIDs with one ID the first counts. */
export function indexSecrets(update: WorkloadUpdate, config: SdsNames): SecretIndex {
  const { bundle } = update;
  const { defaultSvidName, defaultBundleName, defaultAllBundlesName } = config;
  const byName = new Map<string, Secret>();
  const everything: Secret[] = [];
  const add = (secret: Secret, isAlias = false): void => {
    if (byName.has(secret.name)) return;
    byName.set(secret.name, secret);
    if (!isAlias) everything.push(secret);
  };
  const own = trustDomainId(bundle.trustDomain);
  add({ kind: "bundle", name: own, bundle });
  add({ kind: "bundle", name: defaultBundleName, bundle }, true);
  add({ kind: "bundles", name: defaultAllBundlesName, bundles: allBundles(update), of: update }, true);
  for (const other of federated(update)) {
    add({ kind: "bundle", name: trustDomainId(other.trustDomain), bundle: other });
  }
  const svids = update.identities.filter(({ entry }) => !entry.storeSvid).map(({ svid }) => svid);
  for (const svid of svids) add({ kind: "svid", name: svid.spiffeId, svid });
  const [first] = svids;
  if (first !== undefined) add({ kind: "svid", name: defaultSvidName, svid: first }, true);
  const ownNames = [own, defaultBundleName, defaultAllBundlesName];
  return {
    byName,
    everything,
    exclusive: first === undefined ? [ownNames] : [ownNames, [first.spiffeId, defaultSvidName]],
  };
}

/**
 * The secrets for a set of names, of which the empty one asks for everything. The own bundle goes out once, under the
 * first of: trust domain ID, default name, name of all bundles. So does the first SVID: by its ID before its default
 * name.
 */
export function selectSecrets({ byName, everything, exclusive }: SecretIndex, names: ReadonlySet<string>): Selection {
  if (names.size === 0) return { secrets: everything, unknown: [] };
  const barred = new Set(exclusive.flatMap((group) => group.filter((name) => names.has(name)).slice(1)));
  const secrets = [...byName].flatMap(([name, secret]) => (names.has(name) && !barred.has(name) ? [secret] : []));
  const unknown = [...names].filter((name) => !byName.has(name) || barred.has(name)).sort();
  return { secrets, unknown };
}

/** The bundles that go into one: an empty one would make Envoy refuse them all, and without it nobody of it is trusted. */
function allBundles(update: WorkloadUpdate): TrustBundle[] {
  return [update.bundle, ...federated(update)]
    .filter(({ x509Authorities }) => x509Authorities.length > 0)
    .sort((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
}

/** Sorted by trust domain, without the own one; none for a caller without an identity. */
function federated(update: WorkloadUpdate): TrustBundle[] {
  if (!hasIdentity(update)) return [];
  const others = new Map<TrustDomain, TrustBundle>(update.federatedBundles);
  others.delete(update.bundle.trustDomain);
  return [...others.values()].sort((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
}
