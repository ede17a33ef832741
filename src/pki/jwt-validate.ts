/**
 * Validates JWT-SVIDs (JWT-SVID 4, RFC 7519 7.2): the rules of SPIFFE around a check of the signature, which is made at
 * once for P-256, as for certificates, and by `jose` on the libuv pool for keys that take longer.
 */
import type { KeyObject } from "node:crypto";
import { compactVerify, errors } from "jose";
import { AgentError, publicError } from "../lib/errors.ts";
import type { KeyAuthority, TrustBundle } from "../spiffe/bundle.ts";
import { type SpiffeId, type TrustDomain, trustDomainOf } from "../spiffe/id.ts";
import { verifyEs256 } from "./jws.ts";
import { type JwtAlgorithm, type ParsedJwt, parseJwtSvid } from "./jwt-parse.ts";
import { type Curve, publicKeyFromSpki, readSpki } from "./spki.ts";
import type { JsonObject } from "./strict-json.ts";

/** By what a token is judged. */
export interface JwtExpectation {
  /** The one that the validator goes by. */
  readonly audience: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** The bundle of a trust domain; undefined: its tokens are not trusted. */
  readonly bundleOf: (trustDomain: TrustDomain) => TrustBundle | undefined;
}

/** What a valid token says. */
export interface ValidJwt {
  readonly spiffeId: SpiffeId;
  readonly claims: JsonObject;
}

/** How far clocks may differ, in seconds. */
export const LEEWAY_S = 60;
/** Characters of a token's audiences in a message, which travels in a header. */
const MOST_QUOTED = 300;

const KEY_KIND: Readonly<Record<JwtAlgorithm, Curve | "rsa">> = {
  RS256: "rsa",
  RS384: "rsa",
  RS512: "rsa",
  PS256: "rsa",
  PS384: "rsa",
  PS512: "rsa",
  ES256: "P-256",
  ES384: "P-384",
  ES512: "P-521",
};

interface VerifyingKey {
  readonly key: KeyObject;
  readonly kind: Curve | "rsa";
}

/** As long as the authority that they belong to. */
const keys = new WeakMap<KeyAuthority, VerifyingKey>();

/** Tokens whose signature is remembered, and the longest of these. */
const MOST_REMEMBERED = 512;
const LONGEST_REMEMBERED = 4_096;

interface Verified {
  readonly parsed: ParsedJwt;
  readonly authority: KeyAuthority;
}

/**
 * Remembers of which tokens it verified the signature, and by which authority: services show one token many times. Audience,
 * time, and that the authority is in the bundle, are judged each time.
 */
export class JwtValidator {
  /** The least recently used first. */
  readonly #verified = new Map<string, Verified>();

  /** Takes a token apart. Throws `INVALID_ARGUMENT`, as `validate` does. */
  parse(token: string): ParsedJwt {
    return this.#verified.get(token)?.parsed ?? parseJwtSvid(token);
  }

  /**
   * Judges a token; `parsed` is what `parse` made of it. Throws `INVALID_ARGUMENT`, or rejects with it, with the rule that
   * the token breaks, for the peer to read.
   */
  validate(token: string, parsed: ParsedJwt, expected: JwtExpectation): ValidJwt | Promise<ValidJwt> {
    const authority = findAuthority(parsed, expected.bundleOf);
    const known = this.#verified.get(token);
    if (known === undefined || known.authority !== authority) {
      const verified = { parsed, authority };
      const checked = verifyToken(token, parsed.algorithm, authority);
      return checked instanceof Promise
        ? checked.then(() => this.#judge(token, verified, expected))
        : this.#judge(token, verified, expected);
    }
    this.#verified.delete(token);
    this.#verified.set(token, known);
    return judge(known.parsed, expected);
  }

  /** Of a token whose signature was just found right. */
  #judge(token: string, verified: Verified, expected: JwtExpectation): ValidJwt {
    const valid = judge(verified.parsed, expected);
    if (token.length <= LONGEST_REMEMBERED) this.#remember(token, verified);
    return valid;
  }

  #remember(token: string, verified: Verified): void {
    this.#verified.delete(token);
    this.#verified.set(token, verified);
    if (this.#verified.size <= MOST_REMEMBERED) return;
    for (const oldest of this.#verified.keys()) {
      this.#verified.delete(oldest);
      return;
    }
  }
}

/** Judges one token. Throws `INVALID_ARGUMENT` with the rule that it breaks, for the peer to read. */
export async function validateJwtSvid(token: string, expected: JwtExpectation): Promise<ValidJwt> {
  const parsed = parseJwtSvid(token);
  await verifyToken(token, parsed.algorithm, findAuthority(parsed, expected.bundleOf));
  return judge(parsed, expected);
}

/** What is left to say of a token whose signature is right. */
function judge(parsed: ParsedJwt, { audience, now }: JwtExpectation): ValidJwt {
  checkAudience(parsed, audience);
  checkTimes(parsed, now / 1_000);
  return { spiffeId: parsed.subject, claims: parsed.claims };
}

/** Workload API 6.3: only the bundle of the subject's own trust domain counts, and in it only keys for JWT-SVIDs. */
function findAuthority({ subject, keyId }: ParsedJwt, bundleOf: JwtExpectation["bundleOf"]): KeyAuthority {
  const trustDomain = trustDomainOf(subject);
  const bundle = bundleOf(trustDomain);
  if (bundle === undefined) throw refused(`no keys found for trust domain "${trustDomain}"`);
  return authorityOf(keyId, bundle.jwtAuthorities, trustDomain);
}

/** The authority that a token names. Throws `INVALID_ARGUMENT` when it is not among those of its trust domain. */
export function authorityOf(
  keyId: string,
  authorities: readonly KeyAuthority[],
  trustDomain: TrustDomain,
): KeyAuthority {
  const authority = authorities.find((candidate) => candidate.keyId === keyId);
  if (authority !== undefined) return authority;
  const name = JSON.stringify(keyId.slice(0, MOST_QUOTED).toWellFormed());
  throw quoting(
    `public key not found in trust domain "${trustDomain}"`,
    `public key ${name} not found in trust domain "${trustDomain}"`,
  );
}

function verifyingKey(authority: KeyAuthority): VerifyingKey {
  let known = keys.get(authority);
  if (known === undefined) {
    const numbers = readSpki(authority.publicKey);
    known = {
      key: publicKeyFromSpki(authority.publicKey),
      kind: numbers.kind === "ec" ? numbers.curve : "rsa",
    };
    keys.set(authority, known);
  }
  return known;
}

/**
 * Throws `INVALID_ARGUMENT`, or rejects with it, unless the authority signed the token with this algorithm, which is one for
 * its key.
 */
export function verifyToken(token: string, algorithm: JwtAlgorithm, authority: KeyAuthority): void | Promise<void> {
  const { key, kind } = verifyingKey(authority);
  // RFC 8725 3.1: the key says which algorithms are possible, not the token
  if (KEY_KIND[algorithm] !== kind) throw refused(`signature algorithm ${algorithm} does not fit the key`);
  if (kind !== "P-256") return checkOnPool(token, algorithm, key);
  if (!verifyEs256(token, key)) throw refused("token signature is invalid");
}

async function checkOnPool(token: string, algorithm: JwtAlgorithm, key: KeyObject): Promise<void> {
  try {
    await compactVerify(token, key, { algorithms: [algorithm] });
  } catch (error) {
    if (error instanceof errors.JOSEError) throw refused("token signature is invalid");
    throw error;
  }
}

/** JWT-SVID 3.2. */
function checkAudience({ audience }: ParsedJwt, expected: string): void {
  if (audience.includes(expected)) return;
  const quoted = (texts: readonly string[]): string =>
    `[${texts
      .map((text) => JSON.stringify(text))
      .join(" ")
      .slice(0, MOST_QUOTED)
      .toWellFormed()}]`;
  throw quoting(
    "token is for another audience",
    `expected audience in ${quoted([expected])} (audience=${quoted(audience)})`,
  );
}

/** JWT-SVID 3.3; RFC 7519 4.1.4 to 4.1.6. */
function checkTimes({ expiresAt, notBefore, issuedAt }: ParsedJwt, now: number): void {
  if (notBefore !== undefined && now + LEEWAY_S < notBefore) throw refused("token is not valid yet (nbf)");
  if (now - LEEWAY_S > expiresAt) throw refused("token has expired");
  if (issuedAt !== undefined && now + LEEWAY_S < issuedAt) throw refused("token was issued in the future (iat)");
}

function refused(message: string): AgentError {
  return publicError("INVALID_ARGUMENT", message);
}

/** A refusal that quotes the token: to the caller, who has it, and not to the log. */
function quoting(message: string, publicMessage: string): AgentError {
  return new AgentError("INVALID_ARGUMENT", message, { publicMessage });
}
