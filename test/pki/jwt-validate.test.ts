import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import { AgentError } from "../../src/lib/errors.ts";
import { JWT_ALGORITHMS } from "../../src/pki/jwt-parse.ts";
import { type JwtExpectation, JwtValidator, validateJwtSvid } from "../../src/pki/jwt-validate.ts";
import { goodClaims, jwtBundle, makeKey, makeToken, NOW, part, SUBJECT, signParts } from "./jwt-tokens.ts";
import { refusedTokens } from "./refused-tokens.ts";

const ec = makeKey("kid-1");
const p384 = makeKey("kid-384", "P-384");
const p521 = makeKey("kid-521", "P-521");
const rsa = makeKey("kid-rsa", "rsa");
const foreign = makeKey("kid-1");
const bundles = new Map(
  [jwtBundle("example.org", ec, p384, p521, rsa), jwtBundle("b.test", foreign)].map((bundle) => [
    bundle.trustDomain,
    bundle,
  ]),
);
const expected: JwtExpectation = {
  audience: "db",
  now: NOW * 1_000,
  bundleOf: (trustDomain) => bundles.get(trustDomain),
};

describe("refused tokens", () => {
  test.each(refusedTokens({ ec, p384, rsa, foreign }))("$rule $what", async ({ token, message }) => {
    const outcome = await validateJwtSvid(token, expected).catch((error: unknown) => error);
    expect(outcome).toBeInstanceOf(AgentError);
    const { code, publicMessage } = outcome as AgentError;
    expect([code, publicMessage]).toEqual(["INVALID_ARGUMENT", message]);
  });

  test("WIT authorities do not count for JWT-SVIDs (JWT-15, API-13)", async () => {
    const bundle = jwtBundle("example.org");
    const wit = { ...bundle, witAuthorities: [ec.authority] };
    await expect(validateJwtSvid(makeToken(ec), { ...expected, bundleOf: () => wit })).rejects.toMatchObject({
      publicMessage: 'public key "kid-1" not found in trust domain "example.org"',
    });
  });

  test("messages stay short, whatever the token holds", async () => {
    const token = makeToken(ec, { ...goodClaims(), aud: [`${"é".repeat(299)}😀`, "x".repeat(5_000)] });
    const error = await validateJwtSvid(token, expected).catch((thrown: unknown) => thrown);
    const { publicMessage } = error as AgentError;
    expect(publicMessage.length).toBeLessThan(400);
    expect(publicMessage.isWellFormed()).toBe(true);
  });
});

describe("a validator that remembers signatures", () => {
  const validator = new JwtValidator();
  const judge = async (token: string, change: Partial<JwtExpectation> = {}) =>
    await validator.validate(token, validator.parse(token), { ...expected, ...change });

  test.each(refusedTokens({ ec, p384, rsa, foreign }))("refuses the same: $rule $what", async ({ token, message }) => {
    const refusal = { code: "INVALID_ARGUMENT", publicMessage: message };
    await expect(judge(token)).rejects.toMatchObject(refusal);
    await expect(judge(token)).rejects.toMatchObject(refusal);
  });

  test("judges audience, time and authority of a known token each time (BDL-10)", async () => {
    const token = makeToken(ec);
    expect(await judge(token)).toEqual({ spiffeId: SUBJECT, claims: goodClaims() });
    expect(validator.parse(token)).toBe(validator.parse(token));
    await expect(judge(token, { audience: "api" })).rejects.toThrow("token is for another audience");
    await expect(judge(token, { now: (NOW + 361) * 1_000 })).rejects.toThrow("token has expired");
    await expect(judge(token, { bundleOf: () => jwtBundle("example.org") })).rejects.toThrow("not found");
    const other = jwtBundle("example.org", makeKey("kid-1"));
    await expect(judge(token, { bundleOf: () => other })).rejects.toThrow("token signature is invalid");
    expect(await judge(token)).toMatchObject({ spiffeId: SUBJECT });
  });

  test("remembers a bounded number", async () => {
    const first = makeToken(ec);
    await judge(first);
    const remembered = validator.parse(first);
    for (let i = 0; i < 600; i++) await judge(makeToken(ec, { ...goodClaims(), i }));
    expect(validator.parse(first)).not.toBe(remembered);
  });
});

describe("accepted tokens", () => {
  const keyOf = { RS: rsa, PS: rsa, ES256: ec, ES384: p384, ES512: p521 };
  test.each(JWT_ALGORITHMS)("%s, signed by jose (JWT-03)", async (alg) => {
    const key = alg.startsWith("ES") ? keyOf[alg as "ES256"] : keyOf[alg.slice(0, 2) as "RS"];
    const token = await new SignJWT(goodClaims())
      .setProtectedHeader({ alg, kid: key.keyId, typ: "JWT" })
      .sign(key.privateKey);
    expect(await validateJwtSvid(token, expected)).toEqual({ spiffeId: SUBJECT, claims: goodClaims() });
  });

  test.each([
    ["typ absent (JWT-06)", {}, { typ: undefined }],
    ["typ JOSE (JWT-06)", {}, { typ: "JOSE" }],
    ["one audience as a text (JWT-08)", { aud: "db" }, {}],
    ["several audiences (JWT-08)", { aud: ["api", "db"] }, {}],
    ["expired less than a minute ago", { exp: NOW - 60 }, {}],
    ["nbf and iat less than a minute ahead", { nbf: NOW + 60, iat: NOW + 60 }, {}],
    ["fractions of seconds", { exp: NOW + 0.5 }, {}],
    ["other claims and jti (JWT-16, JWT-17)", { jti: "x", "https://a.test/role": ["r"], n: 1.5, o: { p: null } }, {}],
    ["unknown header parameters", {}, { x5t: "abc" }],
    ["no path", { sub: "spiffe://example.org" }, {}],
  ])("%s", async (_what, claims, header) => {
    const all: Record<string, unknown> = { ...goodClaims(), ...claims };
    const valid = await validateJwtSvid(makeToken(ec, all, header), expected);
    expect(valid).toEqual({ spiffeId: all.sub, claims: all });
  });

  test("a foreign token by its own domain's bundle (API-29, BDL-01)", async () => {
    const token = makeToken(foreign, { ...goodClaims(), sub: "spiffe://b.test/x" });
    expect((await validateJwtSvid(token, expected)).spiffeId).toBe("spiffe://b.test/x");
  });

  test("claims cannot touch prototypes", async () => {
    const json = JSON.stringify(goodClaims()).replace("{", '{"__proto__":{"admin":true},');
    const { claims } = await validateJwtSvid(
      signParts(part({ alg: "ES256", kid: "kid-1" }), part(json), ec.privateKey),
      {
        ...expected,
      },
    );
    expect(claims.admin).toBeUndefined();
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });
});
