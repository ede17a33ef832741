/** Keys: our encodings against OpenSSL's, and what is not accepted. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { bitString, NULL, oid, sequence, tlv, unsigned } from "../../src/pki/der-writer.ts";
import { jwkFromSpki, spkiFromJwk } from "../../src/pki/jwk.ts";
import { generateKey, pkcs8Of, publicKeyFromSpki, spkiOf, subjectKeyId } from "../../src/pki/keys.ts";
import { signerFor, verifySignature, verifySignatureSync } from "../../src/pki/signer.ts";

const openssl = (key: KeyObject): Buffer => createPublicKey(key).export({ format: "der", type: "spki" });

describe.each([
  ["ec-p256", "prime256v1", "ecdsa-sha256"],
  ["ec-p384", "secp384r1", "ecdsa-sha384"],
  ["rsa-2048", 2048, "rsa-sha256"],
] as const)("%s", (type, kind, algorithm) => {
  test("generates, encodes as OpenSSL does, and signs", async () => {
    const key = await generateKey(type);
    expect(key.type).toBe("private");
    expect(key.asymmetricKeyDetails).toMatchObject(
      typeof kind === "string" ? { namedCurve: kind } : { modulusLength: kind },
    );
    const spki = spkiOf(key);
    expect(spki).toEqual(new Uint8Array(openssl(key)));
    expect(spkiOf(createPublicKey(key))).toEqual(spki);
    expect(createPrivateKey({ key: Buffer.from(pkcs8Of(key)), format: "der", type: "pkcs8" }).equals(key)).toBe(true);
    const signer = signerFor(key);
    expect(signer.algorithm).toBe(algorithm);
    const bytes = Buffer.from("to be signed");
    const signed = { bytes, algorithm, signature: await signer.sign(bytes) };
    expect(await verifySignature(signed, publicKeyFromSpki(spki))).toBe(true);
    expect(verifySignatureSync(signed, publicKeyFromSpki(spki))).toBe(true);
    const other = { ...signed, bytes: Buffer.from("something else") };
    expect(await verifySignature(other, publicKeyFromSpki(spki))).toBe(false);
    expect(verifySignatureSync(other, publicKeyFromSpki(spki))).toBe(false);
  });
});

test("many keys: the encoding from templates never differs from OpenSSL's", () => {
  // coordinates with leading zeros come once in 256 keys
  for (let i = 0; i < 600; i++) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    expect(Buffer.compare(spkiOf(privateKey), openssl(privateKey))).toBe(0);
  }
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-521" });
  expect(Buffer.compare(spkiOf(privateKey), openssl(privateKey))).toBe(0);
  expect(signerFor(privateKey).algorithm).toBe("ecdsa-sha512");
});

test("the key ID is SHA-1 over the bit string", () => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = spkiOf(publicKey);
  // 26 bytes of algorithm, 65 of point
  expect(Buffer.from(subjectKeyId(spki))).toEqual(createHash("sha1").update(spki.subarray(-65)).digest());
});

test.each(["P-256", "P-384", "P-521", "rsa"])("JWK of %s and back", (kind) => {
  const { publicKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: kind });
  const jwk = jwkFromSpki(spkiOf(publicKey));
  expect(jwk).toEqual(publicKey.export({ format: "jwk" }));
  expect(spkiFromJwk({ ...jwk })).toEqual(spkiOf(publicKey));
});

describe("not accepted", () => {
  const spki = (key: KeyObject) => new Uint8Array(openssl(key));
  const p256 = oid("1.2.840.10045.3.1.7");
  const ec = oid("1.2.840.10045.2.1");
  const rsaSpki = (n: Uint8Array) =>
    sequence(
      sequence(oid("1.2.840.113549.1.1.1"), NULL),
      bitString(sequence(unsigned(n), unsigned(Uint8Array.of(1, 0, 1)))),
    );
  const point = Uint8Array.from([4, ...new Uint8Array(64).fill(1)]);
  test.each([
    ["Ed25519", () => spki(generateKeyPairSync("ed25519").privateKey), "UNTRUSTED"],
    ["RSA-PSS key", () => spki(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey), "UNTRUSTED"],
    ["RSA of 1024 bits", () => spki(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey), "UNTRUSTED"],
    ["RSA of 2047 bits", () => spki(generateKeyPairSync("rsa", { modulusLength: 2047 }).privateKey), "UNTRUSTED"],
    ["RSA with an even modulus", () => rsaSpki(new Uint8Array(256).fill(0xfe)), "UNTRUSTED"],
    ["secp256k1", () => spki(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey), "UNTRUSTED"],
    ["point off its curve", () => sequence(sequence(ec, p256), bitString(point)), "UNTRUSTED"],
    ["point of the wrong length", () => sequence(sequence(ec, p256), bitString(point.subarray(1))), "MALFORMED"],
    ["parameters after the curve", () => sequence(sequence(ec, p256, tlv(5)), bitString(point)), "MALFORMED"],
    ["no parameters", () => sequence(sequence(ec), bitString(point)), "UNTRUSTED"],
    ["bytes after the key", () => sequence(sequence(ec, p256), bitString(point), tlv(5)), "MALFORMED"],
    ["nothing", () => new Uint8Array(0), "MALFORMED"],
  ])("%s", (_name, make, code) => {
    expect(() => publicKeyFromSpki(make())).toThrow(expect.objectContaining({ code }));
  });

  test("the message names the algorithm", () => {
    const ed25519 = spki(generateKeyPairSync("ed25519").privateKey);
    expect(() => publicKeyFromSpki(ed25519)).toThrow("public key: algorithm 1.3.101.112 is not accepted");
  });

  test("algorithm of another kind than the key", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const bytes = Buffer.from("x");
    const signed = { bytes, algorithm: "rsa-sha256" as const, signature: await signerFor(privateKey).sign(bytes) };
    expect(await verifySignature(signed, publicKey)).toBe(false);
    expect(verifySignatureSync(signed, publicKey)).toBe(false);
  });

  test("a signer over a key that nobody would accept", () => {
    expect(() => signerFor(generateKeyPairSync("ed25519").privateKey)).toThrow(
      expect.objectContaining({ code: "UNTRUSTED" }),
    );
  });
});
