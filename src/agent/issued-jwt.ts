/** Judges JWT-SVIDs that the server issued: an authenticated server may still answer wrongly. */
import { AgentError } from "../lib/errors.ts";
import { parseJwtSvid } from "../pki/jwt-parse.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { JwtSvid } from "../spiffe/svid.ts";

/** A token as the server sent it; times are Unix seconds. */
export interface SignedToken {
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/**
 * The token, which says what was asked for. Its signature is left to those who are shown it: they may have a newer bundle
 * than we do. Throws `MALFORMED`, or `FAILED_PRECONDITION` when it has expired by our clock.
 */
export function acceptIssuedJwt(
  signed: SignedToken,
  expected: { readonly entry: AuthorizedEntry; readonly audience: readonly string[]; readonly now: number },
): JwtSvid {
  const { token, issuedAt, expiresAt } = signed;
  if (issuedAt <= 0 || expiresAt <= issuedAt) throw malformed("its times are missing or in the wrong order");
  const parsed = parseJwtSvid(token);
  if (parsed.subject !== expected.entry.spiffeId) throw malformed("it is for another identity");
  if (!expected.audience.every((one) => parsed.audience.includes(one))) throw malformed("it lacks an audience");
  const svid: JwtSvid = {
    spiffeId: parsed.subject,
    token,
    keyId: parsed.keyId,
    notBefore: issuedAt * 1_000,
    notAfter: Math.min(expiresAt, parsed.expiresAt) * 1_000,
  };
  if (isExpired(svid, expected.now)) {
    throw new AgentError(
      "FAILED_PRECONDITION",
      "the JWT-SVID had expired when it came: check the clocks of this host and of the server",
    );
  }
  return svid;
}

function malformed(what: string): AgentError {
  return new AgentError("MALFORMED", `unusable JWT-SVID of the server: ${what}`);
}
