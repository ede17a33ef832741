/**
 * The SPIFFE bundle document: a JWK Set with a use for each key (Trust Domain and Bundle 4; X509-SVID, JWT-SVID and
 * WIT-SVID 6). Elements of unknown use or key type are ignored, so that a bundle of tomorrow stays readable; elements
 * that are ours but damaged refuse the whole document, so that an authority is never lost in silence.
 */
import { AgentError } from "../lib/errors.ts";
import type { KeyAuthority, TrustBundle, X509Authority } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { decodeBase64 } from "./base64.ts";
import { parseCertificate } from "./certificate.ts";
import { reading } from "./der-error.ts";
import { jwkFromSpki, spkiFromJwk } from "./jwk.ts";

/** Most elements of `keys`. */
export const MAX_AUTHORITIES = 1000;
/** `spiffe_sequence` is stored in 64 bits (4.1.1); the hint is seconds, and more than this is no hint. */
const MAX_SEQUENCE = 2n ** 64n - 1n;
const MAX_REFRESH_HINT = 2n ** 31n - 1n;
/** Characters of a key ID in a message. */
const MAX_QUOTED = 100;
const INTEGER_MEMBERS: readonly string[] = ["spiffe_sequence", "spiffe_refresh_hint"];

/** Reads a document. Throws `MALFORMED`. */
export function parseSpiffeBundle(text: string, trustDomain: TrustDomain): TrustBundle {
  const document = parseJson(text);
  if (!isObject(document) || !Array.isArray(document.keys)) throw malformedBundle("want an object with an array keys");
  const keys: readonly unknown[] = document.keys;
  if (keys.length > MAX_AUTHORITIES) throw malformedBundle(`more than ${MAX_AUTHORITIES} keys`);
  const x509 = new Map<string, X509Authority>();
  const jwt = new Map<string, KeyAuthority>();
  const wit = new Map<string, KeyAuthority>();
  for (const [index, key] of keys.entries()) {
    reading(`bundle key ${index}`, () => {
      if (!isObject(key)) throw malformedBundle("not an object");
      if (key.use === "x509-svid") addX509(x509, key);
      if (key.use === "jwt-svid") addKey(jwt, key);
      if (key.use === "wit-svid") addKey(wit, key);
    });
  }
  return {
    trustDomain,
    x509Authorities: [...x509.values()],
    jwtAuthorities: [...jwt.values()],
    witAuthorities: [...wit.values()],
    sequence: integer(document, "spiffe_sequence", MAX_SEQUENCE),
    refreshHint: Number(integer(document, "spiffe_refresh_hint", MAX_REFRESH_HINT)),
  };
}

/** Writes a document, four spaces deep as SPIRE does. Throws `UNTRUSTED` for an authority whose key is not accepted. */
export function formatSpiffeBundle(bundle: TrustBundle): string {
  const x509 = bundle.x509Authorities.map(({ certificate }) => ({
    use: "x509-svid",
    ...jwkFromSpki(parseCertificate(certificate).spki),
    x5c: [Buffer.from(certificate).toString("base64")],
  }));
  const document = {
    keys: [
      ...x509,
      ...bundle.jwtAuthorities.map(keyElement("jwt-svid")),
      ...bundle.witAuthorities.map(keyElement("wit-svid")),
    ],
    ...(bundle.sequence > 0n ? { spiffe_sequence: rawJson(bundle.sequence) } : {}),
    ...(bundle.refreshHint > 0 ? { spiffe_refresh_hint: bundle.refreshHint } : {}),
  };
  return JSON.stringify(document, undefined, 4);
}

/** X509-SVID 6.2: without `x5c` ignored; of several values the first. The same certificate twice counts once. */
function addX509(authorities: Map<string, X509Authority>, key: Readonly<Record<string, unknown>>): void {
  const x5c = key.x5c ?? [];
  if (!Array.isArray(x5c)) throw malformedBundle("x5c is no array");
  const [first] = x5c as readonly unknown[];
  if (first === undefined) return;
  const spki = spkiFromJwk(key);
  if (spki === undefined) return;
  if (typeof first !== "string") throw malformedBundle("x5c holds no text");
  const der = decodeBase64(first, "base64");
  if (der === undefined) throw malformedBundle("x5c is no base64");
  const certificate = parseCertificate(der);
  // RFC 7517 4.7: the key members are those of the first certificate
  if (Buffer.compare(certificate.spki, spki) !== 0) throw malformedBundle("x5c holds another key than the element");
  authorities.set(first, { certificate: certificate.der, tainted: false });
}

/** JWT-SVID and WIT-SVID 6.1: a key ID, one element per key. Two keys under one ID would be a guess, so they are refused. */
function addKey(authorities: Map<string, KeyAuthority>, key: Readonly<Record<string, unknown>>): void {
  const publicKey = spkiFromJwk(key);
  if (publicKey === undefined) return;
  const keyId = key.kid;
  if (typeof keyId !== "string" || keyId === "") throw malformedBundle("no kid");
  const known = authorities.get(keyId);
  if (known !== undefined && Buffer.compare(known.publicKey, publicKey) !== 0) {
    throw malformedBundle(`two keys with the kid ${JSON.stringify(keyId.slice(0, MAX_QUOTED).toWellFormed())}`);
  }
  authorities.set(keyId, { keyId, publicKey, expiresAt: 0, tainted: false });
}

function keyElement(use: string): (authority: KeyAuthority) => object {
  return ({ keyId, publicKey }) => {
    const { kty, ...members } = jwkFromSpki(publicKey);
    return { use, kty, kid: keyId, ...members };
  };
}

/** Integers of 64 bits do not fit in a number: they become bigints, from their source text. */
function parseJson(text: string): unknown {
  const keepIntegers = (member: string, value: unknown, context?: { readonly source?: string }): unknown =>
    INTEGER_MEMBERS.includes(member) && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context?.source ?? "") : value;
  try {
    return JSON.parse(text, keepIntegers);
  } catch (error) {
    // a RangeError is a document nested deeper than the stack
    if (error instanceof SyntaxError || error instanceof RangeError) throw malformedBundle("not JSON");
    throw error;
  }
}

/** An integer member, 0 when absent (4.1.1, 4.1.2). */
function integer(document: Readonly<Record<string, unknown>>, member: string, max: bigint): bigint {
  const value = document[member] ?? 0n;
  if (typeof value !== "bigint" || value < 0n || value > max) throw malformedBundle(`${member} is no integer in range`);
  return value;
}

/** A number of any size, for `JSON.stringify`. */
function rawJson(value: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(value.toString());
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformedBundle(what: string): AgentError {
  return new AgentError("MALFORMED", `SPIFFE bundle: ${what}`);
}
