/** Certificate requests (PKCS#10, RFC 2986). */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { SignatureAlgorithm } from "./algorithms.ts";
import type { DistinguishedName, Name } from "./name.ts";

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
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/** Makes a request signed by `privateKey`. The subject is C=US, O=SPIRE unless given. */
export function createCsr(_o: {
  privateKey: KeyObject;
  spiffeId?: SpiffeId;
  dnsNames?: readonly string[];
  subject?: Name;
}): Promise<Uint8Array> {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Reads a request strictly. Throws `MALFORMED`, or `UNTRUSTED` for an algorithm that is not allow-listed. */
export function parseCsr(_der: Uint8Array): CertificateRequest {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Checks the self-signature, on the libuv pool. Throws `UNTRUSTED`. */
export function verifyCsr(_csr: CertificateRequest): Promise<void> {
  throw new AgentError("INTERNAL", "not built yet");
}
