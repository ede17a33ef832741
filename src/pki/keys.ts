/** Key pairs and their encodings. */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";

/** The kinds of keys that Holdfast makes, named as SPIRE's configuration names them. */
export type KeyType = "ec-p256" | "ec-p384" | "rsa-2048" | "rsa-4096";

/** Makes a private key, on the libuv pool. */
export function generateKey(_type: KeyType): Promise<KeyObject> {
  throw new AgentError("INTERNAL", "not built yet");
}

/** SubjectPublicKeyInfo DER of a private or public key. */
export function spkiOf(_key: KeyObject): Uint8Array {
  throw new AgentError("INTERNAL", "not built yet");
}

/** PKCS#8 DER of a private key. */
export function pkcs8Of(_key: KeyObject): Uint8Array {
  throw new AgentError("INTERNAL", "not built yet");
}

/** 20 bytes: SHA-1 of the public key bit string (RFC 5280 4.2.1.2, method 1). Throws `MALFORMED`. */
export function subjectKeyId(_spki: Uint8Array): Uint8Array {
  throw new AgentError("INTERNAL", "not built yet");
}

/** Strict: P-256, P-384, P-521 named curves, RSA of 2048 to 8192 bits. Throws `MALFORMED`, or `UNTRUSTED` for other keys. */
export function publicKeyFromSpki(_spki: Uint8Array): KeyObject {
  throw new AgentError("INTERNAL", "not built yet");
}
