/** What a CA certificate that someone else signed for us must be before we sign with it. */
import { AgentError } from "../lib/errors.ts";
import { type TrustDomain, trustDomainId } from "../spiffe/id.ts";
import type { Certificate } from "./certificate.ts";
import type { KeyUsage } from "./extensions.ts";

/** What to expect of the certificate. */
export interface CaExpectation {
  readonly trustDomain: TrustDomain;
  /** SubjectPublicKeyInfo of the key that asked for it. */
  readonly spki: Uint8Array;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

const ALLOWED: ReadonlySet<KeyUsage> = new Set<KeyUsage>(["keyCertSign", "cRLSign", "digitalSignature"]);

/**
 * The profile of an X.509 CA (X509-SVID 3.2, 4.1, 4.3), as SPIRE holds upstream authorities to it. Says nothing of the
 * certificate's own issuer. Throws `UNTRUSTED` naming what is wrong.
 */
export function checkCaProfile(ca: Certificate, { trustDomain, spki, now }: CaExpectation): void {
  const id = trustDomainId(trustDomain);
  const { isCa, keyUsage, uriSans } = ca;
  expect(Buffer.compare(ca.spki, spki) === 0, "is for another key");
  expect(isCa, "is no CA");
  expect(keyUsage?.has("keyCertSign") === true, "lacks keyCertSign");
  expect(
    [...(keyUsage ?? [])].every((usage) => ALLOWED.has(usage)),
    "has a key usage besides those of a CA",
  );
  expect(uriSans.length === 1 && uriSans[0] === id, `has not ${id} as its only URI SAN`);
  expect(now >= ca.notBefore && now <= ca.notAfter, "is not valid now");
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new AgentError("UNTRUSTED", `the CA certificate ${what}`);
}
