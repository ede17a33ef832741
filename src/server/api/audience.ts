/** The audiences that callers ask for, within bounds. */
import { publicError } from "../../lib/errors.ts";

/** Most audiences of a token; one is recommended (JWT-SVID 3.2). */
export const MAX_AUDIENCES = 64;
/** Longest audience in bytes of UTF-8, URLs among them. */
export const MAX_AUDIENCE_BYTES = 2048;

/** The audiences, empty ones left out. Throws `INVALID_ARGUMENT` for none, too many, and one that is too long. */
export function readAudience(audience: readonly string[]): readonly string[] {
  if (audience.length > MAX_AUDIENCES) {
    throw publicError("INVALID_ARGUMENT", `too many audiences: ${MAX_AUDIENCES} at most`);
  }
  const named = audience.filter((value) => value !== "");
  if (named.length === 0) throw publicError("INVALID_ARGUMENT", "at least one audience is required");
  if (named.some((value) => Buffer.byteLength(value) > MAX_AUDIENCE_BYTES)) {
    throw publicError("INVALID_ARGUMENT", `audience is longer than ${MAX_AUDIENCE_BYTES} bytes`);
  }
  return named;
}
