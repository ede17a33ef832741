/** Signing with a private key, off the event loop. */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import type { SignatureAlgorithm } from "./algorithms.ts";

/** Something that signs certificates: a key in memory, or in hardware. */
export interface CertificateSigner {
  readonly publicKeySpki: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  /** Signs `tbs`; hashes it itself. */
  sign(tbs: Uint8Array): Promise<Uint8Array>;
}

/** A signer over a private key: ECDSA with the curve's hash, or RSA PKCS#1 with SHA-256. Throws `INVALID_ARGUMENT`. */
export function signerFor(_privateKey: KeyObject): CertificateSigner {
  throw new AgentError("INTERNAL", "not built yet");
}
