/** Encodes the messages of the Delegated Identity API, once for all streams that send the same. */
import {
  SubscribeToJWTBundlesResponse,
  SubscribeToX509BundlesResponse,
  SubscribeToX509SVIDsResponse,
  type X509SVIDWithKey,
} from "../gen/spire/api/agent/delegatedidentity/v1/delegatedidentity.ts";
import type { JWTSVID } from "../gen/spire/api/types/jwtsvid.ts";
import { formatJwks } from "../pki/jwks.ts";
import { pkcs8Of } from "../pki/keys.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { trustDomainId } from "../spiffe/id.ts";
import type { JwtSvid } from "../spiffe/svid.ts";
import type { WorkloadIdentity, WorkloadUpdate } from "../workload-api/ports.ts";
import { remember } from "../workload-api/remember.ts";
import { federatedWith } from "../workload-api/served.ts";
import type { HeldBundles } from "./ports.ts";
import { idMessage, seconds } from "./wire.ts";

/** Administrators' and servers' identities are nobody else's to hand on. */
export function isDelegable({ admin, downstream }: AuthorizedEntry): boolean {
  return !admin && !downstream;
}

/** The identities that may be handed on, hints as they are: unlike the Workload API's, they may repeat. */
export const encodeX509Svids = once((update: WorkloadUpdate) =>
  SubscribeToX509SVIDsResponse.encode({
    x509Svids: delegable(update).map(svidMessage),
    federatesWith: [...federatedWith(update, delegable(update)).keys()].map(trustDomainId).sort(),
  }).finish(),
);

function delegable({ identities }: WorkloadUpdate): readonly WorkloadIdentity[] {
  return identities.filter(({ entry }) => isDelegable(entry));
}

/** A token with what SPIRE tells beside it. */
export function jwtMessage({ hint }: AuthorizedEntry, svid: JwtSvid): JWTSVID {
  return {
    token: svid.token,
    id: idMessage(svid.spiffeId),
    expiresAt: seconds(svid.notAfter),
    issuedAt: seconds(svid.notBefore),
    hint,
  };
}

/** Roots by trust domain ID. */
export const encodeX509Bundles = once((held: HeldBundles) => {
  const caCertificates = byTrustDomain(held, ({ x509Authorities }) =>
    Buffer.concat(x509Authorities.map(({ certificate }) => certificate)),
  );
  return SubscribeToX509BundlesResponse.encode({ caCertificates }).finish();
});

/** JWK Sets by trust domain ID. */
export const encodeJwtBundles = once((held: HeldBundles) => {
  const bundles = byTrustDomain(held, ({ jwtAuthorities }) => Buffer.from(formatJwks(jwtAuthorities)));
  return SubscribeToJWTBundlesResponse.encode({ bundles }).finish();
});

/** Kept as long as what it was made from lives. */
function once<T extends object>(encode: (source: T) => Uint8Array): (source: T) => Uint8Array {
  const memory = new WeakMap<T, Uint8Array>();
  return (source) => remember(memory, source, () => encode(source));
}

/** Sorted, so that equal maps have equal bytes. */
function byTrustDomain(
  { bundle, federatedBundles }: HeldBundles,
  encode: (bundle: TrustBundle) => Uint8Array,
): Record<string, Uint8Array> {
  const all = [...new Map(federatedBundles).set(bundle.trustDomain, bundle)].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(all.map(([name, one]) => [trustDomainId(name), encode(one)]));
}

function svidMessage({ entry, svid }: WorkloadIdentity): X509SVIDWithKey {
  return {
    x509Svid: {
      certChain: [...svid.chain],
      id: idMessage(svid.spiffeId),
      expiresAt: seconds(svid.notAfter),
      hint: entry.hint,
    },
    x509SvidKey: pkcs8Of(svid.privateKey),
  };
}
