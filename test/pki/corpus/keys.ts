/** The corpus's keys: made once, and shared by all chains, because no verdict depends on their bytes. */
import { createECDH, createHash, createPrivateKey, generateKeyPairSync } from "node:crypto";
import { bitString, NULL, oid, sequence, unsigned } from "../../../src/pki/der-writer.ts";
import { Oid } from "../../../src/pki/oid.ts";
import { algorithms, rsaKey, type TestAlgorithm, type TestKey, testKey } from "../make.ts";
import type { Choices } from "./random.ts";

const CURVES = {
  "P-256": { name: "prime256v1", bytes: 32, algorithm: algorithms.ecdsaSha256 },
  "P-384": { name: "secp384r1", bytes: 48, algorithm: algorithms.ecdsaSha384 },
} as const;

/** A key that follows from the label alone. */
function derivedKey(crv: keyof typeof CURVES, label: string): TestKey {
  const { name, bytes, algorithm } = CURVES[crv];
  const ecdh = createECDH(name);
  const d = createHash("sha512").update(`corpus ${crv} ${label}`).digest().subarray(0, bytes);
  d[0]! &= 0x7f; // below the order of the curve
  ecdh.setPrivateKey(d);
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  const jwk = { kty: "EC", crv, d: text(d), x: text(x), y: text(y) };
  return testKey(createPrivateKey({ key: jwk, format: "jwk" }), algorithm);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

const many = (n: number, make: (i: number) => TestKey): TestKey[] => Array.from({ length: n }, (_, i) => make(i));

/** RSA keys come from the system's randomness; that they differ in each run changes no verdict. */
const POOLS = {
  p256: many(24, (i) => derivedKey("P-256", `${i}`)),
  p384: many(24, (i) => derivedKey("P-384", `${i}`)),
  rsa: many(6, () => rsaKey(2048)),
};
const MIXED: readonly TestKey[] = Object.values(POOLS).flatMap((pool) => pool.slice(0, 6));

/** Draws keys for one chain, no two alike; RSA chains go on with P-256 when RSA keys run out. */
export function keyDrawer(choices: Choices): () => TestKey {
  const kind = choices.pick(["p256", "p256", "p384", "rsa", "mixed"] as const);
  const first = choices.shuffled(kind === "mixed" ? MIXED : POOLS[kind]);
  const drawn = [...first, ...POOLS.p256.filter((key) => !first.includes(key))];
  let next = 0;
  return () => {
    const key = drawn[next++];
    if (key === undefined) throw new Error("out of keys");
    return key;
  };
}

export function isRsa(key: TestKey): boolean {
  return key.privateKey.asymmetricKeyType === "rsa";
}

/** Keys that are no good, for a CA or a leaf. */
export const BAD_KEYS: Readonly<Record<string, TestKey>> = {
  "RSA of 1024 bits": rsaKey(1024),
  "curve secp256k1": ecKeyOn("secp256k1"),
  "curve P-224": ecKeyOn("secp224r1"),
  Ed25519: testKey(generateKeyPairSync("ed25519").privateKey, algorithms.ed25519),
  "explicit curve": testKey(
    generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }).privateKey,
    algorithms.ecdsaSha256,
  ),
};

function ecKeyOn(namedCurve: string): TestKey {
  return testKey(generateKeyPairSync("ec", { namedCurve }).privateKey, algorithms.ecdsaSha256);
}

/** SubjectPublicKeyInfos for leaves, which nobody has the keys of. */
export const BAD_SPKIS: Readonly<Record<string, Uint8Array>> = {
  "RSA of 8200 bits": rsaSpki(1025, [1, 0, 1]),
  "RSA exponent 1": rsaSpki(256, [1]),
  "RSA exponent even": rsaSpki(256, [2]),
  "RSA exponent huge": rsaSpki(256, [1, 1, 1, 1, 1]),
  "compressed point": ecSpki(compressed(POOLS.p256[0]!.spki)),
  "point off the curve": ecSpki(Uint8Array.from([4, ...new Uint8Array(64).fill(1)])),
};

function compressed(spki: Uint8Array): Uint8Array {
  const point = spki.subarray(-65);
  return Uint8Array.from([2 + (point[64]! & 1), ...point.subarray(1, 33)]);
}

function ecSpki(point: Uint8Array): Uint8Array {
  return sequence(sequence(oid(Oid.ecPublicKey), oid(Oid.secp256r1)), bitString(point));
}

function rsaSpki(bytes: number, exponent: number[]): Uint8Array {
  const key = sequence(unsigned(new Uint8Array(bytes).fill(0xff)), unsigned(Uint8Array.from(exponent)));
  return sequence(sequence(oid(Oid.rsaEncryption), NULL), bitString(key));
}

/** Another good algorithm of the key's kind. */
export function otherAlgorithm(key: TestKey, choices: Choices): TestAlgorithm {
  return isRsa(key)
    ? choices.pick([algorithms.rsaSha512, algorithms.rsaPss256, algorithms.rsaPss512])
    : choices.pick([algorithms.ecdsaSha256, algorithms.ecdsaSha384, algorithms.ecdsaSha512]);
}
