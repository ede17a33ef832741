/** Accepts an SVID that the server issued to us, or refuses to use it. */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import { type Certificate, parseCertificate } from "../pki/certificate.ts";
import { spkiOf } from "../pki/keys.ts";
import { validateX509Svid } from "../pki/validate.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { Der, X509Svid } from "../spiffe/svid.ts";

/** A bundle's X.509 authorities, parsed once for many chains. */
export interface Authorities {
  readonly trustDomain: TrustDomain;
  readonly certificates: readonly Certificate[];
}

/** Parses a bundle's authorities. Throws `MALFORMED`. */
export function authoritiesOf(bundle: TrustBundle): Authorities {
  const certificates = bundle.x509Authorities.map(({ certificate }) => parseCertificate(certificate));
  return { trustDomain: bundle.trustDomain, certificates };
}

/** What an issued chain must be. */
export interface IssuedSvidExpectation {
  readonly chain: readonly Der[];
  readonly privateKey: KeyObject;
  readonly authorities: Authorities;
  /** Absent: any ID of the authorities' trust domain. */
  readonly expectedId?: SpiffeId;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/**
 * The chain must verify against the authorities, carry the expected ID and be for our key. Throws `UNTRUSTED`, or
 * `MALFORMED` for bytes that are no certificate.
 *
 * Our clock may differ from the server's, which judges the SVID first: a leaf that begins in our future or ended in
 * our past is verified as of its nearest valid moment, for refusing it would lose a join token to a clock.
 */
export function acceptIssuedSvid(expectation: IssuedSvidExpectation): X509Svid {
  const { chain, privateKey, authorities, expectedId, now } = expectation;
  const [first] = chain;
  if (first === undefined) throw new AgentError("MALFORMED", "the server issued no certificate");
  const { notBefore, notAfter } = parseCertificate(first);
  const { leaf, spiffeId } = validateX509Svid(chain, authorities.certificates, {
    now: Math.min(Math.max(now, notBefore), notAfter),
    trustDomain: authorities.trustDomain,
    ...(expectedId === undefined ? {} : { expectedId }),
  });
  if (Buffer.compare(leaf.spki, spkiOf(privateKey)) !== 0) {
    throw new AgentError("UNTRUSTED", "the server issued an SVID for another key than ours");
  }
  return { spiffeId, chain, privateKey, notBefore, notAfter };
}
