/** X.509 authorities as a kind: self-signed CAs, each published in the bundle before it signs. */
import type { Clock } from "../../lib/clock.ts";
import { AgentError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { parseCertificate } from "../../pki/certificate.ts";
import { type KeyType, subjectKeyId } from "../../pki/keys.ts";
import { emptyBundle } from "../../spiffe/bundle.ts";
import { type TrustDomain, trustDomainId } from "../../spiffe/id.ts";
import { type AuthorityProfile, authorityOf, keyIdOf, selfSignedAuthority, type X509Authority } from "./authority.ts";
import type { AuthorityKind } from "./authority-kind.ts";
import { checkCaToRevoke } from "./authority-steps.ts";
import { X509_PART } from "./bundle-marks.ts";
import type { JournalEntry, X509JournalEntry } from "./journal.ts";
import type { KeyManager } from "./key-manager.ts";

/** What the kind needs. */
export interface X509KindDeps {
  readonly keys: KeyManager;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly profile: AuthorityProfile;
  readonly keyType: KeyType;
}

/** The kind. */
export function x509Kind(deps: X509KindDeps): AuthorityKind<X509Authority, X509JournalEntry> {
  const { profile, random } = deps;
  const { trustDomain } = profile;
  return {
    name: "X509 CA",
    keyType: deps.keyType,
    part: X509_PART,
    keyId: keyIdOf,
    entries: (journal) => journal.x509,
    withEntries: (journal, x509) => ({ ...journal, x509 }),
    make: (slot, key, now) => selfSignedAuthority(profile, slot, key, now, random),
    entryOf: ({ slot, authorityId, issuedAt, notAfter, ca }) => ({
      slot,
      authorityId,
      status: "prepared",
      issuedAt,
      notAfter,
      certificate: ca.certificate,
    }),
    bundleOf: ({ ca }) => ({
      ...emptyBundle(trustDomain),
      x509Authorities: [{ certificate: ca.certificate, tainted: false }],
    }),
    revive: (entry, key) => authorityOf(trustDomain, entry, key),
    isPublished: (entry, bundle) =>
      bundle.x509Authorities.some(({ certificate }) => Buffer.compare(certificate, entry.certificate) === 0),
    checkRevocation: checkCaToRevoke,
    beforeFirst: (entries) => spareKeys(deps, entries),
  };
}

/**
 * Before the first authority takes a slot: a key there that no expired authority explains belongs to a CA which
 * another datastore, or another backup of this one, knows of. Overwriting it would end that CA for good.
 */
async function spareKeys(deps: X509KindDeps, entries: readonly JournalEntry[]): Promise<void> {
  const { keys, clock, log } = deps;
  for (const slot of ["A", "B"] as const) {
    const key = await keys.getKey(keyIdOf(slot));
    if (key === undefined) continue;
    const authorityId = Buffer.from(subjectKeyId(key.signer.publicKeySpki)).toString("hex");
    const known = entries.find((entry) => entry.authorityId === authorityId);
    if (known !== undefined && clock.now() >= known.notAfter) continue;
    const path = await keys.setAside(clock.now());
    log.warn("The keys are of a CA that the datastore does not know; they were set aside", {
      local_authority_id: authorityId,
      ...(path !== undefined && { path }),
    });
    return;
  }
}

/**
 * A server of another trust domain would replace the keys and bundle of the one whose datastore this is. Throws
 * `FAILED_PRECONDITION`; `place` says where the entries are.
 */
export function requireTrustDomain(
  entries: readonly X509JournalEntry[],
  trustDomain: TrustDomain,
  place: string,
): void {
  for (const { certificate } of entries) {
    const [uri] = parseCertificate(certificate).uriSans;
    if (uri === trustDomainId(trustDomain)) continue;
    throw new AgentError(
      "FAILED_PRECONDITION",
      `${place} belongs to ${uri}, and trust_domain is "${trustDomain}": correct it, or give this server a datastore and a key file of its own; nothing was changed`,
    );
  }
}
