/** Trust bundles: the authorities by which SVIDs of a trust domain are judged. */
import type { TrustDomain } from "./id.ts";
import type { Der } from "./svid.ts";

/** A CA certificate of a bundle. */
export interface X509Authority {
  readonly certificate: Der;
  /** Still trusted, but everything below it must be issued anew. */
  readonly tainted: boolean;
}

/** A public key that signs JWT-SVIDs (or WIT-SVIDs). */
export interface KeyAuthority {
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Unix seconds; 0 for never. */
  readonly expiresAt: number;
  readonly tainted: boolean;
}

/** The authorities of one trust domain. Never merged with another's (SPIFFE Federation 4.2). */
export interface TrustBundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly KeyAuthority[];
  readonly witAuthorities: readonly KeyAuthority[];
  /** Seconds; 0 for none. */
  readonly refreshHint: number;
  /** Grows with each change of content. */
  readonly sequence: bigint;
}

/** An empty bundle of a trust domain. */
export function emptyBundle(trustDomain: TrustDomain): TrustBundle {
  return { trustDomain, x509Authorities: [], jwtAuthorities: [], witAuthorities: [], refreshHint: 0, sequence: 0n };
}

/** Whether two bundles hold the same authorities in the same order and state; sequence and hint do not count. */
export function sameAuthorities(a: TrustBundle, b: TrustBundle): boolean {
  return (
    a.trustDomain === b.trustDomain &&
    a.x509Authorities.length === b.x509Authorities.length &&
    a.x509Authorities.every((authority, index) => {
      const other = b.x509Authorities[index];
      return (
        other !== undefined &&
        authority.tainted === other.tainted &&
        Buffer.compare(authority.certificate, other.certificate) === 0
      );
    }) &&
    sameKeys(a.jwtAuthorities, b.jwtAuthorities) &&
    sameKeys(a.witAuthorities, b.witAuthorities)
  );
}

function sameKeys(a: readonly KeyAuthority[], b: readonly KeyAuthority[]): boolean {
  return (
    a.length === b.length &&
    a.every((key, index) => {
      const other = b[index];
      return (
        other !== undefined &&
        key.keyId === other.keyId &&
        key.tainted === other.tainted &&
        key.expiresAt === other.expiresAt &&
        Buffer.compare(key.publicKey, other.publicKey) === 0
      );
    })
  );
}
