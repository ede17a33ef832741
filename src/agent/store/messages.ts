/** Entries and bundles as the messages in which the server sent them. */
import type { Bundle } from "../../gen/spire/api/types/bundle.ts";
import { Entry } from "../../gen/spire/api/types/entry.ts";
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../spiffe/entry.ts";
import { pathOf, trustDomainOf } from "../../spiffe/id.ts";

/** What the agent knows of an entry. */
export function entryMessage(entry: AuthorizedEntry): Entry {
  return {
    ...Entry.create(),
    id: entry.entryId,
    spiffeId: { trustDomain: trustDomainOf(entry.spiffeId), path: pathOf(entry.spiffeId) },
    selectors: entry.selectors.map(({ type, value }) => ({ type, value })),
    federatesWith: [...entry.federatesWith],
    admin: entry.admin,
    downstream: entry.downstream,
    storeSvid: entry.storeSvid,
    hint: entry.hint,
    createdAt: BigInt(entry.createdAt),
    revisionNumber: entry.revision,
    additionalAttributes: {
      disableX509SvidPrefetch: entry.disableX509SvidPrefetch,
      jwtSvidIncludeJti: entry.jwtSvidIncludeJti,
    },
  };
}

/** A whole bundle. */
export function bundleMessage(bundle: TrustBundle): Bundle {
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({ asn1: certificate, tainted })),
    jwtAuthorities: bundle.jwtAuthorities.map((key) => ({ ...key, expiresAt: BigInt(key.expiresAt) })),
    witAuthorities: bundle.witAuthorities.map((key) => ({ ...key, expiresAt: BigInt(key.expiresAt) })),
    refreshHint: BigInt(bundle.refreshHint),
    sequenceNumber: bundle.sequence,
  };
}
