/** Entries, selectors and SVIDs for tests of the agent's cache. */
import type { CachedEntry, SyncUpdate } from "../../src/agent/svid-cache.ts";
import type { IssuedSvid } from "../../src/agent/workload-update.ts";
import { emptyBundle, type TrustBundle } from "../../src/spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../src/spiffe/entry.ts";
import { makeSpiffeId, parseTrustDomain, type TrustDomain } from "../../src/spiffe/id.ts";
import { parseSelector } from "../../src/spiffe/selector.ts";
import type { Der } from "../../src/spiffe/svid.ts";

export const TD = parseTrustDomain("example.org");

export function authorized(
  entryId: string,
  selectors: readonly string[],
  change: Partial<AuthorizedEntry> = {},
): AuthorizedEntry {
  return {
    entryId,
    spiffeId: makeSpiffeId(TD, `/${entryId}`),
    selectors: selectors.map(parseSelector),
    federatesWith: [],
    admin: false,
    downstream: false,
    storeSvid: false,
    hint: "",
    createdAt: 1,
    revision: 0n,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
    ...change,
  };
}

/** An SVID whose content nobody looks at. */
export function issued(entry: AuthorizedEntry, notAfter: number, rotateAt = notAfter): IssuedSvid {
  return {
    entry,
    rotateAt,
    svid: {
      spiffeId: entry.spiffeId,
      chain: [new Uint8Array([1]) as Der],
      privateKey: undefined as never,
      notBefore: 0,
      notAfter,
    },
  };
}

/** A bundle that differs from those with another mark. */
export function bundle(mark: number, trustDomain: TrustDomain = TD): TrustBundle {
  return {
    ...emptyBundle(trustDomain),
    x509Authorities: [{ certificate: new Uint8Array([mark]) as Der, tainted: false }],
  };
}

/** What a sync brings. */
export function update(entries: readonly AuthorizedEntry[], change: Partial<SyncUpdate> = {}): SyncUpdate {
  return {
    entries: new Map(entries.map((entry) => [entry.entryId, entry])),
    bundle: bundle(1),
    federatedBundles: new Map(),
    ...change,
  };
}

/** An entry as the signer sees it. */
export function cached(entry: AuthorizedEntry, change: Partial<CachedEntry> = {}): CachedEntry {
  return { entry, issued: undefined, failed: false, wanted: false, ...change };
}
