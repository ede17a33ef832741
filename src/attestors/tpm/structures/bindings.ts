/** What both halves compute alike: the name of an endorsement key, and what a quote is bound to. */
import { createHash } from "node:crypto";

/** Lower-case hex of SHA-256 over an endorsement key's SubjectPublicKeyInfo: the last part of its agent's ID. */
export function ekHash(spki: Uint8Array): string {
  return createHash("sha256").update(spki).digest("hex");
}

/** A quote covers who asks: SHA-256 of the server's nonce and the SubjectPublicKeyInfo of the CSR. */
export function quoteBinding(nonce: Uint8Array, spki: Uint8Array): Uint8Array {
  return createHash("sha256").update(nonce).update(spki).digest();
}
