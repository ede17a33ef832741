/** What the agent holds while its sockets are fuzzed: two identities, three bundles, nothing that changes. */
import { createPrivateKey } from "node:crypto";
import type { Clock } from "../../../src/lib/clock.ts";
import type { Random } from "../../../src/lib/random.ts";
import type { Watchable } from "../../../src/lib/watchable.ts";
import type { TrustBundle } from "../../../src/spiffe/bundle.ts";
import type { AuthorizedEntry } from "../../../src/spiffe/entry.ts";
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from "../../../src/spiffe/id.ts";
import type { Der, X509Svid } from "../../../src/spiffe/svid.ts";
import type { WorkloadUpdate } from "../../../src/workload-api/ports.ts";
import { BUNDLES } from "./tokens.ts";
import { DIRECT_LEAF, INTERMEDIATE, LEAF, NOW, ROOT, TRUST_DOMAIN, WORKLOAD_ID } from "./x509.ts";

export const OWN = parseTrustDomain(TRUST_DOMAIN);
export const OTHER = parseTrustDomain("other.test");
export const WORKLOAD = parseSpiffeId(WORKLOAD_ID);
export const SECOND = parseSpiffeId(`spiffe://${TRUST_DOMAIN}/second`);

/** A key that stands for all: 1, on P-256. */
export const PRIVATE_KEY = createPrivateKey({
  format: "jwk",
  key: {
    kty: "EC",
    crv: "P-256",
    d: Buffer.from("01".padStart(64, "0"), "hex").toString("base64url"),
    x: Buffer.from("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296", "hex").toString("base64url"),
    y: Buffer.from("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", "hex").toString("base64url"),
  },
});

/** An entry of the node. */
export function entryOf(entryId: string, spiffeId: SpiffeId): AuthorizedEntry {
  return {
    entryId,
    spiffeId,
    selectors: [{ type: "unix", value: "uid:0" }],
    federatesWith: [OTHER],
    admin: false,
    downstream: false,
    storeSvid: false,
    hint: entryId,
    createdAt: 1,
    revision: 3n,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
  };
}

const svidOf = (spiffeId: SpiffeId, ...chain: readonly Uint8Array[]): X509Svid => ({
  spiffeId,
  chain: chain as readonly Der[],
  privateKey: PRIVATE_KEY,
  notBefore: NOW - 1_000,
  notAfter: NOW + 3_600_000,
});
const bundleOf = (trustDomain: typeof OWN, ...authorities: readonly Uint8Array[]): TrustBundle => ({
  trustDomain,
  x509Authorities: authorities.map((certificate) => ({ certificate: certificate as Der, tainted: false })),
  jwtAuthorities: BUNDLES.get(trustDomain)?.jwtAuthorities ?? [],
  witAuthorities: BUNDLES.get(trustDomain)?.jwtAuthorities ?? [],
  refreshHint: 60,
  sequence: 7n,
});

const [first, second] = [entryOf("entry-1", WORKLOAD), entryOf("entry-2", SECOND)];
export const OWN_BUNDLE = bundleOf(OWN, ROOT);
const federatedBundles = new Map([[OTHER, bundleOf(OTHER, INTERMEDIATE)]]);
const firstIdentity = { entry: first, svid: svidOf(WORKLOAD, LEAF, INTERMEDIATE) };

/** What a workload may have. */
export const UPDATE: WorkloadUpdate = {
  entries: [first, second],
  identities: [firstIdentity, { entry: second, svid: svidOf(SECOND, DIRECT_LEAF) }],
  pending: false,
  lapsed: false,
  bundle: OWN_BUNDLE,
  federatedBundles,
};
/** Less of it, later. */
export const LATER: WorkloadUpdate = { ...UPDATE, entries: [first], identities: [firstIdentity] };
/** Before everything is there. */
export const PENDING: WorkloadUpdate = { ...UPDATE, identities: [], pending: true };

/** A cell that never changes. */
export function still<T>(value: T): Watchable<T> {
  return {
    value,
    subscribe: () => () => {},
    async *watch(signal: AbortSignal) {
      yield value;
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
}

/** Time that stands still. */
export const CLOCK: Clock = {
  now: () => NOW,
  monotonic: () => 1_000,
  sleep: () => Promise.resolve(),
  after: () => () => {},
};

/** Always the same. */
export const SAME: Random = { bytes: (size) => new Uint8Array(size).fill(0x5a), unit: () => 0.5 };
