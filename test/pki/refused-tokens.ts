/** The corpus of bad tokens: each names the check that refuses it, by the message that callers read. */
import { createHmac } from "node:crypto";
import { goodClaims, makeKey, makeToken, NOW, part, type SigningKey, SUBJECT, signParts } from "./jwt-tokens.ts";

/** One bad token. */
export interface RefusedToken {
  /** The standard's numbered rule, where there is one. */
  readonly rule: string;
  readonly what: string;
  readonly token: string;
  readonly message: string;
}

/** What the corpus is made with; all of it is in the bundle, but for `stranger` and the foreign key. */
export interface CorpusKeys {
  readonly ec: SigningKey;
  readonly p384: SigningKey;
  readonly rsa: SigningKey;
  /** Of another trust domain whose bundle we have, with the key ID of `ec`. */
  readonly foreign: SigningKey;
}

const UNPARSABLE = "unable to parse JWT token: ";

/** All of them. */
export function refusedTokens({ ec, p384, rsa, foreign }: CorpusKeys): readonly RefusedToken[] {
  const header = { alg: "ES256", kid: ec.keyId, typ: "JWT" };
  const [head = "", body = "", signature = ""] = makeToken(ec).split(".");
  const claims = (change: object): string => makeToken(ec, { ...goodClaims(), ...change });
  const without = (name: string): string => claims({ [name]: undefined });
  const rawBody = (json: string | Uint8Array): string => signParts(head, part(json), ec.privateKey);
  const rawHead = (json: string): string => signParts(part(json), body, ec.privateKey);
  const hmac = (alg: string): string => {
    const signed = `${part({ ...header, alg })}.${body}`;
    return `${signed}.${createHmac("sha256", ec.authority.publicKey).update(signed).digest("base64url")}`;
  };
  const stranger = makeKey(ec.keyId);
  const flipped = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
  const row = (rule: string, what: string, token: string, message: string): RefusedToken => ({
    rule,
    what,
    token,
    message,
  });
  const json = JSON.stringify(goodClaims());
  return [
    row("JWT-01", "empty", "", `${UNPARSABLE}compact JWS format must have three parts`),
    row("JWT-01", "two parts", `${head}.${body}`, `${UNPARSABLE}compact JWS format must have three parts`),
    row(
      "JWT-01",
      "four parts",
      `${head}.${body}.${signature}.x`,
      `${UNPARSABLE}compact JWS format must have three parts`,
    ),
    row("JWT-01", "a JWE's five parts", "a.b.c.d.e", `${UNPARSABLE}compact JWS format must have three parts`),
    row("JWT-01", "no signature", `${head}.${body}.`, `${UNPARSABLE}compact JWS format must have three parts`),
    row(
      "JWT-01",
      "JSON serialization",
      JSON.stringify({ payload: body, protected: head, signature }),
      `${UNPARSABLE}compact JWS format must have three parts`,
    ),
    row("JWT-01", "flattened JSON with dots", `{"payload":"a.b.c"}`, `${UNPARSABLE}header is not base64url`),
    row("", "1 MB", `${head}.${"A".repeat(1024 * 1024)}.${signature}`, `${UNPARSABLE}longer than 32768 bytes`),
    row("", "padded base64", `${head}=.${body}.${signature}`, `${UNPARSABLE}header is not base64url`),
    row(
      "",
      "standard base64 in the signature",
      `${head}.${body}.+${signature.slice(1)}`,
      `${UNPARSABLE}signature is not base64url`,
    ),
    row("", "white space", `${head}.${body}.${signature}\n`, `${UNPARSABLE}signature is not base64url`),
    row("", "non-canonical last character", `${head}.e31.${signature}`, `${UNPARSABLE}payload is not base64url`),
    row(
      "JWT-04",
      "alg none",
      `${part({ ...header, alg: "none" })}.${body}.${signature}`,
      `${UNPARSABLE}unexpected signature algorithm "none"`,
    ),
    row(
      "JWT-04",
      "alg None",
      `${part({ ...header, alg: "None" })}.${body}.${signature}`,
      `${UNPARSABLE}unexpected signature algorithm "None"`,
    ),
    row("JWT-04", "HMAC with the public key", hmac("HS256"), `${UNPARSABLE}unexpected signature algorithm "HS256"`),
    row("JWT-04", "EdDSA", hmac("EdDSA"), `${UNPARSABLE}unexpected signature algorithm "EdDSA"`),
    row("JWT-04", "ES256K", hmac("ES256K"), `${UNPARSABLE}unexpected signature algorithm "ES256K"`),
    row(
      "JWT-04",
      "no alg",
      rawHead(`{"kid":"${ec.keyId}"}`),
      `${UNPARSABLE}unexpected signature algorithm of type undefined`,
    ),
    row(
      "JWT-04",
      "alg is a list",
      rawHead(`{"alg":["ES256"],"kid":"${ec.keyId}"}`),
      `${UNPARSABLE}unexpected signature algorithm of type object`,
    ),
    row(
      "JWT-04",
      "alg before all else",
      `${part({ alg: "none", crit: ["x"], typ: "x" })}.e30.AA`,
      `${UNPARSABLE}unexpected signature algorithm "none"`,
    ),
    row(
      "JWT-03",
      "ES384 with a P-256 key",
      makeToken(ec, goodClaims(), { alg: "ES384" }),
      "signature algorithm ES384 does not fit the key",
    ),
    row(
      "JWT-03",
      "ES256 with a P-384 key",
      makeToken(ec, goodClaims(), { kid: p384.keyId }),
      "signature algorithm ES256 does not fit the key",
    ),
    row(
      "JWT-03",
      "RS256 with an EC key",
      makeToken(ec, goodClaims(), { alg: "RS256" }),
      "signature algorithm RS256 does not fit the key",
    ),
    row(
      "JWT-03",
      "ES256 with an RSA key",
      makeToken(ec, goodClaims(), { kid: rsa.keyId }),
      "signature algorithm ES256 does not fit the key",
    ),
    row(
      "JWT-06",
      "typ of another token",
      makeToken(ec, goodClaims(), { typ: "at+jwt" }),
      `${UNPARSABLE}unexpected type "at+jwt"`,
    ),
    row(
      "JWT-06",
      "typ of a WIT-SVID",
      makeToken(ec, goodClaims(), { typ: "wit+jwt" }),
      `${UNPARSABLE}unexpected type "wit+jwt"`,
    ),
    row(
      "JWT-06",
      "typ in lower case",
      makeToken(ec, goodClaims(), { typ: "jwt" }),
      `${UNPARSABLE}unexpected type "jwt"`,
    ),
    row(
      "JWT-06",
      "typ null",
      makeToken(ec, goodClaims(), { typ: null }),
      `${UNPARSABLE}unexpected type of type object`,
    ),
    row("JWT-05", "no kid", makeToken(ec, goodClaims(), { kid: undefined }), "token header missing key id"),
    row("JWT-05", "empty kid", makeToken(ec, goodClaims(), { kid: "" }), "token header missing key id"),
    row(
      "JWT-05",
      "kid is a number",
      makeToken(ec, goodClaims(), { kid: 1 }),
      `${UNPARSABLE}key id is no text or too long`,
    ),
    row(
      "JWT-05",
      "endless kid",
      makeToken(ec, goodClaims(), { kid: "k".repeat(2_000) }),
      `${UNPARSABLE}key id is no text or too long`,
    ),
    row(
      "JWT-15",
      "unknown kid",
      makeToken(ec, goodClaims(), { kid: "nobody" }),
      'public key "nobody" not found in trust domain "example.org"',
    ),
    row(
      "",
      "critical extension",
      makeToken(ec, goodClaims(), { crit: ["b64"], b64: false }),
      `${UNPARSABLE}header has critical parameters that are not understood`,
    ),
    row(
      "",
      "nested, announced",
      makeToken(ec, goodClaims(), { cty: "JWT" }),
      `${UNPARSABLE}nested tokens are not accepted`,
    ),
    row("", "nested JWS", rawBody(makeToken(ec)), `${UNPARSABLE}payload: not JSON in UTF-8`),
    row(
      "",
      "nested JWS as a JSON text",
      rawBody(JSON.stringify(makeToken(ec))),
      `${UNPARSABLE}payload: not a JSON object`,
    ),
    row("", "header is a list", rawHead('["ES256"]'), `${UNPARSABLE}header: not a JSON object`),
    row("", "header is null", rawHead("null"), `${UNPARSABLE}header: not a JSON object`),
    row(
      "",
      "duplicate alg",
      rawHead(`{"alg":"ES256","kid":"${ec.keyId}","alg":"none"}`),
      `${UNPARSABLE}header: duplicate JSON member "alg"`,
    ),
    row(
      "",
      "duplicate sub",
      rawBody(json.replace("{", '{"sub":"spiffe://example.org/admin",')),
      `${UNPARSABLE}payload: duplicate JSON member "sub"`,
    ),
    row(
      "",
      "duplicate aud, spelt with an escape",
      rawBody(json.replace("{", '{"\\u0061ud":"x",')),
      `${UNPARSABLE}payload: duplicate JSON member "aud"`,
    ),
    row(
      "",
      "duplicate deep inside",
      rawBody(json.replace("{", '{"x":[{"y":{"z":1,"z":1}}],')),
      `${UNPARSABLE}payload: duplicate JSON member "z"`,
    ),
    row(
      "",
      "invalid UTF-8",
      rawBody(Buffer.from([...Buffer.from('{"a":"'), 0xff, ...Buffer.from('"}')])),
      `${UNPARSABLE}payload: not JSON in UTF-8`,
    ),
    row("", "byte order mark", rawBody(`\ufeff${json}`), `${UNPARSABLE}payload: not JSON in UTF-8`),
    row(
      "",
      "half a surrogate pair",
      rawBody(json.replace("{", '{"x":"\\ud800",')),
      `${UNPARSABLE}payload: JSON with half a surrogate pair`,
    ),
    row(
      "",
      "number beyond a double",
      rawBody(json.replace("{", '{"x":1e999,')),
      `${UNPARSABLE}payload: JSON number out of range`,
    ),
    row(
      "",
      "nested too deeply",
      rawBody(json.replace("{", `{"x":${"[".repeat(40)}${"]".repeat(40)},`)),
      `${UNPARSABLE}payload: JSON nested too deeply`,
    ),
    row("", "as deep as it is long", rawBody("[".repeat(10_000)), `${UNPARSABLE}payload: not JSON in UTF-8`),
    row("JWT-07", "no sub", without("sub"), "token missing subject claim"),
    row("JWT-07", "empty sub", claims({ sub: "" }), "token missing subject claim"),
    row("JWT-07", "sub is a number", claims({ sub: 1 }), "token has an invalid subject claim: not a text"),
    row(
      "JWT-07",
      "sub is no SPIFFE ID",
      claims({ sub: "web" }),
      'token has an invalid subject claim: scheme is missing or invalid: want "spiffe://"',
    ),
    row(
      "JWT-07",
      "sub with a query",
      claims({ sub: `${SUBJECT}?x` }),
      "token has an invalid subject claim: path segment characters are limited to letters, numbers, dots, dashes, and underscores",
    ),
    row("JWT-07", "sub inherited from __proto__", rawBody(`{"__proto__":${json}}`), "token missing subject claim"),
    row("JWT-11", "no exp", without("exp"), "token missing exp claim"),
    row("JWT-11", "exp null", claims({ exp: null }), "token missing exp claim"),
    row("JWT-11", "exp is a text", claims({ exp: String(NOW + 300) }), "token has an invalid exp claim"),
    row("JWT-11", "expired", claims({ exp: NOW - 61 }), "token has expired"),
    row("JWT-11", "expired by a fraction", claims({ exp: NOW - 60.5 }), "token has expired"),
    row("JWT-12", "nbf in the future", claims({ nbf: NOW + 61 }), "token is not valid yet (nbf)"),
    row("JWT-12", "nbf is a text", claims({ nbf: "0" }), "token has an invalid nbf claim"),
    row("JWT-12", "iat in the future", claims({ iat: NOW + 61 }), "token was issued in the future (iat)"),
    row("JWT-12", "iat is a list", claims({ iat: [] }), "token has an invalid iat claim"),
    row("JWT-09", "no aud", without("aud"), 'expected audience in ["db"] (audience=[])'),
    row("JWT-09", "empty aud", claims({ aud: [] }), 'expected audience in ["db"] (audience=[])'),
    row("JWT-09", "other aud", claims({ aud: ["api", "dbs"] }), 'expected audience in ["db"] (audience=["api" "dbs"])'),
    row("JWT-09", "aud in other case", claims({ aud: "DB" }), 'expected audience in ["db"] (audience=["DB"])'),
    row("JWT-09", "aud of numbers", claims({ aud: [1, "db"] }), "token has an invalid aud claim"),
    row("JWT-09", "aud is an object", claims({ aud: { db: true } }), "token has an invalid aud claim"),
    row("JWT-12", "signature of another key with the same kid", makeToken(stranger), "token signature is invalid"),
    row("API-29", "another trust domain's key with the same kid", makeToken(foreign), "token signature is invalid"),
    row(
      "API-29",
      "our key for another trust domain",
      claims({ sub: "spiffe://b.test/web" }),
      "token signature is invalid",
    ),
    row(
      "API-12",
      "a trust domain without a bundle",
      claims({ sub: "spiffe://c.test/web" }),
      'no keys found for trust domain "c.test"',
    ),
    row("JWT-12", "changed signature", `${head}.${body}.${flipped}`, "token signature is invalid"),
    row("JWT-12", "short signature", `${head}.${body}.AAAA`, "token signature is invalid"),
    row("JWT-12", "zero signature", `${head}.${body}.${part(new Uint8Array(64))}`, "token signature is invalid"),
    row(
      "JWT-12",
      "changed payload",
      `${head}.${part({ ...goodClaims(), sub: `${SUBJECT}2` })}.${signature}`,
      "token signature is invalid",
    ),
  ];
}
