/**
 * Validates WIT-SVIDs (WIT-SVID 2 to 4) but for the proof that their holder has the key, which comes with each use. A
 * caller must not take one without that (4, 7.1).
 */
import { type AgentError, errorText, publicError } from "../lib/errors.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import { type SpiffeId, trustDomainOf } from "../spiffe/id.ts";
import { spkiFromJwk } from "./jwk.ts";
import { checkJwsAlgorithm } from "./jws-algorithm.ts";
import { parseToken } from "./jwt-parse.ts";
import { authorityOf, LEEWAY_S, verifyToken } from "./jwt-validate.ts";
import { isJsonObject, type JsonObject } from "./strict-json.ts";

/** What a valid token says. */
export interface ValidWit {
  readonly spiffeId: SpiffeId;
  /** Which key of the bundle signed it. */
  readonly keyId: string;
  /** Whose holder may use the token: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** The algorithm that proofs of that key are signed with. */
  readonly algorithm: string;
  /** Seconds since the Unix epoch. */
  readonly expiresAt: number;
}

/** By what a token is judged. */
export interface WitExpectation {
  /** Of the trust domain that the token must be of; only its WIT authorities count (6.2). */
  readonly bundle: TrustBundle;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** Rejects with `INVALID_ARGUMENT` and the rule that the token breaks. */
export async function validateWitSvid(token: string, { bundle, now }: WitExpectation): Promise<ValidWit> {
  // 2.2: exactly this one
  const parsed = parseToken(token, (type) => type === "wit+jwt");
  const { subject: spiffeId, keyId, algorithm, expiresAt, notBefore, claims } = parsed;
  // 3.8
  if (claims.aud !== undefined) throw refused("token has an aud claim");
  const confirmed = readConfirmation(claims.cnf);
  const trustDomain = trustDomainOf(spiffeId);
  if (trustDomain !== bundle.trustDomain) throw refused(`no keys found for trust domain "${trustDomain}"`);
  await verifyToken(token, algorithm, authorityOf(keyId, bundle.witAuthorities, trustDomain));
  // 3.4, 3.5; iat says nothing of validity (3.6)
  const seconds = now / 1_000;
  if (notBefore !== undefined && seconds + LEEWAY_S < notBefore) throw refused("token is not valid yet (nbf)");
  if (seconds - LEEWAY_S > expiresAt) throw refused("token has expired");
  return { spiffeId, keyId, ...confirmed, expiresAt };
}

/** 3.2: the key, with its algorithm. */
function readConfirmation(cnf: unknown): { readonly publicKey: Uint8Array; readonly algorithm: string } {
  const jwk = isJsonObject(cnf) ? cnf.jwk : undefined;
  if (!isJsonObject(jwk)) throw refused("token has no cnf claim with a jwk");
  const { alg: algorithm } = jwk;
  if (typeof algorithm !== "string") throw refused("the jwk of the token has no alg");
  const publicKey = readKey(jwk);
  try {
    checkJwsAlgorithm(algorithm, publicKey);
  } catch (error) {
    throw refused(`the jwk of the token has an unusable alg: ${errorText(error)}`);
  }
  return { publicKey, algorithm };
}

function readKey(jwk: JsonObject): Uint8Array {
  let publicKey: Uint8Array | undefined;
  try {
    publicKey = spkiFromJwk(jwk);
  } catch (error) {
    throw refused(`the jwk of the token is damaged: ${errorText(error)}`);
  }
  if (publicKey === undefined) throw refused("the jwk of the token is of a kind that is not accepted");
  return publicKey;
}

function refused(message: string): AgentError {
  return publicError("INVALID_ARGUMENT", message);
}
