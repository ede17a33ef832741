/** Certificate requests as callers send them: only the key counts, and only if its owner signed the request. */
import { publicError } from "../../lib/errors.ts";
import { type CertificateRequest, parseCsr, verifyCsr } from "../../pki/csr.ts";
import { invalidInput, parseInput } from "./failure.ts";

/** How a service words its refusals. */
export interface CsrWords {
  readonly missing: string;
  readonly malformed: string;
  readonly badSignature: string;
}

/** Reads a request and checks its self-signature. Throws `INVALID_ARGUMENT`. */
export async function readCsr(der: Uint8Array, words: CsrWords): Promise<CertificateRequest> {
  if (der.length === 0) throw publicError("INVALID_ARGUMENT", words.missing);
  const csr = parseInput(words.malformed, () => parseCsr(der));
  try {
    await verifyCsr(csr);
  } catch (error) {
    throw invalidInput(words.badSignature, error);
  }
  return csr;
}
