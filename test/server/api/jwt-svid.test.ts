import { createPublicKey } from "node:crypto";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { SVIDService } from "../../../src/gen/spire/api/server/svid/v1/svid.ts";
import type { JWTSVID } from "../../../src/gen/spire/api/types/jwtsvid.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, newAgent, startServer, type TestServer, type TestServerOptions } from "../harness.ts";

/** The token's claims, by the stored bundle. */
async function claimsOf(server: TestServer, svid: JWTSVID | undefined) {
  if (svid === undefined) throw new Error("no SVID");
  const { kid } = decodeProtectedHeader(svid.token);
  const authorities = (await server.store.bundles.get(TD))?.jwtAuthorities ?? [];
  const published = authorities.find(({ keyId }) => keyId === kid);
  const key = createPublicKey({ key: Buffer.from(published?.publicKey ?? []), format: "der", type: "spki" });
  const { payload } = await jwtVerify(svid.token, key, { currentDate: new Date(server.clock.now()) });
  expect([svid.issuedAt, svid.expiresAt]).toEqual([BigInt(payload.iat ?? 0), BigInt(payload.exp ?? 0)]);
  expect(`spiffe://${svid.id?.trustDomain}${svid.id?.path}`).toBe(payload.sub);
  return payload;
}

async function setup(options: TestServerOptions = {}) {
  const server = await startServer(options);
  const agent = await newAgent(server);
  const { agentId: parentId } = agent;
  await server.store.entries.create(entry("a", { parentId, jwtSvidTtl: 60, jwtSvidIncludeJti: true }));
  await server.store.entries.create(entry("b", { parentId, hint: "h" }));
  await server.store.entries.create(entry("other", { parentId: id("/spire/agent/test/other") }));
  const fetch = async (entryId: string, ...audience: string[]) =>
    (await call(agent.client, SVIDService.newJwtsvid, { entryId, audience })).svid;
  return { server, ...agent, fetch };
}

/** A string field of a protobuf message may be long. */
const LONG = "x".repeat(2048);

describe("an agent", () => {
  test("gets a token for an entry, with the entry's TTL and ID", async () => {
    const { server, fetch } = await setup();
    const now = Math.floor(server.clock.now() / 1000);
    const a = await fetch("a", "aud", "", "b");
    const { jti, ...claims } = await claimsOf(server, a);
    expect(claims).toEqual({ sub: id("/a"), aud: ["aud", "b"], iat: now, exp: now + 60 });
    expect(jti).toMatch(/^.{22}$/);
    expect(a?.hint).toBe("");
    expect(await claimsOf(server, await fetch("b", "aud"))).toEqual({
      sub: id("/b"),
      aud: ["aud"],
      iat: now,
      exp: now + 300,
    });
  });

  test("is refused what is not its own, and audiences beyond the bounds", async () => {
    const { fetch } = await setup();
    const { INVALID_ARGUMENT, NOT_FOUND } = GrpcCode;
    const cases: [string, string[], number, string][] = [
      ["", ["aud"], NOT_FOUND, "entry not found or not authorized"],
      ["nobody", ["aud"], NOT_FOUND, "entry not found or not authorized"],
      ["other", ["aud"], NOT_FOUND, "entry not found or not authorized"],
      ["a", [], INVALID_ARGUMENT, "at least one audience is required"],
      ["a", ["", ""], INVALID_ARGUMENT, "at least one audience is required"],
      ["a", Array<string>(65).fill("aud"), INVALID_ARGUMENT, "too many audiences: 64 at most"],
      ["a", [`${LONG}x`], INVALID_ARGUMENT, "audience is longer than 2048 bytes"],
    ];
    for (const [entryId, audience, code, details] of cases) {
      expect(await failure(fetch(entryId, ...audience))).toMatchObject({ code, details });
    }
    expect(decodeJwt((await fetch("a", ...Array<string>(64).fill(LONG)))?.token ?? "").aud).toHaveLength(64);
  });

  test("is refused an entry from the moment that it is gone, or that its time is over", async () => {
    const { server, agentId: parentId, fetch } = await setup();
    const expiresAt = Math.floor(server.clock.now() / 1000) + 60;
    await server.store.entries.create(entry("short", { parentId, expiresAt }));
    for (let i = 0; i < 20; i++) {
      await server.store.entries.create(entry("gone", { parentId }));
      expect(await fetch("gone", "aud")).toBeDefined();
      await server.store.entries.delete("gone");
      expect(await failure(fetch("gone", "aud"))).toMatchObject({ code: GrpcCode.NOT_FOUND });
    }
    expect(await fetch("short", "aud")).toBeDefined();
    await server.clock.advance(60_000);
    expect(await failure(fetch("short", "aud"))).toMatchObject({ code: GrpcCode.NOT_FOUND });
  });

  test("that is banned or evicted gets none", async () => {
    const { server, agentId, fetch } = await setup();
    await call(server.admin, AgentService.banAgent, {
      id: { trustDomain: TD, path: agentId.slice(`spiffe://${TD}`.length) },
    });
    expect(await failure(fetch("a", "aud"))).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
    const other = await setup();
    const path = other.agentId.slice(`spiffe://${TD}`.length);
    await call(other.server.admin, AgentService.deleteAgent, { id: { trustDomain: TD, path } });
    expect(await failure(other.fetch("a", "aud"))).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
  });

  test("waits for its turn where signing is limited", async () => {
    const { fetch, client } = await setup({ options: { rateLimit: { attestation: false, signing: true } } });
    for (let count = 0; count < 500; count++) await fetch("b", "aud");
    const request = { entryId: "b", audience: ["aud"] };
    // 500 a second: the next waits two milliseconds, on a clock that stands still.
    const late = call(client, SVIDService.newJwtsvid, request, 300);
    expect((await failure(late)).code).toBe(GrpcCode.DEADLINE_EXCEEDED);
  });

  test("leaves its mark in the audit log, and not the token", async () => {
    const { server, fetch } = await setup({ options: { auditLog: true } });
    const svid = await fetch("a", "aud", "b");
    const line = server.lines.findLast(({ fields }) => fields.method === "NewJWTSVID");
    expect(line?.fields).toMatchObject({
      type: "audit",
      entry_id: "a",
      spiffe_id: id("/a"),
      audience: "aud,b",
      ttl: 60,
      status: "success",
    });
    expect(JSON.stringify(server.lines)).not.toContain(svid?.token);
  });
});

describe("an administrator", () => {
  const mint = async (server: TestServer, path: string, audience: string[], ttl = 0, trustDomain: string = TD) =>
    (await call(server.admin, SVIDService.mintJwtsvid, { id: { trustDomain, path }, audience, ttl })).svid;

  test("mints a token for any workload", async () => {
    const server = await startServer();
    const now = Math.floor(server.clock.now() / 1000);
    expect(await claimsOf(server, await mint(server, "/minted", ["aud"], 90))).toEqual({
      sub: id("/minted"),
      aud: ["aud"],
      iat: now,
      exp: now + 90,
    });
  });

  test("is refused what is no workload's", async () => {
    const server = await startServer();
    const cases: [Promise<unknown>, string][] = [
      [mint(server, "", ["aud"]), "invalid SPIFFE ID: "],
      [mint(server, "/spire/server", ["aud"]), "invalid SPIFFE ID: "],
      [mint(server, "/a", ["aud"], 0, "other.org"), "invalid SPIFFE ID: "],
      [mint(server, "no-slash", ["aud"]), "invalid SPIFFE ID: "],
      [mint(server, "/a", []), "at least one audience is required"],
      [mint(server, "/a", ["aud"], -1), "ttl cannot be negative"],
      [call(server.admin, SVIDService.mintJwtsvid, { id: undefined, audience: ["a"], ttl: 0 }), "invalid SPIFFE ID: "],
    ];
    for (const [promise, details] of cases) {
      const refused = await failure(promise);
      expect({ details, code: refused.code }).toEqual({ details, code: GrpcCode.INVALID_ARGUMENT });
      expect(refused.details).toContain(details);
    }
  });
});

test("where JWT-SVIDs are disabled, nobody gets one", async () => {
  const { server, fetch } = await setup({ ca: { jwtKeyType: undefined } as never });
  const disabled = { code: GrpcCode.UNIMPLEMENTED, details: "JWT functionality is disabled" };
  expect(await failure(fetch("a", "aud"))).toMatchObject(disabled);
  const request = { id: { trustDomain: TD, path: "/a" }, audience: ["aud"], ttl: 0 };
  expect(await failure(call(server.admin, SVIDService.mintJwtsvid, request))).toMatchObject(disabled);
  expect((await server.store.bundles.get(TD))?.jwtAuthorities).toEqual([]);
});
