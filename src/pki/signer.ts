/**
 * Signing and verifying. P-256 is done on the event loop: a signature takes some 30 µs and a check 70, of which the
 * libuv pool's wake-ups would be half again. Slower keys, and above all RSA, go to the pool.
 */
import { type KeyObject, sign, verify } from "node:crypto";
import { fitsKey, hashOf, keyInput, type SignatureAlgorithm, type SigningAlgorithm } from "./algorithms.ts";
import { spkiOf } from "./keys.ts";
import { readSpki } from "./spki.ts";

/** Something that signs certificates: a key in memory, or in hardware. */
export interface CertificateSigner {
  readonly publicKeySpki: Uint8Array;
  readonly algorithm: SigningAlgorithm;
  /** Signs `tbs`; hashes it itself. */
  sign(tbs: Uint8Array): Promise<Uint8Array>;
}

/** A signer over a private key: ECDSA with the curve's hash, or RSA PKCS#1 with SHA-256. Throws `UNTRUSTED` for other keys. */
export function signerFor(privateKey: KeyObject): CertificateSigner {
  const publicKeySpki = spkiOf(privateKey);
  const algorithm = algorithmFor(publicKeySpki);
  const hash = hashOf(algorithm);
  const input = keyInput(algorithm, privateKey);
  return {
    publicKeySpki,
    algorithm,
    sign: isQuickKey(publicKeySpki)
      ? async (tbs) => sign(hash, tbs, input)
      : (tbs) =>
          new Promise((resolve, reject) => {
            sign(hash, tbs, input, (error, signature) => {
              if (error) reject(error);
              else resolve(signature);
            });
          }),
  };
}

/** Something signed: bytes, algorithm and signature. */
export interface SignedBytes {
  readonly bytes: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/** Whether the signature is the key's, found on the libuv pool. Throws nothing for bad signatures. */
export function verifySignature(signed: SignedBytes, key: KeyObject): Promise<boolean> {
  if (!fitsKey(signed.algorithm, key)) return Promise.resolve(false);
  return new Promise((resolve) => {
    verify(
      hashOf(signed.algorithm),
      signed.bytes,
      keyInput(signed.algorithm, key),
      signed.signature,
      (error, isValid) => resolve(error === null && isValid),
    );
  });
}

/** As `verifySignature`, at once. */
export function verifySignatureSync(signed: SignedBytes, key: KeyObject): boolean {
  if (!fitsKey(signed.algorithm, key)) return false;
  return verify(hashOf(signed.algorithm), signed.bytes, keyInput(signed.algorithm, key), signed.signature);
}

/** Whether a key's signatures are made and checked so fast that they are no work for the pool. Throws as `readSpki`. */
export function isQuickKey(spki: Uint8Array): boolean {
  const key = readSpki(spki);
  return key.kind === "ec" && key.curve === "P-256";
}

function algorithmFor(spki: Uint8Array): SigningAlgorithm {
  const key = readSpki(spki);
  if (key.kind === "rsa") return "rsa-sha256";
  switch (key.curve) {
    case "P-256":
      return "ecdsa-sha256";
    case "P-384":
      return "ecdsa-sha384";
    case "P-521":
      return "ecdsa-sha512";
  }
}
