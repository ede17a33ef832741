/** Reads X.509 certificates strictly (RFC 5280 section 4). */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { Der } from "../spiffe/svid.ts";
import type { SignatureAlgorithm } from "./algorithms.ts";
import type { Extensions } from "./extensions.ts";
import type { DistinguishedName } from "./name.ts";

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

/** Reads one certificate; no byte may follow it. Throws `MALFORMED`. */
export function parseCertificate(_der: Uint8Array): Certificate {
  throw new AgentError("INTERNAL", "not built yet");
}

/** The SPIFFE ID: exactly one URI SAN, and it parses. Throws `UNTRUSTED`. */
export function spiffeIdOf(_certificate: Certificate): SpiffeId {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Splits concatenated certificates without reading them. Throws `MALFORMED`. */
export function splitCertificates(_der: Uint8Array): Der[] {
  throw new AgentError("INTERNAL", "not built yet");
}
