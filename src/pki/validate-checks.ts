/** The checks of path validation on one certificate, each with the section of RFC 5280 that asks for it. */
import { AgentError, errorText } from "../lib/errors.ts";
import type { Certificate } from "./certificate.ts";
import { isSelfIssued } from "./name.ts";
import { Oid } from "./oid.ts";
import { readSpki } from "./spki.ts";

/** What can be wrong with a chain. Messages of refusals begin with it. */
export type CheckName =
  | "limits"
  | "parse"
  | "authorities"
  | "issuer"
  | "signature-algorithm"
  | "signature"
  | "validity"
  | "public-key"
  | "critical-extension"
  | "policy-constraints"
  | "version"
  | "basic-constraints"
  | "path-length"
  | "key-usage"
  | "name-constraints"
  | "leaf-uri-san"
  | "leaf-spiffe-id"
  | "leaf-trust-domain"
  | "leaf-expected-id"
  | "leaf-basic-constraints"
  | "leaf-key-usage"
  | "leaf-ext-key-usage";

/** A refusal: the message names the check, the public message does not. */
export function refuse(check: CheckName, detail: string, cause?: unknown): AgentError {
  return new AgentError("UNTRUSTED", `${check}: ${detail}`, cause === undefined ? {} : { cause });
}

/** Throws a refusal by that check unless `holds`. */
export function must(check: CheckName, holds: boolean, detail: () => string): void {
  if (!holds) throw refuse(check, detail());
}

/**
 * Extensions that validation processes, so that they may be critical. Certificate policies are among them because the
 * initial policy set is "any" and no explicit policy is asked for (RFC 5280 6.1.1 c and e), so that none of them can
 * fail; policy constraints, which could change that, are not.
 */
const PROCESSED: ReadonlySet<string> = new Set([
  Oid.keyUsage,
  Oid.subjectAltName,
  Oid.basicConstraints,
  Oid.nameConstraints,
  Oid.extKeyUsage,
  Oid.certificatePolicies,
  Oid.subjectKeyIdentifier,
  Oid.authorityKeyIdentifier,
]);

/** What every certificate of a path must meet, leaf and trust anchor included. `now` in milliseconds since the epoch. */
function checkCertificate(certificate: Certificate, now: number, handled: ReadonlySet<string>): void {
  const { notBefore, notAfter, extensions } = certificate;
  // 6.1.3 (a)(2)
  must("validity", now >= notBefore, () => about(certificate, `is valid only from ${iso(notBefore)}`));
  must("validity", now <= notAfter, () => about(certificate, `expired at ${iso(notAfter)}`));
  // allow-list of algorithms and sizes
  checkPublicKey(certificate);
  // 6.1.4 (o), 6.1.5 (f)
  const unknown = extensions.find(({ critical, oid }) => critical && !PROCESSED.has(oid) && !handled.has(oid));
  must("critical-extension", unknown === undefined, () =>
    about(certificate, `has the critical extension ${unknown?.oid}`),
  );
  // 6.1.4 (i), 6.1.5 (b): policies are not processed; 4.2.1.11 wants this critical, but means it in any case
  must("policy-constraints", !certificate.requiresPolicy, () => about(certificate, "asks for explicit policies"));
}

/** What the leaf must meet, whatever it is for. `handled` are critical extensions that the caller handles itself. */
export function checkLeaf(leaf: Certificate, now: number, handled: ReadonlySet<string>): void {
  checkCertificate(leaf, now, handled);
  // 4.2.1.10: only in a CA certificate; of issuers, being a CA is asked below
  must("name-constraints", leaf.nameConstraints === undefined || leaf.isCa, () =>
    about(leaf, "has name constraints and is no CA"),
  );
}

/** What an issuer must meet besides. `below` is the path so far, leaf first. */
export function checkIssuer(issuer: Certificate, below: readonly Certificate[], now: number): void {
  checkCertificate(issuer, now, NONE);
  // 6.1.4 (k)
  must("version", issuer.version === 3, () => about(issuer, `is version ${issuer.version}`));
  must("basic-constraints", issuer.isCa, () => about(issuer, "is no CA"));
  // 6.1.4 (l), (m)
  const intermediates = below.slice(1).filter((certificate) => !isSelfIssued(certificate)).length;
  must("path-length", intermediates <= (issuer.pathLen ?? intermediates), () =>
    about(issuer, `allows ${issuer.pathLen} intermediates below it, there are ${intermediates}`),
  );
  // 6.1.4 (n)
  const { keyUsage } = issuer;
  must("key-usage", keyUsage === undefined || keyUsage.has("keyCertSign"), () => about(issuer, "lacks keyCertSign"));
}

/** A phrase about a certificate, for the log. */
export function about(certificate: Certificate, what: string): string {
  return `certificate ${quotedName(certificate.subject)} (serial ${certificate.serial}) ${what}`;
}

function checkPublicKey(certificate: Certificate): void {
  try {
    readSpki(certificate.spki);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw refuse("public-key", about(certificate, errorText(error)), error);
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

const NONE: ReadonlySet<string> = new Set();

/** A name for a message, which goes to the log: whoever made it chose its length. */
export function quotedName({ text }: Certificate["subject"]): string {
  return text.length <= LONGEST_NAME ? `"${text}"` : `"${text.slice(0, LONGEST_NAME)}…"`;
}

const LONGEST_NAME = 256;
