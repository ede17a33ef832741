/** Public keys as JWK members (RFC 7517, RFC 7518 section 6), in the order in which SPIRE writes them. */
import { AgentError } from "../lib/errors.ts";
import { decodeBase64 } from "./base64.ts";
import { type Curve, coordinateBytes, encodeSpki, publicKeyFromSpki, readSpki } from "./spki.ts";

/** The members that describe a public key. */
export type PublicJwk =
  | { readonly kty: "EC"; readonly crv: Curve; readonly x: string; readonly y: string }
  | { readonly kty: "RSA"; readonly n: string; readonly e: string };

const CURVES: readonly string[] = ["P-256", "P-384", "P-521"] satisfies Curve[];

/**
 * SubjectPublicKeyInfo of a JWK's key members; `undefined` for key types, curves and sizes that are not accepted.
 * Throws `MALFORMED` for members that are missing or damaged, and for points off their curve.
 */
export function spkiFromJwk(jwk: Readonly<Record<string, unknown>>): Uint8Array | undefined {
  const spki = encodeJwk(jwk);
  if (spki === undefined) return undefined;
  try {
    readSpki(spki);
  } catch (error) {
    if (error instanceof AgentError && error.code === "UNTRUSTED") return undefined;
    throw error;
  }
  try {
    publicKeyFromSpki(spki);
  } catch (error) {
    throw new AgentError("MALFORMED", "JWK: not a valid key", { cause: error });
  }
  return spki;
}

/** The key members of a SubjectPublicKeyInfo. Throws `MALFORMED`, or `UNTRUSTED` for keys that are not allow-listed. */
export function jwkFromSpki(spki: Uint8Array): PublicJwk {
  const key = readSpki(spki);
  if (key.kind === "ec") return { kty: "EC", crv: key.curve, x: base64url(key.x), y: base64url(key.y) };
  return { kty: "RSA", n: base64url(key.n), e: base64url(key.e) };
}

/** As `spkiFromJwk`, but checks neither sizes nor the curve equation: for members that come from a key. */
export function encodeJwk(jwk: Readonly<Record<string, unknown>>): Uint8Array | undefined {
  if (jwk.kty === "RSA") return encodeSpki({ kind: "rsa", n: bytesOf(jwk, "n"), e: bytesOf(jwk, "e") });
  const { crv } = jwk;
  if (jwk.kty !== "EC" || !isCurve(crv)) return undefined;
  const x = bytesOf(jwk, "x");
  const y = bytesOf(jwk, "y");
  // RFC 7518 6.2.1.2: coordinates have their full length
  const length = coordinateBytes(crv);
  if (x.length !== length || y.length !== length)
    throw new AgentError("MALFORMED", "JWK: coordinate of a wrong length");
  return encodeSpki({ kind: "ec", curve: crv, x, y });
}

function bytesOf(jwk: Readonly<Record<string, unknown>>, member: string): Uint8Array {
  const text = jwk[member];
  const bytes = typeof text === "string" ? decodeBase64(text, "base64url") : undefined;
  if (bytes === undefined || bytes.length === 0)
    throw new AgentError("MALFORMED", `JWK: member ${member} is no base64url`);
  return bytes;
}

function isCurve(crv: unknown): crv is Curve {
  return typeof crv === "string" && CURVES.includes(crv);
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
