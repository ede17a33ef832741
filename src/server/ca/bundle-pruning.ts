/** Takes authorities out of the bundle that expired long enough ago. */
import { parseCertificate } from "../../pki/certificate.ts";
import type { KeyAuthority, TrustBundle, X509Authority } from "../../spiffe/bundle.ts";

/** How long an expired authority stays, milliseconds: somebody's clock may be behind. */
export const KEEP_EXPIRED_MS = 24 * 60 * 60 * 1000;

/** The bundle without what expired more than a day before `now` (ms); the same object when there is nothing to take out. The last authority of a kind always stays. */
export function prunedBundle(bundle: TrustBundle, now: number): TrustBundle {
  const x509Authorities = keep(bundle.x509Authorities, endOfCertificate, now);
  const jwtAuthorities = keep(bundle.jwtAuthorities, endOfKey, now);
  const witAuthorities = keep(bundle.witAuthorities, endOfKey, now);
  const isSame =
    x509Authorities.length === bundle.x509Authorities.length &&
    jwtAuthorities.length === bundle.jwtAuthorities.length &&
    witAuthorities.length === bundle.witAuthorities.length;
  return isSame ? bundle : { ...bundle, x509Authorities, jwtAuthorities, witAuthorities };
}

function keep<T>(authorities: readonly T[], end: (authority: T) => number, now: number): readonly T[] {
  const kept = authorities.filter((authority) => now - end(authority) <= KEEP_EXPIRED_MS);
  if (kept.length > 0 || authorities.length === 0) return kept;
  const [first, ...others] = authorities;
  if (first === undefined) return [];
  return [others.reduce((last, other) => (end(other) > end(last) ? other : last), first)];
}

/** What an administrator put there and we cannot read is not ours to judge. */
function endOfCertificate(authority: X509Authority): number {
  try {
    return parseCertificate(authority.certificate).notAfter;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function endOfKey(authority: KeyAuthority): number {
  return authority.expiresAt === 0 ? Number.POSITIVE_INFINITY : authority.expiresAt * 1000;
}
