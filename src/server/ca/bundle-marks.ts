/** Marks an authority in a bundle as tainted, or takes a tainted one out: pure, in SPIRE's words. */
import { publicError } from "../../lib/errors.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { subjectKeyId } from "../../pki/keys.ts";
import type { KeyAuthority, TrustBundle, X509Authority } from "../../spiffe/bundle.ts";

/** One kind of authorities of a bundle. */
export interface BundlePart<P extends { readonly tainted: boolean } = { readonly tainted: boolean }> {
  of(bundle: TrustBundle): readonly P[];
  with(bundle: TrustBundle, authorities: readonly P[]): TrustBundle;
  idOf(authority: P): string;
  readonly words: {
    readonly notFoundToTaint: string;
    readonly notFoundToRevoke: string;
    readonly tainted: string;
    readonly untainted: string;
  };
}

/** The CA certificates, by their subject key identifiers. */
export const X509_PART: BundlePart<X509Authority> = {
  of: (bundle) => bundle.x509Authorities,
  with: (bundle, x509Authorities) => ({ ...bundle, x509Authorities }),
  idOf: x509AuthorityId,
  words: {
    notFoundToTaint: "no ca found with provided subject key ID",
    notFoundToRevoke: "no root CA found with provided subject key ID",
    tainted: "root CA is already tainted",
    untainted: "it is not possible to revoke an untainted root CA",
  },
};

/** The keys of JWT-SVIDs. */
export const JWT_PART: BundlePart<KeyAuthority> = {
  of: (bundle) => bundle.jwtAuthorities,
  with: (bundle, jwtAuthorities) => ({ ...bundle, jwtAuthorities }),
  idOf: ({ keyId }) => keyId,
  words: keyWords("JWT"),
};

/** The keys of WIT-SVIDs. */
export const WIT_PART: BundlePart<KeyAuthority> = {
  of: (bundle) => bundle.witAuthorities,
  with: (bundle, witAuthorities) => ({ ...bundle, witAuthorities }),
  idOf: ({ keyId }) => keyId,
  words: keyWords("WIT"),
};

/** The bundle with one authority tainted. Throws `INTERNAL` when it is not there, or tainted already. */
export function taintedBundle<P extends { readonly tainted: boolean }>(
  bundle: TrustBundle,
  part: BundlePart<P>,
  authorityId: string,
): TrustBundle {
  const authority = find(bundle, part, authorityId, part.words.notFoundToTaint);
  if (authority.tainted) throw publicError("INTERNAL", part.words.tainted);
  return part.with(
    bundle,
    part.of(bundle).map((other) => (other === authority ? { ...other, tainted: true } : other)),
  );
}

/** The bundle without one tainted authority. Throws `INTERNAL` when it is not there, or not tainted. */
export function revokedBundle<P extends { readonly tainted: boolean }>(
  bundle: TrustBundle,
  part: BundlePart<P>,
  authorityId: string,
): TrustBundle {
  const authority = find(bundle, part, authorityId, part.words.notFoundToRevoke);
  if (!authority.tainted) throw publicError("INTERNAL", part.words.untainted);
  return part.with(
    bundle,
    part.of(bundle).filter((other) => other !== authority),
  );
}

/** Whether an authority is in the bundle. */
export function isListed<P extends { readonly tainted: boolean }>(
  bundle: TrustBundle,
  part: BundlePart<P>,
  authorityId: string,
): boolean {
  return part.of(bundle).some((authority) => part.idOf(authority) === authorityId);
}

function find<P extends { readonly tainted: boolean }>(
  bundle: TrustBundle,
  part: BundlePart<P>,
  authorityId: string,
  notFound: string,
): P {
  const authority = part.of(bundle).find((other) => part.idOf(other) === authorityId);
  if (authority === undefined) throw publicError("INTERNAL", notFound);
  return authority;
}

/** What an administrator put there and we cannot read has no ID. */
function x509AuthorityId({ certificate }: X509Authority): string {
  try {
    const parsed = parseCertificate(certificate);
    return Buffer.from(parsed.subjectKeyId ?? subjectKeyId(parsed.spki)).toString("hex");
  } catch {
    return "";
  }
}

function keyWords(kind: "JWT" | "WIT"): BundlePart["words"] {
  return {
    notFoundToTaint: `no ${kind} Key found with provided key ID`,
    notFoundToRevoke: `no ${kind} Key found with provided key ID`,
    tainted: "key is already tainted",
    untainted: "it is not possible to revoke an untainted key",
  };
}
