/**
 * Issues X509-SVIDs and CA certificates. The profiles are fixed: nothing of a request but its key reaches a
 * certificate.
 */
import { AgentError } from "../lib/errors.ts";
import type { Random } from "../lib/random.ts";
import { pathOf, type SpiffeId, type TrustDomain, trustDomainId } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";
import { encodeAlgorithm } from "./algorithms.ts";
import { parseCertificate } from "./certificate.ts";
import { DEFAULT_SUBJECT } from "./csr.ts";
import { bitString, sequence, small, time, tlv, unsigned } from "./der-writer.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extension-writer.ts";
import { encodeName, type Name } from "./name.ts";
import { Oid } from "./oid.ts";
import type { CertificateSigner } from "./signer.ts";
import { readSpki, subjectKeyId } from "./spki.ts";
import { contextConstructed } from "./tags.ts";

/** A CA that signs leaves. */
export interface IssuingCa {
  readonly certificate: Der;
  /** Appended to the chains of issued leaves, the CA's own certificate first; empty for a self-signed CA. */
  readonly chain: readonly Der[];
  /** Milliseconds since the Unix epoch. */
  readonly notAfter: number;
  readonly signer: CertificateSigner;
}

/** The subject of a CA. Without `serialNumber` the certificate's serial is put there, in decimal. */
export interface CaSubject extends Name {
  readonly country: readonly string[];
  readonly organization: readonly string[];
  readonly commonName: string;
}

/** Validity and serial of a certificate to be issued. */
export interface IssueTerms {
  /** Milliseconds since the Unix epoch; written in whole seconds, rounded down. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch; written in whole seconds, rounded down. Cut to the CA's own end. */
  readonly notAfter: number;
  /** Big-endian, positive, at most 20 bytes when encoded; see `randomSerial`. */
  readonly serial: Uint8Array;
}

/** Longest common name (RFC 5280 appendix A, ub-common-name). */
const MAX_COMMON_NAME = 64;
/** One less than RFC 5280 4.1.2.2 allows, because a leading zero may be added. */
const MAX_SERIAL_BYTES = 19;
/** The last second that a certificate can express (RFC 5280 4.1.2.5). */
const LAST_TIME = Date.UTC(9999, 11, 31, 23, 59, 59);
/** What never changes is written once: extensions side by side, version 3 and the usual subject. */
const LEAF_EXTENSIONS: Uint8Array = Buffer.concat([
  keyUsage("digitalSignature", "keyEncipherment", "keyAgreement"),
  extKeyUsage(Oid.serverAuth, Oid.clientAuth),
  basicConstraints(false),
]);
const CA_EXTENSIONS: Uint8Array = Buffer.concat([keyUsage("keyCertSign", "cRLSign"), basicConstraints(true)]);
const VERSION_3 = tlv(contextConstructed(0), small(2));
const ENCODED_DEFAULT_SUBJECT = encodeName(DEFAULT_SUBJECT);
/** A SEQUENCE without content. */
const EMPTY_NAME_BYTES = 2;
const DNS_NAME = /^[\x21-\x7e]{1,253}$/;

/**
 * Issues a leaf: digitalSignature, keyEncipherment, keyAgreement; serverAuth and clientAuth; not a CA. The first DNS
 * name becomes the common name if it fits. Throws `INVALID_ARGUMENT`, or `UNTRUSTED` for a key that is not
 * allow-listed.
 */
export async function issueX509Svid(
  ca: IssuingCa,
  leaf: IssueTerms & {
    readonly spiffeId: SpiffeId;
    readonly spki: Uint8Array;
    readonly dnsNames?: readonly string[];
    /** C=US, O=SPIRE unless given. */
    readonly subject?: Name;
  },
): Promise<Der> {
  const dnsNames = leaf.dnsNames ?? [];
  if (pathOf(leaf.spiffeId) === "") throw refused("an X509-SVID needs an ID with a path (X509-SVID 3.1)");
  if (!dnsNames.every((name) => DNS_NAME.test(name))) throw refused("bad DNS name");
  const subject = encodeLeafSubject(leaf.subject, dnsNames[0]);
  // X509-SVID 3.1, RFC 5280 4.1.2.6: an empty subject makes the alternative names critical
  const names = subjectAltName(dnsNames, [leaf.spiffeId], subject.length === EMPTY_NAME_BYTES);
  return await issueBelow(ca, leaf, subject, [LEAF_EXTENSIONS, names]);
}

/** Issues a CA certificate below `ca`, for a downstream server's key. Throws as `issueX509Svid`. */
export async function issueCa(
  ca: IssuingCa,
  o: IssueTerms & { readonly spki: Uint8Array; readonly trustDomain: TrustDomain; readonly subject: CaSubject },
): Promise<Der> {
  return await issueBelow(ca, o, encodeCaSubject(o.subject, o.serial), caExtensions(o.trustDomain));
}

/** Makes a self-signed CA certificate: keyCertSign and cRLSign, no path length. Throws `INVALID_ARGUMENT`. */
export async function selfSignCa(
  o: IssueTerms & {
    readonly signer: CertificateSigner;
    readonly trustDomain: TrustDomain;
    readonly subject: CaSubject;
  },
): Promise<Der> {
  const name = encodeCaSubject(o.subject, o.serial);
  const spki = o.signer.publicKeySpki;
  const terms = { serial: o.serial, notBefore: o.notBefore, notAfter: o.notAfter };
  const issuer = { name, authorityKeyId: authorityKeyIdentifier(subjectKeyId(spki)), signer: o.signer };
  return await sign(issuer, { ...terms, spki, subject: name, extensions: caExtensions(o.trustDomain) });
}

/** A random serial number, 1 to 2^128 - 1, big-endian. */
export function randomSerial(random: Random): Uint8Array {
  for (;;) {
    const bytes = random.bytes(16);
    if (bytes.some((byte) => byte !== 0)) return bytes;
  }
}

interface Issuer {
  readonly name: Uint8Array;
  /** The extension that names the issuer's key. */
  readonly authorityKeyId: Uint8Array;
  readonly signer: CertificateSigner;
}

interface Contents extends IssueTerms {
  readonly spki: Uint8Array;
  readonly subject: Uint8Array;
  /** Without key identifiers, which are added. */
  readonly extensions: readonly Uint8Array[];
}

async function issueBelow(
  ca: IssuingCa,
  o: IssueTerms & { readonly spki: Uint8Array },
  subject: Uint8Array,
  extensions: readonly Uint8Array[],
): Promise<Der> {
  readSpki(o.spki);
  const parent = parentOf(ca.certificate);
  // a certificate whose issuer's key is not the one that signs would verify nowhere
  if (Buffer.compare(parent.spki, ca.signer.publicKeySpki) !== 0) {
    throw new AgentError("INTERNAL", "the CA certificate is not of the signing key");
  }
  const issuer = { name: parent.name, authorityKeyId: parent.authorityKeyId, signer: ca.signer };
  const notAfter = Math.min(o.notAfter, ca.notAfter, parent.notAfter);
  return await sign(issuer, { serial: o.serial, notBefore: o.notBefore, notAfter, spki: o.spki, subject, extensions });
}

/** What a CA certificate gives to those below it. */
interface Parent {
  readonly name: Uint8Array;
  readonly authorityKeyId: Uint8Array;
  readonly spki: Uint8Array;
  readonly notAfter: number;
}

/** Certificates are bytes that never change; reading the CA's again would take as long as writing the leaf. */
const PARENTS = new WeakMap<Der, Parent>();

function parentOf(certificate: Der): Parent {
  const known = PARENTS.get(certificate);
  if (known !== undefined) return known;
  const { subject, spki, subjectKeyId: keyId, notAfter } = parseCertificate(certificate);
  const authorityKeyId = authorityKeyIdentifier(keyId ?? subjectKeyId(spki));
  const parent = { name: subject.der, authorityKeyId, spki, notAfter };
  PARENTS.set(certificate, parent);
  return parent;
}

async function sign({ name, authorityKeyId, signer }: Issuer, o: Contents): Promise<Der> {
  if (!(o.notBefore >= 0 && o.notAfter <= LAST_TIME)) throw refused("the validity is outside of 1970 to 9999");
  if (!(o.notBefore < o.notAfter)) throw refused("the certificate would have expired before it is valid");
  if (o.serial.length > MAX_SERIAL_BYTES || !o.serial.some((byte) => byte !== 0)) throw refused("bad serial number");
  const extensions = [...o.extensions, subjectKeyIdentifier(subjectKeyId(o.spki)), authorityKeyId];
  const algorithm = encodeAlgorithm(signer.algorithm);
  const tbs = sequence(
    VERSION_3,
    unsigned(o.serial),
    algorithm,
    name,
    sequence(time(o.notBefore), time(o.notAfter)),
    o.subject,
    o.spki,
    tlv(contextConstructed(3), sequence(...extensions)),
  );
  return sequence(tbs, algorithm, bitString(await signer.sign(tbs))) as Der;
}

function caExtensions(trustDomain: TrustDomain): readonly Uint8Array[] {
  return [CA_EXTENSIONS, subjectAltName([], [trustDomainId(trustDomain)])];
}

function encodeLeafSubject(subject: Name | undefined, firstDnsName: string | undefined): Uint8Array {
  const commonName = firstDnsName !== undefined && firstDnsName.length <= MAX_COMMON_NAME ? firstDnsName : undefined;
  if (subject === undefined && commonName === undefined) return ENCODED_DEFAULT_SUBJECT;
  return encodeName({ ...(subject ?? DEFAULT_SUBJECT), ...(commonName !== undefined && { commonName }) });
}

function encodeCaSubject(subject: CaSubject, serial: Uint8Array): Uint8Array {
  const serialNumber = subject.serialNumber || BigInt(`0x${Buffer.from(serial).toString("hex") || "0"}`).toString();
  return encodeName({ ...subject, serialNumber });
}

function refused(what: string): AgentError {
  return new AgentError("INVALID_ARGUMENT", `cannot issue: ${what}`);
}
