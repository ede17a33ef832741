/** Judges WIT-SVIDs that the server issued: an authenticated server may still answer wrongly. */
import type { KeyObject } from "node:crypto";
import { AgentError } from "../lib/errors.ts";
import { validateWitSvid } from "../pki/wit-validate.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { WitSvid } from "../spiffe/svid.ts";
import type { SignedToken } from "./issued-jwt.ts";

/** What an issued token must be. */
export interface IssuedWitExpectation {
  readonly spiffeId: SpiffeId;
  readonly privateKey: KeyObject;
  /** Its public half, as it was sent: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** As it was sent. */
  readonly algorithm: string;
  /** By which workloads' peers will judge the token. */
  readonly bundle: TrustBundle;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/**
 * The token must be valid by the bundle, and for our identity, key and algorithm. Rejects with `INVALID_ARGUMENT` or
 * `MALFORMED` and what is wrong with it.
 */
export async function acceptIssuedWit(signed: SignedToken, expected: IssuedWitExpectation): Promise<WitSvid> {
  const { token, issuedAt, expiresAt } = signed;
  if (issuedAt <= 0 || expiresAt <= issuedAt) throw malformed("its times are missing or in the wrong order");
  const valid = await validateWitSvid(token, expected);
  if (valid.spiffeId !== expected.spiffeId) throw malformed("it is for another identity");
  if (Buffer.compare(valid.publicKey, expected.publicKey) !== 0) throw malformed("it is for another key than ours");
  if (valid.algorithm !== expected.algorithm) throw malformed("it names another algorithm for our key");
  return {
    spiffeId: valid.spiffeId,
    token,
    keyId: valid.keyId,
    privateKey: expected.privateKey,
    algorithm: valid.algorithm,
    notBefore: issuedAt * 1_000,
    notAfter: Math.min(expiresAt, valid.expiresAt) * 1_000,
  };
}

function malformed(what: string): AgentError {
  return new AgentError("MALFORMED", `unusable WIT-SVID of the server: ${what}`);
}
