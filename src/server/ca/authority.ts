/** An X.509 authority: a CA certificate with the key that signs for it. */
import { AgentError } from "../../lib/errors.ts";
import type { Random } from "../../lib/random.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { type CaSubject, type IssuingCa, randomSerial, selfSignCa } from "../../pki/issue.ts";
import { subjectKeyId } from "../../pki/keys.ts";
import { type TrustDomain, trustDomainId } from "../../spiffe/id.ts";
import type { ManagedKey } from "./key-manager.ts";
import type { AuthorityLife, SlotId } from "./slots.ts";

/** A usable authority. Times in milliseconds. */
export interface X509Authority extends AuthorityLife {
  readonly slot: SlotId;
  /** Subject key identifier, lower-case hex. */
  readonly authorityId: string;
  /** Signs SVIDs. */
  readonly ca: IssuingCa;
}

/** How authorities are made. */
export interface AuthorityProfile {
  readonly trustDomain: TrustDomain;
  readonly subject: CaSubject;
  readonly ttlMs: number;
}

/** Certificates are valid from a little before now, for peers whose clock is behind. */
export const BACKDATE_MS = 10_000;

/** The ID of a slot's key in the key manager, as SPIRE names it. */
export function keyIdOf(slot: SlotId): string {
  return `x509-CA-${slot}`;
}

/** Makes a self-signed authority for a key, and checks what came out. */
export async function selfSignedAuthority(
  profile: AuthorityProfile,
  slot: SlotId,
  key: ManagedKey,
  now: number,
  random: Random,
): Promise<X509Authority> {
  const certificate = await selfSignCa({
    signer: key.signer,
    trustDomain: profile.trustDomain,
    subject: profile.subject,
    notBefore: now - BACKDATE_MS,
    notAfter: now + profile.ttlMs,
    serial: randomSerial(random),
  });
  return authorityOf(profile.trustDomain, { slot, issuedAt: now, certificate }, key);
}

/** The authority of a certificate and its key. Throws `UNTRUSTED` when the two do not belong together or the profile is wrong. */
export function authorityOf(
  trustDomain: TrustDomain,
  made: { readonly slot: SlotId; readonly issuedAt: number; readonly certificate: IssuingCa["certificate"] },
  key: ManagedKey,
): X509Authority {
  const parsed = parseCertificate(made.certificate);
  const refuse = (what: string): AgentError => new AgentError("UNTRUSTED", `CA certificate: ${what}`);
  if (Buffer.compare(parsed.spki, key.signer.publicKeySpki) !== 0) throw refuse("the key manager has another key");
  if (!parsed.isCa || parsed.keyUsage?.has("keyCertSign") !== true) throw refuse("it may not sign certificates");
  const [uri, ...others] = parsed.uriSans;
  if (uri !== trustDomainId(trustDomain) || others.length > 0) throw refuse("it is not of this trust domain");
  return {
    slot: made.slot,
    issuedAt: made.issuedAt,
    notAfter: parsed.notAfter,
    authorityId: Buffer.from(parsed.subjectKeyId ?? subjectKeyId(parsed.spki)).toString("hex"),
    ca: { certificate: made.certificate, chain: [], notAfter: parsed.notAfter, signer: key.signer },
  };
}
