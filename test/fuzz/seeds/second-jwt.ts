/** JWT-SVIDs once more: what a token says, by rules written down a second time. */
import { readObject } from "./second-json.ts";

/** What is compared. */
export interface SecondJwt {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signature: Uint8Array;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ALGORITHM = /^(?:RS|ES|PS)(?:256|384|512)$/;
const ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/;
const MAX_TOKEN = 32_768;
const MAX_KEY_ID = 1_024;
const MAX_ID = 2_048;

/** Whether a text is a SPIFFE ID. */
export function isSpiffeId(text: string): boolean {
  return text.length <= MAX_ID && ID.test(text);
}

/** The token, or undefined if its form is wrong. */
export function readToken(
  token: string,
  isType: (typ: unknown) => boolean = (typ) => typ === undefined || typ === "JWT" || typ === "JOSE",
): SecondJwt | undefined {
  if (token.length > MAX_TOKEN) return undefined;
  const parts = token.split(".").map(base64url);
  const [head, body, signature] = parts;
  if (parts.length !== 3 || !head?.length || !body?.length || !signature?.length) return undefined;
  const [header, claims] = [readObject(head), readObject(body)];
  if (header === undefined || claims === undefined || !isHeader(header) || !isType(header.typ) || !areClaims(claims))
    return undefined;
  return { header, claims, signature };
}

function isHeader({ alg, crit, cty, kid }: Readonly<Record<string, unknown>>): boolean {
  return (
    typeof alg === "string" &&
    ALGORITHM.test(alg) &&
    crit === undefined &&
    cty === undefined &&
    typeof kid === "string" &&
    kid !== "" &&
    kid.length <= MAX_KEY_ID
  );
}

function areClaims({ sub, exp, nbf, iat, aud }: Readonly<Record<string, unknown>>): boolean {
  const isTime = (value: unknown): boolean => value === undefined || value === null || typeof value === "number";
  const isAudience =
    aud === undefined ||
    aud === null ||
    typeof aud === "string" ||
    (Array.isArray(aud) && aud.every((one) => typeof one === "string"));
  return (
    typeof sub === "string" && isSpiffeId(sub) && typeof exp === "number" && isTime(nbf) && isTime(iat) && isAudience
  );
}

/** The bytes of the one encoding that they have: the bits of the last letter that are no byte's are zero. */
function base64url(text: string): Uint8Array | undefined {
  const last = ALPHABET.indexOf(text.at(-1) ?? "A");
  const spare = [0, undefined, 0x0f, 0x03][text.length % 4];
  if (spare === undefined || (last & spare) !== 0 || !/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  return Buffer.from(text, "base64url");
}
