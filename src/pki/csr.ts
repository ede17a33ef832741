/**
 * Certificate requests (PKCS#10, RFC 2986). An issuer takes the key from a request and checks the rest against what it
 * knows; it never copies a request into a certificate.
 */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import { encodeAlgorithm, readAlgorithm, type SignatureAlgorithm } from "./algorithms.ts";
import { malformed, reading } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import { bitString, oid, sequence, setOf, small, tlv } from "./der-writer.ts";
import { subjectAltName } from "./extension-writer.ts";
import { interpretExtensions, readExtensions } from "./extensions.ts";
import { type DistinguishedName, encodeName, type Name, readName } from "./name.ts";
import { Oid } from "./oid.ts";
import { isQuickKey, signerFor, verifySignature, verifySignatureSync } from "./signer.ts";
import { publicKeyFromSpki } from "./spki.ts";
import { contextConstructed, Tag } from "./tags.ts";

/** A parsed request. Its signature is not checked until `verifyCsr`. */
export interface CertificateRequest {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly info: Uint8Array;
  readonly subject: DistinguishedName;
  readonly spki: Uint8Array;
  /** Imported on first use; throws `UNTRUSTED` for a key that is not allow-listed. */
  readonly publicKey: KeyObject;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** `undefined` when not allow-listed; `verifyCsr` then refuses. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signature: Uint8Array;
}

/** The subject of requests and X509-SVIDs, as SPIRE has it. */
export const DEFAULT_SUBJECT: Name = { country: ["US"], organization: ["SPIRE"] };

/** Longest request that is read, in bytes. */
const MAX_CSR_BYTES = 65_536;
const MAX_ATTRIBUTES = 16;

/** Makes a request signed by `privateKey`. The subject is C=US, O=SPIRE unless given. */
export async function createCsr(o: {
  readonly privateKey: KeyObject;
  readonly spiffeId?: SpiffeId;
  readonly dnsNames?: readonly string[];
  readonly subject?: Name;
}): Promise<Uint8Array> {
  const signer = signerFor(o.privateKey);
  const dnsNames = o.dnsNames ?? [];
  const uris = o.spiffeId === undefined ? [] : [o.spiffeId];
  const attributes =
    dnsNames.length + uris.length === 0
      ? []
      : [sequence(oid(Oid.extensionRequest), setOf(sequence(subjectAltName(dnsNames, uris))))];
  const info = sequence(
    small(0),
    encodeName(o.subject ?? DEFAULT_SUBJECT),
    signer.publicKeySpki,
    tlv(contextConstructed(0), ...attributes),
  );
  return sequence(info, encodeAlgorithm(signer.algorithm), bitString(await signer.sign(info)));
}

/** Reads a request strictly; no byte may follow it. Throws `MALFORMED`. */
export function parseCsr(der: Uint8Array): CertificateRequest {
  return reading("certificate request", () => {
    const reader = DerReader.of(der, MAX_CSR_BYTES);
    const csr = reader.sequence((outer) => {
      const info = outer.whole(Tag.SEQUENCE);
      const signatureAlgorithm = readAlgorithm(outer);
      const signature = outer.bitString();
      return { der, info, signatureAlgorithm, signature, ...readInfo(info) };
    });
    reader.end();
    let publicKey: KeyObject | undefined;
    return {
      ...csr,
      get publicKey() {
        publicKey ??= publicKeyFromSpki(csr.spki);
        return publicKey;
      },
    };
  });
}

/** Checks the self-signature: at once for P-256, else on the libuv pool. Throws `UNTRUSTED`. */
export async function verifyCsr(csr: CertificateRequest): Promise<void> {
  const { info: bytes, signatureAlgorithm: algorithm, signature } = csr;
  if (algorithm === undefined)
    throw new AgentError("UNTRUSTED", "certificate request: signature algorithm not accepted");
  const signed = { bytes, algorithm, signature };
  const key = csr.publicKey;
  const isValid = isQuickKey(csr.spki) ? verifySignatureSync(signed, key) : await verifySignature(signed, key);
  if (!isValid) {
    throw new AgentError("UNTRUSTED", "certificate request: the signature is not by the key in it");
  }
}

/** CertificationRequestInfo (RFC 2986 4.1). */
function readInfo(info: Uint8Array): Pick<CertificateRequest, "subject" | "spki" | "uriSans" | "dnsSans"> {
  return DerReader.of(info, MAX_CSR_BYTES).sequence((inner) => {
    inner.small(0);
    const subject = readName(inner);
    const spki = inner.whole(Tag.SEQUENCE);
    const requested = inner
      .listOf(contextConstructed(0), MAX_ATTRIBUTES, readAttribute)
      .filter((set) => set !== undefined);
    if (requested.length > 1) throw malformed("more than one extension request");
    return { subject, spki, ...interpretExtensions(requested[0] ?? []) };
  });
}

/** The extensions of an extension request (RFC 2985 5.4.2); other attributes are read over. */
function readAttribute(list: DerReader): ReturnType<typeof readExtensions> | undefined {
  return list.sequence((attribute) => {
    if (attribute.oid() === Oid.extensionRequest) return attribute.inside(Tag.SET, readExtensions);
    attribute.listOf(Tag.SET, MAX_ATTRIBUTES, (values) => values.any());
    return undefined;
  });
}
