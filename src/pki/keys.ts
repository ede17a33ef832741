/** Key pairs and their encodings. */
import { createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { encodeJwk } from "./jwk.ts";

export { publicKeyFromSpki, subjectKeyId } from "./spki.ts";

/** The kinds of keys that Holdfast makes, named as SPIRE's configuration names them. */
export type KeyType = "ec-p256" | "ec-p384" | "rsa-2048" | "rsa-4096";

const generate = promisify(generateKeyPair);

/** Makes a private key, on the libuv pool. */
export async function generateKey(type: KeyType): Promise<KeyObject> {
  switch (type) {
    case "ec-p256":
      return (await generate("ec", { namedCurve: "P-256" })).privateKey;
    case "ec-p384":
      return (await generate("ec", { namedCurve: "P-384" })).privateKey;
    case "rsa-2048":
      return (await generate("rsa", { modulusLength: 2048 })).privateKey;
    case "rsa-4096":
      return (await generate("rsa", { modulusLength: 4096 })).privateKey;
  }
}

/**
 * SubjectPublicKeyInfo DER of a private or public key. Keys of the kinds that we accept go through their JWK members,
 * which takes half the time of OpenSSL's encoder and gives the same bytes.
 */
export function spkiOf(key: KeyObject): Uint8Array {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  const kind = publicKey.asymmetricKeyType;
  const spki = kind === "ec" || kind === "rsa" ? encodeJwk({ ...publicKey.export({ format: "jwk" }) }) : undefined;
  return spki ?? new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
}

/** PKCS#8 DER of a private key. */
export function pkcs8Of(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
}
