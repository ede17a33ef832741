import { createPublicKey } from "node:crypto";
import { decodeProtectedHeader, type JWTPayload, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import type { KeyType } from "../../../src/pki/keys.ts";
import { JwtSvidIssuer, type JwtSvidIssuerDeps } from "../../../src/server/ca/jwt-issuer.ts";
import { parseSpiffeId } from "../../../src/spiffe/id.ts";
import { readyCa, seededRandom } from "../../fakes/ca.ts";
import { id, TD } from "../../fakes/entries.ts";

async function issuing(change: Partial<JwtSvidIssuerDeps> = {}, jwtKeyType: KeyType = "ec-p256") {
  const { ca, deps } = await readyCa({ jwtKeyType });
  const { jwt } = ca;
  if (jwt === undefined) throw new Error("no JWT authorities");
  const { clock } = deps;
  const issuer = new JwtSvidIssuer({
    active: jwt.active,
    clock,
    random: seededRandom(7),
    trustDomain: TD,
    jwtSvidTtlMs: 300_000,
    ...change,
  });
  const issue = (request: Partial<Parameters<JwtSvidIssuer["issueJwtSvid"]>[0]> = {}) =>
    issuer.issueJwtSvid({ spiffeId: id("/a"), audience: ["aud"], ttl: 0, includeJti: false, ...request });
  /** The claims, by the published key of the token's `kid` alone. */
  const claims = async (token: string): Promise<JWTPayload> => {
    const { kid } = decodeProtectedHeader(token);
    const bundle = await deps.store.bundles.get(TD);
    const published = bundle?.jwtAuthorities.find(({ keyId }) => keyId === kid);
    const key = createPublicKey({ key: Buffer.from(published?.publicKey ?? []), format: "der", type: "spki" });
    return (await jwtVerify(token, key, { currentDate: new Date(clock.now()), audience: "aud" })).payload;
  };
  return { ca, jwt, clock, issue, claims, seconds: () => Math.floor(clock.now() / 1000) };
}

describe("a JWT-SVID", () => {
  test.each<[KeyType, string]>([
    ["ec-p256", "ES256"],
    ["ec-p384", "ES384"],
    ["rsa-2048", "RS256"],
  ])("of a %s authority has the header that the standard allows (JWT-02, JWT-03, JWT-06)", async (type, alg) => {
    const { jwt, issue, claims } = await issuing({}, type);
    const { token } = await issue();
    expect(decodeProtectedHeader(token)).toEqual({ alg, kid: jwt.active.value?.authorityId, typ: "JWT" });
    expect(await claims(token)).toMatchObject({ sub: id("/a") });
  });

  test("has sub, aud, iat and exp, and nothing that nobody asked for (ID-19, JWT-07, JWT-08, JWT-11)", async () => {
    const { issue, claims, seconds } = await issuing();
    const issued = await issue({ audience: ["aud", "b"] });
    const life = { iat: seconds(), exp: seconds() + 300 };
    expect(await claims(issued.token)).toEqual({ sub: id("/a"), aud: ["aud", "b"], ...life });
    expect(issued).toMatchObject({ issuedAt: life.iat, expiresAt: life.exp });
    expect(await claims((await issue()).token)).toMatchObject({ aud: ["aud"] });
  });

  test("has the TTL that was asked for, and never outlives its key", async () => {
    const { issue, claims, seconds, jwt, clock } = await issuing();
    expect(await claims((await issue({ ttl: 60 })).token)).toMatchObject({ exp: seconds() + 60 });
    const end = Math.floor((jwt.active.value?.notAfter ?? 0) / 1000);
    expect(await claims((await issue({ ttl: 10 ** 9 })).token)).toMatchObject({ exp: end });
    await clock.advance(end * 1000 - clock.now());
    await expect(issue()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await clock.advance(10_000);
    await expect(issue()).rejects.toMatchObject({
      code: "UNAVAILABLE",
      publicMessage: "JWT key is not available for signing",
    });
  });

  test("names the issuer where there is one, and an ID of its own where it is asked for (JWT-16, JWT-17)", async () => {
    const { issue, claims } = await issuing({ issuer: "https://issuer.example.org" });
    const jtis = new Set<string | undefined>();
    for (let count = 0; count < 10; count++) {
      const { iss, jti } = await claims((await issue({ includeJti: true })).token);
      expect(iss).toBe("https://issuer.example.org");
      expect(jti).toMatch(/^[A-Za-z0-9_-]{22}$/);
      jtis.add(jti);
    }
    expect(jtis.size).toBe(10);
    expect(await claims((await issue()).token)).not.toHaveProperty("jti");
  });

  test("is by the key that is active at the moment", async () => {
    const { issue, claims, jwt } = await issuing();
    const first = (await issue()).token;
    const { authorityId } = await jwt.prepare();
    expect(decodeProtectedHeader((await issue()).token).kid).toBe(decodeProtectedHeader(first).kid);
    await jwt.activate(authorityId);
    const second = (await issue()).token;
    expect(decodeProtectedHeader(second).kid).toBe(authorityId);
    expect([await claims(first), await claims(second)]).toMatchObject([{ sub: id("/a") }, { sub: id("/a") }]);
  });

  test.each([id("/spire/server"), id("/spire/agent/x"), id(""), parseSpiffeId("spiffe://other.org/a")])(
    "is not for %s",
    async (spiffeId) => {
      const { issue } = await issuing();
      await expect(issue({ spiffeId })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    },
  );

  test("is for somebody (JWT-08)", async () => {
    const { issue } = await issuing();
    await expect(issue({ audience: [] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
