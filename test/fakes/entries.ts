/** Registration entries, nodes and bundles for tests: plain ones, with what a test cares about set. */

import type { AttestedNode } from "../../src/server/datastore/datastore.ts";
import { emptyBundle, type TrustBundle } from "../../src/spiffe/bundle.ts";
import type { RegistrationEntry } from "../../src/spiffe/entry.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId, type TrustDomain } from "../../src/spiffe/id.ts";
import { parseSelector, type Selector } from "../../src/spiffe/selector.ts";
import type { Der } from "../../src/spiffe/svid.ts";

/** The trust domain of most tests. */
export const TD: TrustDomain = parseTrustDomain("example.org");

/** The ID `spiffe://example.org` + path. */
export function id(path: string): SpiffeId {
  return parseSpiffeId(`spiffe://example.org${path}`);
}

/** Selectors from `type:value` texts. */
export function selectors(...texts: string[]): readonly Selector[] {
  return texts.map(parseSelector);
}

/** An entry with the given ID; child of agent `/spire/agent/test/one` for `/<id>` with selector `unix:uid:1000` unless told otherwise. */
export function entry(entryId: string, change: Partial<RegistrationEntry> = {}): RegistrationEntry {
  return {
    entryId,
    spiffeId: id(`/${entryId}`),
    parentId: id("/spire/agent/test/one"),
    selectors: selectors("unix:uid:1000"),
    federatesWith: [],
    x509SvidTtl: 0,
    jwtSvidTtl: 0,
    dnsNames: [],
    admin: false,
    downstream: false,
    storeSvid: false,
    hint: "",
    expiresAt: 0,
    createdAt: 1_700_000_000,
    revision: 0n,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
    ...change,
  };
}

/** A node `/spire/agent/test/<name>`, valid for long, without selectors. */
export function node(name: string, change: Partial<AttestedNode> = {}): AttestedNode {
  return {
    agentId: id(`/spire/agent/test/${name}`),
    attestationType: "test",
    serial: "1",
    expiresAt: 4_000_000_000,
    pendingSerial: "",
    pendingExpiresAt: 0,
    canReattest: false,
    agentVersion: "",
    selectors: [],
    facts: {},
    ...change,
  };
}

/** A bundle whose X.509 authorities are the given bytes: the datastore does not look inside. */
export function bundle(trustDomain: TrustDomain, ...authorities: string[]): TrustBundle {
  return {
    ...emptyBundle(trustDomain),
    x509Authorities: authorities.map((text) => ({
      certificate: new Uint8Array(Buffer.from(text)) as Der,
      tainted: false,
    })),
  };
}
