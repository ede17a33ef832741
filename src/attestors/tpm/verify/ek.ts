/** The endorsement key as the agent sent it: one key, which the certificate, the ID and the credential share. */
import type { KeyObject } from "node:crypto";
import { type Certificate, parseCertificate } from "../../../pki/certificate.ts";
import { encodeSpki, type PublicKeyNumbers, publicKeyFromSpki, readSpki } from "../../../pki/spki.ts";
import type { EkKind } from "../config.ts";
import { ekHash } from "../structures/bindings.ts";
import type { EkPem } from "../wire.ts";
import { must, parsed, refuse } from "./checks.ts";
import { isRoca } from "./roca.ts";

/** An endorsement key and, if one was sent, its certificate. Nothing says yet that it is a TPM's. */
export interface EndorsementKey {
  readonly key: KeyObject;
  readonly numbers: PublicKeyNumbers;
  readonly kind: EkKind;
  /** Lower-case hex of SHA-256 over the SubjectPublicKeyInfo: names the agent. */
  readonly hash: string;
  readonly certificate: Certificate | undefined;
}

/**
 * The one key of what the agent sent. A certificate's key is the key; a key sent beside it must be the same one, or
 * anyone could pair a genuine certificate with a key of their own.
 */
export function readEndorsementKey(pem: EkPem): EndorsementKey {
  const certificate = pem.certificate === undefined ? undefined : parseEkCertificate(pem.certificate);
  const spki = certificate?.spki ?? pem.publicKey;
  if (spki === undefined) throw refuse("ek-encoding", "neither a certificate nor a public key");
  const numbers = parsed("ek-key-type", () => readSpki(spki));
  const kind = kindOf(numbers);
  if (kind === undefined)
    throw refuse("ek-key-type", `a key of type ${typeText(numbers)}; want RSA 2048, P-256 or P-384`);
  const isWeak = numbers.kind === "rsa" && isRoca(numbers.n);
  must("ek-key-type", !isWeak, "the RSA key can be factored (ROCA, CVE-2017-15361)");
  const canonical = encodeSpki(numbers);
  if (certificate !== undefined && pem.publicKey !== undefined) {
    const sent = pem.publicKey;
    const other = encodeSpki(parsed("ek-encoding", () => readSpki(sent)));
    must("ek-matches-certificate", sameBytes(other, canonical), "the public key is not the certificate's");
  }
  const key = parsed("ek-key-type", () => publicKeyFromSpki(canonical));
  return { key, numbers, kind, hash: ekHash(canonical), certificate };
}

function parseEkCertificate(der: Uint8Array): Certificate {
  return parsed("ek-encoding", () => parseCertificate(der));
}

/** The keys for which the profile of the TPM's makers fixes the algorithms of a credential (TCG EK Credential Profile, B.3). */
function kindOf(numbers: PublicKeyNumbers): EkKind | undefined {
  if (numbers.kind === "rsa") return numbers.n.length === 256 ? "rsa-2048" : undefined;
  return numbers.curve === "P-256" ? "ec-p256" : numbers.curve === "P-384" ? "ec-p384" : undefined;
}

function typeText(numbers: PublicKeyNumbers): string {
  return numbers.kind === "rsa" ? `RSA ${numbers.n.length * 8}` : numbers.curve;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
