/** JWT-SVIDs signed by keys that the tests hold, and the bundles that they are judged by. */
import { constants, verify } from "node:crypto";
import type { KeyAuthority, TrustBundle } from "../../../src/spiffe/bundle.ts";
import { parseTrustDomain, type TrustDomain } from "../../../src/spiffe/id.ts";
import { ecKey, type SigningKey } from "./keys.ts";
import { NOW, spkiOf, TRUST_DOMAIN, WORKLOAD_ID, X509_KEYS } from "./x509.ts";

/** Who signs: two of one domain, one of another that has the key ID of the first, an RSA key, and nobody's. */
export const TOKEN_KEYS: readonly SigningKey[] = [
  ecKey("P-256", "jwt a"),
  ecKey("P-384", "jwt b"),
  ecKey("P-256", "jwt other"),
  X509_KEYS.rsa,
  ecKey("P-256", "jwt nobody"),
];

/** What tokens must be for. */
export const AUDIENCE = "https://api.example.org";
const OTHER_DOMAIN = "other.test";
const SECONDS = NOW / 1_000;

/** Keys by trust domain and key ID. */
export const AUTHORITIES: ReadonlyMap<string, ReadonlyMap<string, SigningKey>> = new Map([
  [
    TRUST_DOMAIN,
    new Map([
      ["a", key(0)],
      ["b", key(1)],
      ["r", key(3)],
    ]),
  ],
  [OTHER_DOMAIN, new Map([["a", key(2)]])],
]);

/** The same as bundles. */
export const BUNDLES: ReadonlyMap<TrustDomain, TrustBundle> = new Map(
  [...AUTHORITIES].map(([domain, keys]) => {
    const trustDomain = parseTrustDomain(domain);
    const jwtAuthorities = [...keys].map(
      ([keyId, one]): KeyAuthority => ({ keyId, publicKey: spkiOf(one), expiresAt: 0, tainted: false }),
    );
    const rest = { x509Authorities: [], witAuthorities: [], refreshHint: 0, sequence: 1n };
    return [trustDomain, { trustDomain, jwtAuthorities, ...rest }];
  }),
);

/** Header, claims and the key that signs them. */
export interface TokenSeed {
  readonly header: Uint8Array;
  readonly claims: Uint8Array;
  readonly signature: Uint8Array;
  /** Index into `TOKEN_KEYS`. */
  readonly key: number;
}

const claims = { sub: WORKLOAD_ID, aud: [AUDIENCE], exp: SECONDS + 300, iat: SECONDS - 1 };

/** Valid tokens. */
export const TOKEN_SEEDS: readonly TokenSeed[] = [
  seed(0, { alg: "ES256", kid: "a", typ: "JWT" }, claims),
  seed(
    0,
    { typ: "JOSE", kid: "a", alg: "ES256" },
    { ...claims, aud: AUDIENCE, nbf: SECONDS, jti: "x", nested: { a: [1, null, "é"] } },
  ),
  seed(1, { alg: "ES384", kid: "b" }, { ...claims, aud: ["x", AUDIENCE], exp: SECONDS + 0.5 }),
  seed(2, { alg: "ES256", kid: "a" }, { ...claims, sub: `spiffe://${OTHER_DOMAIN}/a/b` }),
  seed(3, { alg: "RS256", kid: "r" }, claims),
];

/** Compact serialization. */
export function compact(header: Uint8Array, payload: Uint8Array, signature: Uint8Array): string {
  return [header, payload, signature].map((part) => Buffer.from(part).toString("base64url")).join(".");
}

/** A signature as JWS has it, by the key's own algorithm. */
export function tokenSignature(signer: SigningKey, header: Uint8Array, payload: Uint8Array): Uint8Array {
  const input = compact(header, payload, new Uint8Array()).slice(0, -1);
  return Buffer.concat(signer.sign(Buffer.from(input)));
}

/** Whether OpenSSL takes a token for signed by a key, with this algorithm of JWS and no other. */
export function isTokenSigned(token: string, algorithm: string, { kind, publicKey, hash }: SigningKey): boolean {
  const at = token.lastIndexOf(".");
  const [input, signature] = [Buffer.from(token.slice(0, at)), Buffer.from(token.slice(at + 1), "base64url")];
  const digest = `sha${algorithm.slice(2)}`;
  const check = (more: object): boolean => verify(digest, input, { key: publicKey, ...more }, signature);
  if (kind === "ecdsa") return algorithm.startsWith("ES") && digest === hash && check({ dsaEncoding: "ieee-p1363" });
  if (algorithm.startsWith("RS")) return check({ padding: constants.RSA_PKCS1_PADDING });
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return algorithm.startsWith("PS") && check(pss);
}

function key(index: number): SigningKey {
  const one = TOKEN_KEYS[index];
  if (one === undefined) throw new RangeError("no such key");
  return one;
}

function seed(index: number, header: object, payload: object): TokenSeed {
  const [head, body] = [header, payload].map((part) => Buffer.from(JSON.stringify(part))) as [Buffer, Buffer];
  return { header: head, claims: body, signature: tokenSignature(key(index), head, body), key: index };
}
