/** Trust bundles between domain and messages, under masks. */
import { createPublicKey } from "node:crypto";
import type { Bundle, BundleMask, JWTKey, WITKey, X509Certificate } from "../../gen/spire/api/types/bundle.ts";
import { publicError } from "../../lib/errors.ts";
import { parseCertificate, splitCertificates } from "../../pki/certificate.ts";
import type { KeyAuthority, TrustBundle, X509Authority } from "../../spiffe/bundle.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import { parseInput } from "./failure.ts";

/** Every field. */
const FULL_BUNDLE: BundleMask = {
  x509Authorities: true,
  jwtAuthorities: true,
  refreshHint: true,
  sequenceNumber: true,
  witAuthorities: true,
};

/** Writes a bundle; without a mask all of it, with one the trust domain and what the mask names. */
export function bundleToMessage(bundle: TrustBundle, mask: BundleMask = FULL_BUNDLE): Bundle {
  return {
    trustDomain: bundle.trustDomain,
    x509Authorities: mask.x509Authorities
      ? bundle.x509Authorities.map(({ certificate, tainted }) => ({ asn1: new Uint8Array(certificate), tainted }))
      : [],
    jwtAuthorities: mask.jwtAuthorities ? bundle.jwtAuthorities.map(keyToMessage) : [],
    refreshHint: mask.refreshHint ? BigInt(bundle.refreshHint) : 0n,
    sequenceNumber: mask.sequenceNumber ? bundle.sequence : 0n,
    witAuthorities: mask.witAuthorities ? bundle.witAuthorities.map(keyToMessage) : [],
  };
}

/** Reads a bundle of another trust domain. Taint is the server's to say: it is dropped, as in SPIRE. */
export function bundleFromMessage(trustDomain: TrustDomain, message: Bundle): TrustBundle {
  return {
    trustDomain,
    x509Authorities: parseInput("unable to parse X.509 authority", () =>
      x509AuthoritiesFromMessage(message.x509Authorities),
    ),
    jwtAuthorities: parseInput("unable to parse JWT authority", () =>
      keyAuthoritiesFromMessage(message.jwtAuthorities),
    ),
    witAuthorities: parseInput("unable to parse WIT authority", () =>
      keyAuthoritiesFromMessage(message.witAuthorities),
    ),
    refreshHint: seconds("refresh_hint", message.refreshHint),
    sequence: message.sequenceNumber,
  };
}

/** Reads X.509 authorities. Throws `MALFORMED`. */
export function x509AuthoritiesFromMessage(authorities: readonly X509Certificate[]): X509Authority[] {
  return authorities.flatMap(({ asn1 }) =>
    splitCertificates(asn1).map((certificate) => ({ certificate: parseCertificate(certificate).der, tainted: false })),
  );
}

/**
 * Reads JWT or WIT authorities. Throws `INVALID_ARGUMENT`, also for two keys under one ID: which of them is meant would be
 * a guess.
 */
export function keyAuthoritiesFromMessage(keys: readonly (JWTKey | WITKey)[]): KeyAuthority[] {
  const known = new Map<string, Uint8Array>();
  return keys.map(({ publicKey, keyId, expiresAt }) => {
    if (keyId === "") throw publicError("INVALID_ARGUMENT", "missing key ID");
    checkPublicKey(publicKey);
    if (Buffer.compare(known.get(keyId) ?? publicKey, publicKey) !== 0) {
      throw publicError("INVALID_ARGUMENT", `two keys with the ID ${JSON.stringify(keyId.slice(0, 100))}`);
    }
    known.set(keyId, publicKey);
    return {
      keyId,
      publicKey: new Uint8Array(publicKey),
      expiresAt: seconds("expires_at", expiresAt),
      tainted: false,
    };
  });
}

/** Keys of kinds that we never use ourselves still are part of a foreign bundle. */
function checkPublicKey(spki: Uint8Array): void {
  try {
    createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (error) {
    throw publicError("INVALID_ARGUMENT", "malformed public key", { cause: error });
  }
}

function keyToMessage({ publicKey, keyId, expiresAt, tainted }: KeyAuthority): JWTKey {
  return { publicKey: new Uint8Array(publicKey), keyId, expiresAt: BigInt(expiresAt), tainted };
}

function seconds(field: string, value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw publicError("INVALID_ARGUMENT", `${field} is out of range`);
  }
  return Number(value);
}
