/** Keys that are the same in every run, so that a saved input means the same later. Made from counters; they protect nothing. */
import {
  checkPrimeSync,
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
} from "node:crypto";

/** A key that signs as a TPM's attestation key does, the same bytes each time. */
export interface SigningKey {
  readonly kind: "rsassa" | "ecdsa";
  readonly hash: "sha256" | "sha384";
  readonly publicKey: KeyObject;
  /** RSA: the modulus. */
  readonly n: Uint8Array;
  /** EC: the point. */
  readonly x: Uint8Array;
  readonly y: Uint8Array;
  /** The parts of a signature: one number for RSA, two for EC. */
  readonly sign: (message: Uint8Array) => readonly Uint8Array[];
}

const CURVES = {
  "P-256": {
    openssl: "prime256v1",
    bytes: 32,
    hash: "sha256",
    order: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
  },
  "P-384": {
    openssl: "secp384r1",
    bytes: 48,
    hash: "sha384",
    order: "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
  },
} as const;
const NONE = new Uint8Array();

/** An elliptic curve key; `label` decides which. */
export function ecKey(curve: keyof typeof CURVES, label: string): SigningKey {
  const { openssl, bytes, hash, order } = CURVES[curve];
  const n = big(Buffer.from(order, "hex"));
  const scalar = (text: string): bigint => (big(stretch(text, bytes)) % (n - 1n)) + 1n;
  const multiple = (k: bigint): Uint8Array => {
    const ecdh = createECDH(openssl);
    ecdh.setPrivateKey(octets(k, bytes));
    return ecdh.getPublicKey().subarray(1);
  };
  const d = scalar(label);
  const point = multiple(d);
  const [x, y] = [point.subarray(0, bytes), point.subarray(bytes)];
  const publicKey = createPublicKey({ key: { kty: "EC", crv: curve, x: url(x), y: url(y) }, format: "jwk" });
  return {
    kind: "ecdsa",
    hash,
    publicKey,
    n: NONE,
    x,
    y,
    sign: (message) => {
      const digest = createHash(hash).update(message).digest();
      const k = scalar(`${label} ${digest.toString("hex")}`);
      const r = big(multiple(k).subarray(0, bytes)) % n;
      const s = (inverse(k, n) * ((big(digest) + r * d) % n)) % n;
      return [octets(r, bytes), octets(s, bytes)];
    },
  };
}

/** The RSA key of 2048 bits. */
export function rsaKey(): SigningKey {
  const e = 65_537n;
  // Labels with a prime at once, found by trial: others need hundreds of steps.
  const [p, q] = [prime("RSA 25 p", e), prime("RSA 1041 q", e)];
  const modulus = p * q;
  const d = inverse(e, (p - 1n) * (q - 1n));
  const part = (value: bigint): string => url(octets(value, Math.ceil(value.toString(16).length / 2)));
  const jwk = {
    kty: "RSA",
    n: part(modulus),
    e: part(e),
    d: part(d),
    p: part(p),
    q: part(q),
    dp: part(d % (p - 1n)),
    dq: part(d % (q - 1n)),
    qi: part(inverse(q, p)),
  };
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return {
    kind: "rsassa",
    hash: "sha256",
    publicKey: createPublicKey(key),
    n: octets(modulus, 256),
    x: NONE,
    y: NONE,
    sign: (message) => [sign("sha256", message, key)],
  };
}

/** A prime of 1024 bits, the highest two of them set. */
function prime(label: string, e: bigint): bigint {
  const start = big(stretch(label, 128)) | (3n << 1022n) | 1n;
  for (let candidate = start; ; candidate += 2n)
    if (candidate % e !== 1n && checkPrimeSync(candidate)) return candidate;
}

/** That many bytes of a hash of the label. */
function stretch(label: string, bytes: number): Uint8Array {
  return createHash("shake256", { outputLength: bytes }).update(label).digest();
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (b > 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return ((x % modulus) + modulus) % modulus;
}

function big(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function octets(value: bigint, bytes: number): Uint8Array {
  return Buffer.from(value.toString(16).padStart(bytes * 2, "0"), "hex");
}

function url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
