/** Reads X.509 certificates strictly (RFC 5280 section 4). */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import { parseSpiffeId, type SpiffeId } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";
import { readAlgorithm, type SignatureAlgorithm } from "./algorithms.ts";
import { malformed, reading } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import { type Extensions, interpretExtensions, readExtensions } from "./extensions.ts";
import { type DistinguishedName, readName } from "./name.ts";
import { publicKeyFromSpki } from "./spki.ts";
import { contextConstructed, contextPrimitive, Tag } from "./tags.ts";

/** A parsed certificate. Nothing about it is trusted. */
export interface Certificate extends Extensions {
  readonly der: Der;
  /** The signed part. */
  readonly tbs: Uint8Array;
  /** 1 to 3. */
  readonly version: number;
  /** Decimal. */
  readonly serial: string;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Milliseconds since the Unix epoch; the first valid one. */
  readonly notBefore: number;
  /** Milliseconds since the Unix epoch; the last valid one. */
  readonly notAfter: number;
  readonly spki: Uint8Array;
  /** Imported on first use; throws `UNTRUSTED` for a key that is not allow-listed. */
  readonly publicKey: KeyObject;
  /** `undefined` when not allow-listed. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Uint8Array;
}

/** Longest certificate that is read, in bytes. */
export const MAX_CERTIFICATE_BYTES = 65_536;
/** Longest serial number, in bytes (RFC 5280 4.1.2.2). */
const MAX_SERIAL_BYTES = 20;
/** Longest concatenation that is split, and most certificates in it. */
const MAX_CONCATENATED_BYTES = 4 * 1024 * 1024;
const MAX_CONCATENATED = 1000;

/** Reads one certificate; no byte may follow it. Throws `MALFORMED`. */
export function parseCertificate(der: Uint8Array): Certificate {
  return reading("certificate", () => {
    const reader = DerReader.of(der, MAX_CERTIFICATE_BYTES);
    const certificate = reader.sequence((outer) => {
      const tbs = outer.whole(Tag.SEQUENCE);
      const algorithm = outer.whole(Tag.SEQUENCE);
      const signature = outer.bitString();
      return readTbs(tbs, { der: der as Der, tbs, algorithm, signature });
    });
    reader.end();
    return certificate;
  });
}

/** The SPIFFE ID: exactly one URI SAN, and it parses (X509-SVID 2). Throws `UNTRUSTED`. */
export function spiffeIdOf(certificate: Pick<Certificate, "uriSans">): SpiffeId {
  const [uri, ...others] = certificate.uriSans;
  if (uri === undefined || others.length > 0) {
    throw new AgentError("UNTRUSTED", `certificate has ${certificate.uriSans.length} URI SANs, want exactly one`);
  }
  try {
    return parseSpiffeId(uri);
  } catch (error) {
    throw new AgentError("UNTRUSTED", "the certificate's URI SAN is no SPIFFE ID", { cause: error });
  }
}

/** The certificate's ID, if it has one: an authority need not. */
export function ownSpiffeId(certificate: Pick<Certificate, "uriSans">): SpiffeId | undefined {
  try {
    return spiffeIdOf(certificate);
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

/** Splits concatenated certificates without reading them. Throws `MALFORMED`. */
export function splitCertificates(der: Uint8Array): Der[] {
  return reading("certificates", () => {
    const reader = DerReader.of(der, MAX_CONCATENATED_BYTES);
    const list: Der[] = [];
    while (!reader.done) {
      if (list.length >= MAX_CONCATENATED) throw malformed(`more than ${MAX_CONCATENATED} certificates`);
      list.push(reader.whole(Tag.SEQUENCE) as Der);
    }
    return list;
  });
}

/** The parts around the signed part. */
interface Envelope {
  readonly der: Der;
  readonly tbs: Uint8Array;
  /** The AlgorithmIdentifier outside of what is signed. */
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** TBSCertificate (RFC 5280 4.1.2). */
function readTbs(tbs: Uint8Array, { der, algorithm, signature }: Envelope): Certificate {
  const reader = DerReader.of(tbs, MAX_CERTIFICATE_BYTES);
  return reader.sequence((inner) => {
    // 4.1.2.1: v1 is the default
    const version = (inner.optional(contextConstructed(0), (explicit) => explicit.small(2)) ?? 0) + 1;
    const serial = readSerial(inner);
    const signed = inner.whole(Tag.SEQUENCE);
    if (Buffer.compare(signed, algorithm) !== 0) {
      throw malformed("inner and outer signature algorithm differ (RFC 5280 4.1.1.2)");
    }
    const signatureAlgorithm = readAlgorithm(DerReader.of(signed, MAX_CERTIFICATE_BYTES));
    const issuer = readName(inner);
    const [notBefore, notAfter] = inner.sequence((validity) => [validity.time(), validity.time()] as const);
    const subject = readName(inner);
    const spki = inner.whole(Tag.SEQUENCE);
    // 4.1.2.8: unique identifiers are obsolete, and not used
    if (inner.peek() === contextPrimitive(1)) inner.any();
    if (inner.peek() === contextPrimitive(2)) inner.any();
    const extensions = inner.optional(contextConstructed(3), readExtensions) ?? [];
    if (extensions.length > 0 && version !== 3) throw malformed("extensions need version 3 (RFC 5280 4.1.2.1)");
    let publicKey: KeyObject | undefined;
    return {
      der,
      tbs,
      version,
      serial,
      issuer,
      subject,
      notBefore,
      notAfter,
      spki,
      get publicKey() {
        publicKey ??= publicKeyFromSpki(spki);
        return publicKey;
      },
      signatureAlgorithm,
      signature,
      ...interpretExtensions(extensions),
    };
  });
}

/** 4.1.2.2: not negative, at most 20 bytes. Zero is let through, because old roots have it. */
function readSerial(reader: DerReader): string {
  const bytes = reader.unsigned();
  if (bytes.length > MAX_SERIAL_BYTES) throw malformed("serial number too long");
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`).toString();
}
