/** Encodes the messages of the Delegated Identity API. */
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
import type { HeldBundles } from "./ports.ts";
import { idMessage, seconds } from "./wire.ts";

/** The identities that may be handed on, hints as they are: unlike the Workload API's, they may repeat. */
export function encodeX509Svids(update: WorkloadUpdate, isDelegable: (entry: AuthorizedEntry) => boolean): Uint8Array {
  return SubscribeToX509SVIDsResponse.encode({
    x509Svids: update.identities.filter(({ entry }) => isDelegable(entry)).map(svidMessage),
    federatesWith: [...update.federatedBundles.keys()].map(trustDomainId).sort(),
  }).finish();
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
export function encodeX509Bundles(held: HeldBundles): Uint8Array {
  const caCertificates = byTrustDomain(held, ({ x509Authorities }) =>
    Buffer.concat(x509Authorities.map(({ certificate }) => certificate)),
  );
  return SubscribeToX509BundlesResponse.encode({ caCertificates }).finish();
}

/** JWK Sets by trust domain ID. */
export function encodeJwtBundles(held: HeldBundles): Uint8Array {
  const bundles = byTrustDomain(held, ({ jwtAuthorities }) => Buffer.from(formatJwks(jwtAuthorities)));
  return SubscribeToJWTBundlesResponse.encode({ bundles }).finish();
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
