/** Makes JWT-SVIDs, good ones and every kind of bad one. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { spkiOf } from "../../src/pki/keys.ts";
import { emptyBundle, type KeyAuthority, type TrustBundle } from "../../src/spiffe/bundle.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";

/** Seconds: the moment at which the tokens of the tests are judged. */
export const NOW = 1_800_000_000;
export const SUBJECT = "spiffe://example.org/web";

/** A key with its ID, as a bundle holds it and as a signer has it. */
export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly authority: KeyAuthority;
}

const KINDS = {
  "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "P-384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "P-521": () => generateKeyPairSync("ec", { namedCurve: "P-521" }),
  rsa: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
};

/** A new key. */
export function makeKey(keyId: string, kind: keyof typeof KINDS = "P-256"): SigningKey {
  const { privateKey } = KINDS[kind]();
  return { keyId, privateKey, authority: { keyId, publicKey: spkiOf(privateKey), expiresAt: 0, tainted: false } };
}

/** A bundle with these keys for JWT-SVIDs. */
export function jwtBundle(trustDomain: string, ...keys: readonly SigningKey[]): TrustBundle {
  return { ...emptyBundle(parseTrustDomain(trustDomain)), jwtAuthorities: keys.map(({ authority }) => authority) };
}

/** A bundle with these keys for WIT-SVIDs. */
export function witBundle(trustDomain: string, ...keys: readonly SigningKey[]): TrustBundle {
  return { ...emptyBundle(parseTrustDomain(trustDomain)), witAuthorities: keys.map(({ authority }) => authority) };
}

/** Base64url of a text, or of an object as JSON. */
export function part(content: string | Uint8Array | object): string {
  const bytes = typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
  return Buffer.from(bytes as string).toString("base64url");
}

/** The claims of a good token. */
export function goodClaims(): Record<string, unknown> {
  return { sub: SUBJECT, aud: ["db"], exp: NOW + 300, iat: NOW };
}

/** A token of these two parts, signed with ECDSA and SHA-256 whatever its header says. */
export function signParts(head: string, body: string, key: KeyObject): string {
  const signature = sign("sha256", Buffer.from(`${head}.${body}`), { key, dsaEncoding: "ieee-p1363" });
  return `${head}.${body}.${signature.toString("base64url")}`;
}

/** A token with these claims. */
export function makeToken(key: SigningKey, claims: object = goodClaims(), header: object = {}): string {
  return signParts(part({ alg: "ES256", kid: key.keyId, typ: "JWT", ...header }), part(claims), key.privateKey);
}
