/** A TPM of plain node:crypto for tests: its keys, what it states about them, and what it opens. */
import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  sign,
} from "node:crypto";
import {
  AK_ATTRIBUTES,
  cat,
  ECDSA,
  encodePublic,
  HASH_ID,
  type Hash,
  NONE,
  NULL_ALG,
  type PublicFields,
  RSASSA,
  tpm2b,
  u16,
  u32,
} from "./structures.ts";

export type EkKind = "rsa-2048" | "ec-p256" | "ec-p384";
export type AkKind = "ec-p256" | "rsa-2048";
export const EK_KINDS: readonly EkKind[] = ["rsa-2048", "ec-p256", "ec-p384"];
export const AK_KINDS: readonly AkKind[] = ["ec-p256", "rsa-2048"];

/** A private key and its SubjectPublicKeyInfo. */
export interface SoftKey {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
}

export interface SoftEk extends SoftKey {
  readonly kind: EkKind;
}

export function softKey(privateKey: KeyObject): SoftKey {
  return { privateKey, spki: createPublicKey(privateKey).export({ type: "spki", format: "der" }) };
}

export function ecKey(namedCurve: string): SoftKey {
  return softKey(generateKeyPairSync("ec", { namedCurve }).privateKey);
}

export function rsaKey(modulusLength: number): SoftKey {
  return softKey(generateKeyPairSync("rsa", { modulusLength }).privateKey);
}

const pool = new Map<string, SoftKey>();

/** RSA keys take long to make: each is made once, by its name. */
export function rsaFromPool(name: string, modulusLength = 2048): SoftKey {
  const key = pool.get(name) ?? rsaKey(modulusLength);
  pool.set(name, key);
  return key;
}

/** An endorsement key; RSA ones of the same name are the same. */
export function softEk(kind: EkKind, name = "ek"): SoftEk {
  if (kind === "rsa-2048") return { kind, ...rsaFromPool(name) };
  return { kind, ...ecKey(kind === "ec-p256" ? "prime256v1" : "secp384r1") };
}

/** An attestation key: its public area can be spoiled, its signatures too. */
export interface SoftAk {
  readonly key: SoftKey;
  readonly fields: PublicFields;
}

/** What a TPM makes of `attestationKey` in `device/templates.ts`. */
export function softAk(kind: AkKind, key?: SoftKey): SoftAk {
  const common = { nameAlg: HASH_ID.sha256, attributes: AK_ATTRIBUTES, policy: NONE, symmetric: NULL_ALG };
  if (kind === "rsa-2048") {
    const rsa = key ?? rsaFromPool("ak");
    const { n } = rsa.privateKey.export({ format: "jwk" });
    const modulus = Buffer.from(n ?? "", "base64url");
    const parameters = cat(u16(modulus.length * 8), u32(0));
    const fields = { ...common, type: 1, scheme: scheme(RSASSA, "sha256"), parameters, unique: tpm2b(modulus) };
    return { key: rsa, fields };
  }
  const ec = key ?? ecKey("prime256v1");
  const parameters = cat(u16(CURVE_IDS[ec.privateKey.asymmetricKeyDetails?.namedCurve ?? ""] ?? 0), NULL_ALG);
  return { key: ec, fields: { ...common, type: 0x23, scheme: scheme(ECDSA, "sha256"), parameters, unique: point(ec) } };
}

const CURVE_IDS: Record<string, number> = { prime256v1: 3, secp384r1: 4, secp521r1: 5, secp256k1: 0x5000 };

/** TPMT_SIG_SCHEME. */
export function scheme(alg: number, hash: Hash): Buffer {
  return cat(u16(alg), u16(HASH_ID[hash]));
}

/** TPMS_ECC_POINT. */
export function point(key: SoftKey): Buffer {
  const { x, y } = key.privateKey.export({ format: "jwk" });
  return cat(...[x, y].map((text) => tpm2b(Buffer.from(text ?? "", "base64url"))));
}

/** The Name of an attestation key. */
export function akName({ fields }: SoftAk): Buffer {
  const alg = (Object.keys(HASH_ID) as Hash[]).find((name) => HASH_ID[name] === fields.nameAlg) ?? "sha256";
  return cat(u16(fields.nameAlg), createHash(alg).update(encodePublic(fields)).digest());
}

/** TPMT_SIGNATURE by a key, as its kind signs. */
export function tpmSignature(key: KeyObject, message: Uint8Array, hash: Hash = "sha256"): Buffer {
  if (key.asymmetricKeyType === "rsa") {
    return cat(scheme(RSASSA, hash), tpm2b(sign(hash, message, { key, padding: constants.RSA_PKCS1_PADDING })));
  }
  const raw = sign(hash, message, { key, dsaEncoding: "ieee-p1363" });
  return cat(scheme(ECDSA, hash), tpm2b(raw.subarray(0, raw.length / 2)), tpm2b(raw.subarray(raw.length / 2)));
}

/** A TPM refuses what was not encrypted for it, or is for another key. */
export class IntegrityError extends Error {}

/** TPM2_ActivateCredential (Part 1, 24): the inverse of `makeCredential`, from the standard and not from the code. */
export function activateCredential(
  ek: SoftEk,
  name: Uint8Array,
  credential: Uint8Array,
  secret: Uint8Array,
): Uint8Array {
  const hash = ek.kind === "ec-p384" ? "sha384" : "sha256";
  const aes = ek.kind === "ec-p384" ? 256 : 128;
  const seed = seedOf(ek, hash, unwrap(secret));
  // All keys fit into one block of the hash: counter 1.
  const derive = (label: string, context: Uint8Array, bits: number): Buffer => {
    const input = cat(u32(1), Buffer.from(`${label}\0`), context, u32(bits));
    return createHmac(hash, seed)
      .update(input)
      .digest()
      .subarray(0, bits / 8);
  };
  const idObject = unwrap(credential);
  const integrity = idObject.subarray(2, 2 + idObject.readUInt16BE(0));
  const encrypted = idObject.subarray(2 + integrity.length);
  const hmacKey = derive("INTEGRITY", NONE, hash === "sha384" ? 384 : 256);
  const expected = createHmac(hash, hmacKey).update(encrypted).update(name).digest();
  if (!expected.equals(integrity)) throw new IntegrityError("TPM_RC_INTEGRITY");
  const decipher = createDecipheriv(`aes-${aes}-cfb`, derive("STORAGE", name, aes), Buffer.alloc(16));
  return unwrap(cat(decipher.update(encrypted), decipher.final()));
}

/** What both sides share: sent with RSA-OAEP, or agreed on with an ephemeral point. */
function seedOf(ek: SoftEk, hash: Hash, secret: Buffer): Buffer {
  if (ek.kind === "rsa-2048") {
    const oaepLabel = Buffer.from("IDENTITY\0");
    const options = { key: ek.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256", oaepLabel };
    try {
      const seed = privateDecrypt(options, secret);
      if (seed.length === 16) return seed;
    } catch {}
    throw new IntegrityError("TPM_RC_VALUE");
  }
  const length = ek.kind === "ec-p256" ? 32 : 48;
  if (secret.length !== 2 * (2 + length)) throw new IntegrityError("TPM_RC_SIZE");
  const [x, y] = [secret.subarray(2, 2 + length), secret.subarray(4 + length)];
  const own = ek.privateKey.export({ format: "jwk" });
  const jwk = { kty: "EC", crv: own.crv ?? "", x: x.toString("base64url"), y: y.toString("base64url") };
  const publicKey = createPublicKey({ format: "jwk", key: jwk });
  const z = diffieHellman({ privateKey: ek.privateKey, publicKey });
  const ownX = Buffer.from(own.x ?? "", "base64url");
  return createHash(hash)
    .update(cat(u32(1), z, Buffer.from("IDENTITY\0"), x, ownX))
    .digest();
}

/** The content of a TPM2B. */
function unwrap(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(bytes);
  if (buffer.length < 2 || buffer.readUInt16BE(0) !== buffer.length - 2) throw new IntegrityError("TPM_RC_SIZE");
  return buffer.subarray(2);
}

/** The primes of ROCA (CVE-2017-15361) for short keys; those for longer ones begin with them. */
const ROCA_PRIMES = Array.from({ length: 165 }, (_, at) => at + 3).filter((n) =>
  [2, 3, 5, 7, 11].every((p) => n === p || n % p !== 0),
);

/** A modulus of 2048 bits as ROCA makes them: a power of 65537 modulo the product of the primes, and a multiple of it. */
export function rocaModulus(power = 1_234): Buffer {
  const product = ROCA_PRIMES.reduce((all, prime) => all * BigInt(prime), 1n);
  let rest = 1n;
  for (let count = 0; count < power; count++) rest = (rest * 65_537n) % product;
  // Odd, with the first of 2048 bits.
  let modulus = rest + ((3n << 2046n) / product) * product;
  if (modulus % 2n === 0n) modulus += product;
  return Buffer.from(modulus.toString(16), "hex");
}

/** An RSA key that is too short. */
export function weakRsaKey(): SoftKey {
  return rsaFromPool("weak", 1024);
}
