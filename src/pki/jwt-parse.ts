/**
 * Takes JWT-SVIDs, and tokens that are built like them, apart, without judging signature, audience or time (JWT-SVID 2 and
 * 3, RFC 7515 7.1, RFC 7519 7.2).
 */
import { type AgentError, errorText, publicError } from "../lib/errors.ts";
import { parseSpiffeId, type SpiffeId } from "../spiffe/id.ts";
import { decodeBase64 } from "./base64.ts";
import { type JsonObject, parseStrictJson } from "./strict-json.ts";

/** JWT-SVID 2.1: no other algorithm may be used. */
export const JWT_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
] as const;

/** One of them. */
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** A token whose form is right, and nothing more. */
export interface ParsedJwt {
  readonly algorithm: JwtAlgorithm;
  readonly keyId: string;
  readonly subject: SpiffeId;
  /** Empty when the token names none. */
  readonly audience: readonly string[];
  /** Seconds since the Unix epoch, as are the following; fractions are allowed. */
  readonly expiresAt: number;
  readonly notBefore: number | undefined;
  readonly issuedAt: number | undefined;
  /** All members of the payload. */
  readonly claims: JsonObject;
}

/** Longest token; those with many claims have two or three thousand bytes. */
export const MAX_JWT_BYTES = 32 * 1024;
const MAX_KEY_ID_BYTES = 1_024;

/** Throws `INVALID_ARGUMENT` with the rule that the token breaks, for the peer to read. */
export function parseJwtSvid(token: string): ParsedJwt {
  // JWT-SVID 2.3
  return parseToken(token, (type) => type === undefined || type === "JWT" || type === "JOSE");
}

/** As `parseJwtSvid`, of a token whose `typ` is one that `isType` takes. */
export function parseToken(token: string, isType: (type: unknown) => boolean): ParsedJwt {
  if (token.length > MAX_JWT_BYTES) throw unparsable(`longer than ${MAX_JWT_BYTES} bytes`);
  const [head = "", body = "", signature = "", ...more] = token.split(".", 4);
  // JWT-SVID 1 and 5.1: compact serialization only
  if (more.length > 0 || head === "" || body === "" || signature === "") {
    throw unparsable("compact JWS format must have three parts");
  }
  const { algorithm, keyId } = readHeader(readPart("header", head), isType);
  if (decodeBase64(signature, "base64url") === undefined) throw unparsable("signature is not base64url");
  return { algorithm, keyId, ...readClaims(readPart("payload", body)) };
}

function readPart(name: string, text: string): JsonObject {
  const bytes = decodeBase64(text, "base64url");
  if (bytes === undefined) throw unparsable(`${name} is not base64url`);
  try {
    return parseStrictJson(bytes);
  } catch (error) {
    throw unparsable(`${name}: ${errorText(error)}`);
  }
}

function readHeader(
  header: JsonObject,
  isType: (type: unknown) => boolean,
): { readonly algorithm: JwtAlgorithm; readonly keyId: string } {
  const { alg, crit, typ, cty, kid } = header;
  // JWT-SVID 2.1 and 4: before anything else
  const algorithm = JWT_ALGORITHMS.find((name) => name === alg);
  if (algorithm === undefined) throw unparsable(`unexpected signature algorithm ${quoted(alg)}`);
  // RFC 7515 4.1.11: we understand no extension
  if (crit !== undefined) throw unparsable("header has critical parameters that are not understood");
  if (!isType(typ)) throw unparsable(`unexpected type ${quoted(typ)}`);
  // RFC 7519 5.2: the payload would be a JWT itself
  if (cty !== undefined) throw unparsable("nested tokens are not accepted");
  if (kid === undefined || kid === "") throw refused("token header missing key id");
  if (typeof kid !== "string" || kid.length > MAX_KEY_ID_BYTES) throw unparsable("key id is no text or too long");
  return { algorithm, keyId: kid };
}

function readClaims(claims: JsonObject): Omit<ParsedJwt, "algorithm" | "keyId"> {
  const { sub, exp, aud } = claims;
  if (sub === undefined || sub === null || sub === "") throw refused("token missing subject claim");
  if (exp === undefined || exp === null) throw refused("token missing exp claim");
  return {
    subject: readSubject(sub),
    audience: readAudience(aud),
    expiresAt: readTime(claims, "exp") as number,
    notBefore: readTime(claims, "nbf"),
    issuedAt: readTime(claims, "iat"),
    claims,
  };
}

function readSubject(sub: unknown): SpiffeId {
  if (typeof sub !== "string") throw refused("token has an invalid subject claim: not a text");
  try {
    return parseSpiffeId(sub);
  } catch (error) {
    throw refused(`token has an invalid subject claim: ${errorText(error)}`);
  }
}

/** RFC 7519 4.1.3: one text or a list of texts. */
function readAudience(aud: unknown): readonly string[] {
  if (aud === undefined || aud === null) return [];
  if (typeof aud === "string") return [aud];
  if (Array.isArray(aud) && aud.every((one): one is string => typeof one === "string")) return aud;
  throw refused("token has an invalid aud claim");
}

/** RFC 7519 2, NumericDate. */
function readTime(claims: JsonObject, name: "exp" | "nbf" | "iat"): number | undefined {
  const value = claims[name] ?? undefined;
  if (value === undefined || typeof value === "number") return value;
  throw refused(`token has an invalid ${name} claim`);
}

/** A part of the token in a message: short, printable. */
function quoted(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 40).toWellFormed()) : `of type ${typeof value}`;
}

function unparsable(what: string): AgentError {
  return refused(`unable to parse JWT token: ${what}`);
}

function refused(message: string): AgentError {
  return publicError("INVALID_ARGUMENT", message);
}
