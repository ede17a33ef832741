/** JWT-SVIDs for the time without a server: who gets one, for what, and for how long. */
import { decodeJwt } from "jose";
import { describe, expect, test } from "vitest";
import { ReserveService } from "../../../src/gen/holdfast/server/v1/reserve.ts";
import { AgentService } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { reserveTtl } from "../../../src/server/api/jwt-reserve.ts";
import type { ServerOptions } from "../../../src/server/server.ts";
import { entry, id, TD } from "../../fakes/entries.ts";
import { call, failure, newAgent, startServer, type TestServerOptions } from "../harness.ts";

const LIFE_S = 9_000;
const ON: Partial<ServerOptions> = { jwtReserve: { maxAudiences: 2, lifeMs: LIFE_S * 1_000 } };

async function setup(options: Partial<ServerOptions> = ON, more: Partial<TestServerOptions> = {}) {
  const server = await startServer({ ...more, options });
  const agent = await newAgent(server);
  const { agentId: parentId } = agent;
  await server.store.entries.create(entry("plain", { parentId }));
  await server.store.entries.create(entry("ttl", { parentId, jwtSvidTtl: 60 }));
  await server.store.entries.create(entry("jti", { parentId, jwtSvidIncludeJti: true }));
  await server.store.entries.create(entry("other", { parentId: id("/spire/agent/test/other") }));
  const ask = (entryId: string, ...audience: string[]) =>
    call(agent.client, ReserveService.newJwtsvidReserve, { entryId, audience });
  return { server, ...agent, ask };
}

describe("an agent", () => {
  test("gets a token that lives as long as the operator said, and learns the bound of audiences", async () => {
    const { server, ask } = await setup();
    const now = Math.floor(server.clock.now() / 1000);
    const { svid, maxAudiences } = await ask("plain", "a", "b");
    expect(maxAudiences).toBe(2);
    expect(decodeJwt(svid?.token ?? "")).toEqual({ sub: id("/plain"), aud: ["a", "b"], iat: now, exp: now + LIFE_S });
    expect(svid?.expiresAt).toBe(BigInt(now + LIFE_S));
  });

  test("is refused what is not its own, entries that say something of their tokens, and too much", async () => {
    const { ask } = await setup();
    const { FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND } = GrpcCode;
    const cases: [string, string[], number, string][] = [
      ["nobody", ["a"], NOT_FOUND, "entry not found or not authorized"],
      ["other", ["a"], NOT_FOUND, "entry not found or not authorized"],
      ["ttl", ["a"], FAILED_PRECONDITION, "entry has a JWT-SVID TTL of its own"],
      ["jti", ["a"], FAILED_PRECONDITION, "entry's JWT-SVIDs have IDs of their own"],
      ["plain", [], INVALID_ARGUMENT, "at least one audience is required"],
      ["plain", ["a", "b", "c"], INVALID_ARGUMENT, "too many audiences: 2 at most"],
    ];
    for (const [entryId, audience, code, details] of cases) {
      expect(await failure(ask(entryId, ...audience))).toMatchObject({ code, details });
    }
  });

  test("gets none where the operator did not turn it on, and none where JWT-SVIDs are disabled", async () => {
    const off = await setup({});
    expect(await failure(off.ask("plain", "a"))).toMatchObject({
      code: GrpcCode.UNIMPLEMENTED,
      details: "jwt_reserve is not enabled",
    });
    const without = await startServer({ options: ON, deps: { jwtIssuer: undefined as never } });
    const { client } = await newAgent(without);
    const asked = call(client, ReserveService.newJwtsvidReserve, { entryId: "x", audience: ["a"] });
    expect(await failure(asked)).toMatchObject({ code: GrpcCode.UNIMPLEMENTED });
  });

  test("that is banned gets none, nor does anybody but agents", async () => {
    const { server, agentId, ask } = await setup();
    const request = { entryId: "plain", audience: ["a"] };
    for (const client of [server.admin, await server.connect()]) {
      const refused = await failure(call(client, ReserveService.newJwtsvidReserve, request));
      expect(refused).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
    }
    await call(server.admin, AgentService.banAgent, {
      id: { trustDomain: TD, path: agentId.slice(`spiffe://${TD}`.length) },
    });
    expect(await failure(ask("plain", "a"))).toMatchObject({ code: GrpcCode.PERMISSION_DENIED });
  });

  test("gets none beyond the end of the entry", async () => {
    const { server, agentId: parentId, ask } = await setup();
    const expiresAt = Math.floor(server.clock.now() / 1000) + 600;
    await server.store.entries.create(entry("short", { parentId, expiresAt }));
    const { exp } = decodeJwt((await ask("short", "a")).svid?.token ?? "");
    expect(exp).toBeLessThanOrEqual(expiresAt);
    expect(reserveTtl({ expiresAt: 0 }, 9_000_500, 5_000)).toBe(9_000);
    expect(reserveTtl({ expiresAt: 65 }, 9_000_000, 5_000)).toBe(60);
    expect(reserveTtl({ expiresAt: 5 }, 9_000_000, 5_000)).toBe(1);
  });

  test("waits for its turn where signing is limited", async () => {
    const { ask, client } = await setup({ ...ON, rateLimit: { attestation: false, signing: true } });
    for (let count = 0; count < 500; count++) await ask("plain", "a");
    const late = call(client, ReserveService.newJwtsvidReserve, { entryId: "plain", audience: ["a"] }, 300);
    expect((await failure(late)).code).toBe(GrpcCode.DEADLINE_EXCEEDED);
  });

  test("leaves its mark in the audit log, and not the token", async () => {
    const { server, ask } = await setup({ ...ON, auditLog: true });
    const { svid } = await ask("plain", "a", "b");
    await failure(ask("ttl", "a"));
    const lines = server.lines.filter(({ fields }) => fields.method === "NewJWTSVIDReserve" && fields.type === "audit");
    expect(lines.map(({ fields }) => fields)).toMatchObject([
      {
        service: "holdfast.server.v1.Reserve",
        entry_id: "plain",
        spiffe_id: id("/plain"),
        audience: "a,b",
        ttl: LIFE_S,
        status: "success",
      },
      { entry_id: "ttl", status: "error", status_code: "FailedPrecondition" },
    ]);
    expect(JSON.stringify(server.lines)).not.toContain(svid?.token);
  });
});
