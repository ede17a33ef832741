import { createPublicKey } from "node:crypto";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { jwkFromSpki } from "../../../src/pki/jwk.ts";
import { generateKey, spkiOf } from "../../../src/pki/keys.ts";
import { WitSvidIssuer, type WitSvidIssuerDeps } from "../../../src/server/ca/wit-issuer.ts";
import { readyCa } from "../../fakes/ca.ts";
import { id, TD } from "../../fakes/entries.ts";

async function issuing(change: Partial<WitSvidIssuerDeps> = {}) {
  const { ca, deps } = await readyCa({ witKeyType: "ec-p256", jwtKeyType: "ec-p256" });
  const wit = ca.wit!;
  const { clock } = deps;
  const issuer = new WitSvidIssuer({ active: wit.active, clock, trustDomain: TD, witSvidTtlMs: 3_600_000, ...change });
  const publicKey = spkiOf(await generateKey("ec-p256"));
  const issue = (request: Partial<Parameters<WitSvidIssuer["issueWitSvid"]>[0]> = {}) =>
    issuer.issueWitSvid({ spiffeId: id("/a"), publicKey, algorithm: "ES256", ttl: 0, ...request });
  /** The claims, by the published WIT key of the token's `kid` alone (WIT-23). */
  const claims = async (token: string) => {
    const { kid } = decodeProtectedHeader(token);
    const published = (await deps.store.bundles.get(TD))?.witAuthorities.find(({ keyId }) => keyId === kid);
    const key = createPublicKey({ key: Buffer.from(published?.publicKey ?? []), format: "der", type: "spki" });
    return (await jwtVerify(token, key, { currentDate: new Date(clock.now()), typ: "wit+jwt" })).payload;
  };
  return { ca, wit, deps, clock, publicKey, issue, claims, seconds: Math.floor(clock.now() / 1000) };
}

describe("a WIT-SVID", () => {
  test("is a compact JWS with the header that the standard allows (WIT-01 to WIT-05)", async () => {
    const { wit, issue } = await issuing();
    expect(decodeProtectedHeader((await issue()).token)).toEqual({
      alg: "ES256",
      kid: wit.active.value?.authorityId,
      typ: "wit+jwt",
    });
  });

  test("names its holder's key with its algorithm, and no audience (WIT-07 to WIT-10, WIT-12, WIT-13, WIT-15, WIT-17)", async () => {
    const { issue, claims, publicKey, seconds } = await issuing();
    const issued = await issue();
    expect(await claims(issued.token)).toEqual({
      sub: id("/a"),
      iat: seconds,
      exp: seconds + 3600,
      cnf: { jwk: { ...jwkFromSpki(publicKey), alg: "ES256" } },
    });
    expect(issued).toMatchObject({ issuedAt: seconds, expiresAt: seconds + 3600 });
  });

  test("has the TTL and the issuer that were asked for, and never outlives its key (WIT-12, WIT-16)", async () => {
    const { issue, claims, seconds, wit, clock } = await issuing({ issuer: "https://issuer.example.org" });
    expect(await claims((await issue({ ttl: 60 })).token)).toMatchObject({
      iss: "https://issuer.example.org",
      exp: seconds + 60,
    });
    const end = Math.floor((wit.active.value?.notAfter ?? 0) / 1000);
    expect((await issue({ ttl: 10 ** 9 })).expiresAt).toBe(end);
    await clock.advance(end * 1000 - clock.now());
    await expect(issue()).rejects.toMatchObject({
      code: "UNAVAILABLE",
      publicMessage: "WIT key is not available for signing",
    });
  });

  test("is not for a server", async () => {
    const { issue } = await issuing();
    await expect(issue({ spiffeId: id("/spire/server") })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("is by a key whose ID no other key of the bundle has, JWT keys included (WIT-22)", async () => {
    const { ca, deps } = await issuing();
    for (let count = 0; count < 3; count++) await Promise.all([ca.wit!.prepare(), ca.jwt!.prepare()]);
    const { jwtAuthorities = [], witAuthorities = [] } = (await deps.store.bundles.get(TD)) ?? {};
    const ids = [...jwtAuthorities, ...witAuthorities].map(({ keyId }) => keyId);
    expect(ids).toHaveLength(8);
    expect(new Set(ids).size).toBe(8);
  });
});
