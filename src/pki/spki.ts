/** SubjectPublicKeyInfo: an allow-list of keys, checked before OpenSSL sees them (RFC 5480, RFC 8017). */
import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import { malformed, reading } from "./der-error.ts";
import { DerReader } from "./der-reader.ts";
import { bitString, NULL, oid, sequence, unsigned } from "./der-writer.ts";
import { Oid } from "./oid.ts";
import { Tag } from "./tags.ts";

/** The curves that are accepted, by their JWK names. */
export type Curve = "P-256" | "P-384" | "P-521";

/** The numbers of a public key, big-endian. Coordinates have the curve's full length, RSA numbers no leading zero. */
export type PublicKeyNumbers =
  | { readonly kind: "ec"; readonly curve: Curve; readonly x: Uint8Array; readonly y: Uint8Array }
  | { readonly kind: "rsa"; readonly n: Uint8Array; readonly e: Uint8Array };

const CURVES: Readonly<Record<Curve, { readonly oid: string; readonly bytes: number }>> = {
  "P-256": { oid: Oid.secp256r1, bytes: 32 },
  "P-384": { oid: Oid.secp384r1, bytes: 48 },
  "P-521": { oid: Oid.secp521r1, bytes: 66 },
};

const MIN_RSA_BITS = 2048;
/** Larger moduli make verification slow enough to be an attack. */
const MAX_RSA_BITS = 8192;
const MAX_RSA_EXPONENT_BYTES = 4;
const MAX_SPKI_BYTES = 2048;
/** Node 24 imports PEM in half the time of DER, for which it throws and catches errors inside. */
const PEM_BEGIN = "-----BEGIN PUBLIC KEY-----\n";
const PEM_END = "\n-----END PUBLIC KEY-----\n";

/**
 * Reads a SubjectPublicKeyInfo. Throws `MALFORMED`, or `UNTRUSTED` for a key that is not allow-listed. That a point is
 * on its curve is only known after `publicKeyFromSpki`.
 */
export function readSpki(spki: Uint8Array): PublicKeyNumbers {
  return reading("public key", () => {
    const reader = DerReader.of(spki, MAX_SPKI_BYTES);
    const numbers = reader.sequence((outer) => {
      const readKey = outer.sequence(readKeyAlgorithm);
      return readKey(outer.bitString());
    });
    reader.end();
    return numbers;
  });
}

/** Encodes the numbers. */
export function encodeSpki(numbers: PublicKeyNumbers): Uint8Array {
  if (numbers.kind === "ec") {
    const { oid: curve } = CURVES[numbers.curve];
    const point = Buffer.concat([Uint8Array.of(4), numbers.x, numbers.y]);
    return sequence(sequence(oid(Oid.ecPublicKey), oid(curve)), bitString(point));
  }
  const key = sequence(unsigned(numbers.n), unsigned(numbers.e));
  return sequence(sequence(oid(Oid.rsaEncryption), NULL), bitString(key));
}

/** Length in bytes of a coordinate on the curve. */
export function coordinateBytes(curve: Curve): number {
  return CURVES[curve].bytes;
}

/** Strict: P-256, P-384, P-521 named curves, RSA of 2048 to 8192 bits. Throws `MALFORMED`, or `UNTRUSTED` for other keys. */
export function publicKeyFromSpki(spki: Uint8Array): KeyObject {
  readSpki(spki);
  try {
    return createPublicKey(`${PEM_BEGIN}${Buffer.from(spki).toString("base64")}${PEM_END}`);
  } catch (error) {
    throw new AgentError("UNTRUSTED", "public key: not a valid key", { cause: error });
  }
}

/** 20 bytes: SHA-1 of the public key bit string (RFC 5280 4.2.1.2, method 1). Any kind of key. Throws `MALFORMED`. */
export function subjectKeyId(spki: Uint8Array): Uint8Array {
  const reader = DerReader.of(spki, MAX_SPKI_BYTES);
  const key = reader.sequence((outer) => {
    outer.whole(Tag.SEQUENCE);
    return outer.bitString();
  });
  reader.end();
  return new Uint8Array(createHash("sha1").update(key).digest());
}

/** Returns how to read the key bits that belong to the algorithm. */
function readKeyAlgorithm(algorithm: DerReader): (key: Uint8Array) => PublicKeyNumbers {
  const type = algorithm.oid();
  if (type === Oid.rsaEncryption) {
    algorithm.null();
    return readRsa;
  }
  if (type !== Oid.ecPublicKey) throw untrusted(`algorithm ${type} is not accepted`);
  if (algorithm.peek() !== Tag.OID) throw untrusted("explicit curve parameters are not accepted (RFC 5480 2.1.1)");
  const curveOid = algorithm.oid();
  const curve = (Object.keys(CURVES) as Curve[]).find((name) => CURVES[name].oid === curveOid);
  if (curve === undefined) throw untrusted(`curve ${curveOid} is not accepted`);
  return (key) => readPoint(curve, key);
}

/** An uncompressed point; a compressed one would be a second encoding of the same key. */
function readPoint(curve: Curve, key: Uint8Array): PublicKeyNumbers {
  const { bytes } = CURVES[curve];
  if (key[0] !== 4 || key.length !== 1 + 2 * bytes) throw malformed("not an uncompressed point of the curve");
  return { kind: "ec", curve, x: key.subarray(1, 1 + bytes), y: key.subarray(1 + bytes) };
}

function readRsa(key: Uint8Array): PublicKeyNumbers {
  const reader = DerReader.of(key, MAX_SPKI_BYTES);
  const numbers = reader.sequence((inner) => ({ n: inner.unsigned(), e: inner.unsigned() }));
  reader.end();
  const { n, e } = numbers;
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) throw untrusted(`RSA key of ${bits} bits is not accepted`);
  if (((n.at(-1) ?? 0) & 1) === 0) throw untrusted("RSA modulus is even");
  const isOdd = ((e.at(-1) ?? 0) & 1) === 1;
  const isOne = e.length === 1 && e[0] === 1;
  if (e.length > MAX_RSA_EXPONENT_BYTES || !isOdd || isOne) throw untrusted("RSA exponent is not accepted");
  return { kind: "rsa", n, e };
}

function untrusted(what: string): AgentError {
  return new AgentError("UNTRUSTED", what);
}
