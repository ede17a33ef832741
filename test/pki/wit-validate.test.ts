import { createLocalJWKSet, jwtVerify, SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { formatJwks } from "../../src/pki/jwks.ts";
import { spkiOf } from "../../src/pki/keys.ts";
import { validateWitSvid } from "../../src/pki/wit-validate.ts";
import { makeKey, makeToken, NOW, type SigningKey, SUBJECT, witBundle } from "./jwt-tokens.ts";

const key = makeKey("wit-1");
const holder = makeKey("holder");
const p384 = makeKey("holder", "P-384");
const rsa = makeKey("holder", "rsa");
const stranger = makeKey("wit-1");
const bundle = witBundle("example.org", key);
const expected = { bundle, now: NOW * 1_000 };

const jwkOf = ({ privateKey }: SigningKey, alg?: string) => {
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...jwk } = privateKey.export({ format: "jwk" });
  return { ...jwk, ...(alg !== undefined && { alg }) };
};
const claims = (change: object = {}) => ({
  sub: SUBJECT,
  exp: NOW + 300,
  iat: NOW,
  cnf: { jwk: jwkOf(holder, "ES256") },
  ...change,
});
const token = (change: object = {}, header: object = {}, signer = key): string =>
  makeToken(signer, claims(change), { typ: "wit+jwt", ...header });

describe("a good WIT-SVID", () => {
  test("says whose it is and which key its holder has (WIT-01, WIT-07, WIT-08)", async () => {
    expect(await validateWitSvid(token(), expected)).toEqual({
      spiffeId: SUBJECT,
      keyId: "wit-1",
      publicKey: spkiOf(holder.privateKey),
      algorithm: "ES256",
      expiresAt: NOW + 300,
    });
  });

  test.each([
    ["unknown headers (WIT-06)", token({}, { x: 1 })],
    ["unknown claims (WIT-18)", token({ x: 1 })],
    ["jti (WIT-10)", token({ jti: "1" })],
    ["iss (WIT-16)", token({ iss: "https://issuer.test" })],
    ["no iat (WIT-15)", token({ iat: undefined })],
    ["iat in the future, which says nothing (WIT-15)", token({ iat: NOW + 9_999 })],
    ["exp within the leeway (WIT-12)", token({ exp: NOW - 59 })],
    ["nbf now (WIT-13)", token({ nbf: NOW })],
    ["a P-384 key", token({ cnf: { jwk: jwkOf(p384, "ES384") } })],
    ["an RSA key", token({ cnf: { jwk: jwkOf(rsa, "PS256") } })],
  ])("may have %s", async (_what, good) => {
    expect(await validateWitSvid(good, expected)).toMatchObject({ spiffeId: SUBJECT });
  });

  test("of another algorithm is verified with it (WIT-04)", async () => {
    const signer = makeKey("wit-rsa", "rsa");
    const made = await new SignJWT(claims())
      .setProtectedHeader({ alg: "PS384", kid: "wit-rsa", typ: "wit+jwt" })
      .sign(signer.privateKey);
    const other = { ...expected, bundle: witBundle("example.org", signer) };
    expect(await validateWitSvid(made, other)).toMatchObject({ keyId: "wit-rsa" });
  });

  test("verifies with jose by the bundle as it is given to workloads (WIT-22, API-32)", async () => {
    const jwks = JSON.parse(formatJwks(bundle.witAuthorities, "wit-svid")) as { keys: object[] };
    expect(jwks.keys).toEqual([expect.objectContaining({ use: "wit-svid", kid: "wit-1" })]);
    const options = { typ: "wit+jwt", currentDate: new Date(NOW * 1_000) };
    // RFC 7517 4.2: other uses than "sig" and "enc" are for those who know them
    const keys = jwks.keys.map((jwk) => ({ ...jwk, use: "sig" }));
    const { payload } = await jwtVerify(token(), createLocalJWKSet({ keys }), options);
    expect(payload.sub).toBe(SUBJECT);
  });
});

describe("refused", () => {
  const damaged = { ...jwkOf(holder, "ES256"), x: "AAAA" };
  test.each([
    ["no kid (WIT-02)", token({}, { kid: undefined }), "token header missing key id"],
    ["no typ (WIT-03)", token({}, { typ: undefined }), "unable to parse JWT token: unexpected type of type undefined"],
    ["a JWT-SVID (WIT-03)", token({}, { typ: "JWT" }), 'unable to parse JWT token: unexpected type "JWT"'],
    [
      "another spelling (WIT-03)",
      token({}, { typ: "WIT+JWT" }),
      'unable to parse JWT token: unexpected type "WIT+JWT"',
    ],
    [
      "alg none (WIT-04)",
      token({}, { alg: "none" }),
      'unable to parse JWT token: unexpected signature algorithm "none"',
    ],
    ["HMAC (WIT-04)", token({}, { alg: "HS256" }), 'unable to parse JWT token: unexpected signature algorithm "HS256"'],
    [
      "an algorithm of another key (WIT-04)",
      token({}, { alg: "RS256" }),
      "signature algorithm RS256 does not fit the key",
    ],
    [
      "a critical header (WIT-06)",
      token({}, { crit: ["x"] }),
      "unable to parse JWT token: header has critical parameters that are not understood",
    ],
    ["no sub (WIT-07)", token({ sub: undefined }), "token missing subject claim"],
    ["a sub that is no SPIFFE ID (WIT-07)", token({ sub: "web" }), "token has an invalid subject claim: scheme is"],
    ["no cnf (WIT-08)", token({ cnf: undefined }), "token has no cnf claim with a jwk"],
    ["a cnf without a jwk (WIT-08)", token({ cnf: { kid: "x" } }), "token has no cnf claim with a jwk"],
    ["a jwk that is a list (WIT-08)", token({ cnf: { jwk: [] } }), "token has no cnf claim with a jwk"],
    ["a jwk without alg (WIT-09)", token({ cnf: { jwk: jwkOf(holder) } }), "the jwk of the token has no alg"],
    [
      "a jwk with HMAC (WIT-09)",
      token({ cnf: { jwk: jwkOf(holder, "HS256") } }),
      "the jwk of the token has an unusable alg",
    ],
    [
      "an alg of another kind (WIT-09)",
      token({ cnf: { jwk: jwkOf(rsa, "ES256") } }),
      "the jwk of the token has an unusable",
    ],
    ["a damaged jwk (WIT-08)", token({ cnf: { jwk: damaged } }), "the jwk of the token is damaged"],
    [
      "a symmetric jwk (WIT-08)",
      token({ cnf: { jwk: { kty: "oct", k: "AAAA", alg: "ES256" } } }),
      "of a kind that is not",
    ],
    ["no exp (WIT-12)", token({ exp: undefined }), "token missing exp claim"],
    ["past its exp (WIT-12)", token({ exp: NOW - 61 }), "token has expired"],
    ["before its nbf (WIT-13)", token({ nbf: NOW + 61 }), "token is not valid yet (nbf)"],
    ["an aud (WIT-17)", token({ aud: ["db"] }), "token has an aud claim"],
    ["another key's signature", token({}, {}, stranger), "token signature is invalid"],
    ["an unknown kid", token({}, { kid: "x" }), 'public key "x" not found in trust domain "example.org"'],
    ["another trust domain", token({ sub: "spiffe://b.test/web" }), 'no keys found for trust domain "b.test"'],
  ])("%s", async (_what, bad, message) => {
    const error = await validateWitSvid(bad, expected).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AgentError);
    const { code, publicMessage } = error as AgentError;
    expect(code).toBe("INVALID_ARGUMENT");
    expect(publicMessage).toContain(message);
  });

  test("JWT authorities do not count (WIT-23)", async () => {
    const other = { ...witBundle("example.org"), jwtAuthorities: [key.authority] };
    await expect(validateWitSvid(token(), { ...expected, bundle: other })).rejects.toThrow("not found");
  });
});
