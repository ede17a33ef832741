import { describe, expect, test } from "vitest";
import { AgentService, type ListAgentsRequest } from "../../../src/gen/spire/api/server/agent/v1/agent.ts";
import { AgentMask } from "../../../src/gen/spire/api/types/agent.ts";
import { GrpcCode } from "../../../src/lib/grpc-status.ts";
import { createCsr } from "../../../src/pki/csr.ts";
import { generateKey } from "../../../src/pki/keys.ts";
import { parseExpiresBefore } from "../../../src/server/api/wire-agent.ts";
import type { X509Svid } from "../../../src/spiffe/svid.ts";
import { id, node, selectors } from "../../fakes/entries.ts";
import { attest, call, failure, newAgent, newToken, startServer, type TestServer, toSvid } from "../harness.ts";

const path = (name: string) => ({ trustDomain: "example.org", path: `/spire/agent/test/${name}` });
const ALL = { filter: undefined, outputMask: undefined, pageSize: 0, pageToken: "" };
const NO_FILTER = {
  byAttestationType: "",
  bySelectorMatch: undefined,
  byBanned: undefined,
  byCanReattest: undefined,
  byExpiresBefore: "",
};

async function serverWithNodes(): Promise<TestServer> {
  const server = await startServer();
  await server.store.nodes.put(node("a", { selectors: selectors("x:1", "x:2"), serial: "7", agentVersion: "1.2" }));
  await server.store.nodes.put(node("b", { attestationType: "other", canReattest: true, expiresAt: 1_000 }));
  await server.store.nodes.put(node("c", { serial: "" }));
  return server;
}

async function list(server: TestServer, request: Partial<ListAgentsRequest>): Promise<string> {
  const { agents } = await call(server.admin, AgentService.listAgents, { ...ALL, ...request });
  return agents.map((agent) => agent.id?.path.at(-1)).join("");
}

describe("administrators", () => {
  test("list agents, by condition and in pages", async () => {
    const server = await serverWithNodes();
    expect(await list(server, {})).toBe("abc");
    const by = (filter: Partial<typeof NO_FILTER> & object) => list(server, { filter: { ...NO_FILTER, ...filter } });
    expect(await by({ byAttestationType: "other" })).toBe("b");
    expect(await by({ byBanned: true as never })).toBe("c");
    expect(await by({ byBanned: false as never })).toBe("ab");
    expect(await by({ byCanReattest: true as never })).toBe("b");
    expect(await by({ byExpiresBefore: "1970-01-01 01:00:00 +0000 +00" })).toBe("b");
    expect(await by({ bySelectorMatch: { selectors: [{ type: "x", value: "1" }], match: 2 } as never })).toBe("a");
    expect(await by({ byAttestationType: "other", byBanned: true as never })).toBe("");
    const first = await call(server.admin, AgentService.listAgents, { ...ALL, pageSize: 2 });
    expect(first.agents).toHaveLength(2);
    const rest = await call(server.admin, AgentService.listAgents, {
      ...ALL,
      pageSize: 2,
      pageToken: first.nextPageToken,
    });
    expect(rest).toMatchObject({ agents: [{ banned: true }], nextPageToken: "" });
    // Without a size there are no pages, and the token says nothing.
    expect(await list(server, { pageToken: "nonsense" })).toBe("abc");
    expect(await call(server.admin, AgentService.countAgents, { filter: undefined })).toEqual({ count: 3 });
    expect(await call(server.admin, AgentService.countAgents, { filter: { ...NO_FILTER, byBanned: true } })).toEqual({
      count: 1,
    });
  });

  test("are told what is wrong with a condition", async () => {
    const server = await serverWithNodes();
    const refused = async (filter: object) =>
      await failure(call(server.admin, AgentService.listAgents, { ...ALL, filter: { ...NO_FILTER, ...filter } }));
    for (const [filter, why] of [
      [{ bySelectorMatch: { selectors: [], match: 0 } }, "failed to parse selectors: empty selector set"],
      [{ bySelectorMatch: { selectors: [{ type: "a:b", value: "x" }], match: 0 } }, "selector type contains ':'"],
      [{ bySelectorMatch: { selectors: [{ type: "a", value: "x" }], match: 9 } }, "unknown match behavior 9"],
      [{ byExpiresBefore: "tomorrow" }, "by_expires_before must look like"],
    ] as const) {
      expect(await refused(filter)).toMatchObject({
        code: GrpcCode.INVALID_ARGUMENT,
        details: expect.stringContaining(why) as string,
      });
    }
    const bad = await failure(
      call(server.admin, AgentService.listAgents, { ...ALL, pageSize: 1, pageToken: "nonsense" }),
    );
    expect(bad.code).toBe(GrpcCode.INVALID_ARGUMENT);
  });

  test("get an agent, whole or masked", async () => {
    const server = await serverWithNodes();
    expect(await call(server.admin, AgentService.getAgent, { id: path("a"), outputMask: undefined })).toEqual({
      id: path("a"),
      attestationType: "test",
      x509svidSerialNumber: "7",
      x509svidExpiresAt: 4_000_000_000n,
      selectors: selectors("x:1", "x:2"),
      banned: false,
      canReattest: false,
      agentVersion: "1.2",
    });
    const outputMask = AgentMask.fromPartial({ agentVersion: true });
    expect(await call(server.admin, AgentService.getAgent, { id: path("a"), outputMask })).toMatchObject({
      id: path("a"),
      attestationType: "",
      selectors: [],
      agentVersion: "1.2",
    });
  });

  test.each([
    [undefined, "request must specify SPIFFE ID"],
    [{ trustDomain: "other.org", path: "/spire/agent/x/y" }, "is not a member of trust domain"],
    [{ trustDomain: "example.org", path: "" }, "path is empty"],
    [{ trustDomain: "example.org", path: "/workload" }, "path is not in the agent namespace"],
    [{ trustDomain: "example.org", path: "no-slash" }, "leading slash"],
    [{ trustDomain: "EXAMPLE", path: "/x" }, "trust domain characters"],
  ])("are told what is wrong with ID %j", async (wrong, why) => {
    const server = await startServer();
    for (const method of [AgentService.deleteAgent, AgentService.banAgent]) {
      const refused = await failure(call(server.admin, method, { id: wrong }));
      expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
      expect(refused.details).toContain("invalid agent ID: ");
      expect(refused.details).toContain(why);
    }
    expect((await failure(call(server.admin, AgentService.getAgent, { id: wrong, outputMask: undefined }))).code).toBe(
      GrpcCode.INVALID_ARGUMENT,
    );
  });

  test("are told when there is no such agent", async () => {
    const server = await startServer();
    const gone = { code: GrpcCode.NOT_FOUND, details: "agent not found" };
    expect(await failure(call(server.admin, AgentService.deleteAgent, { id: path("x") }))).toMatchObject(gone);
    expect(await failure(call(server.admin, AgentService.banAgent, { id: path("x") }))).toMatchObject(gone);
    const get = call(server.admin, AgentService.getAgent, { id: path("x"), outputMask: undefined });
    expect(await failure(get)).toMatchObject(gone);
  });

  test("evict an agent, which may come back with a new proof", async () => {
    const server = await startServer();
    const token = await newToken(server, id("/fleet"));
    const svid = await attest(server, token);
    const agentId = { trustDomain: "example.org", path: `/spire/agent/join_token/${token}` };
    await server.store.entries.create({
      ...(await server.store.entries.list({}, { size: 0, token: "" })).items[0]!,
      entryId: "kept",
      spiffeId: id("/kept"),
      selectors: selectors("unix:uid:1"),
    });
    await call(server.admin, AgentService.deleteAgent, { id: agentId });
    const { items } = await server.store.entries.list({}, { size: 0, token: "" });
    expect(items.map(({ entryId }) => entryId)).toEqual(["kept"]);
    expect(await failure(post(server, svid))).toMatchObject({
      code: GrpcCode.PERMISSION_DENIED,
      details: "authorization denied for method /spire.api.server.agent.v1.Agent/PostStatus",
      reason: "AGENT_NOT_ATTESTED",
    });
  });

  test("ban an agent, which is refused from its next call on", async () => {
    const server = await startServer();
    const { client, agentId } = await newAgent(server);
    const status = { currentBundleSerial: 0n, agentVersion: "1" };
    await call(client, AgentService.postStatus, status);
    await call(server.admin, AgentService.banAgent, {
      id: { trustDomain: "example.org", path: agentId.slice("spiffe://example.org".length) },
    });
    expect(await failure(call(client, AgentService.postStatus, status))).toMatchObject({ reason: "AGENT_BANNED" });
  });
});

test("agents and strangers administrate nothing", async () => {
  const server = await startServer();
  const { client } = await newAgent(server);
  for (const caller of [client, await server.connect()]) {
    const refused = await failure(call(caller, AgentService.listAgents, ALL));
    expect(refused).toMatchObject({ code: GrpcCode.PERMISSION_DENIED, reason: undefined });
  }
});

describe("an agent's status", () => {
  test("is its version", async () => {
    const server = await startServer();
    const { svid, agentId } = await newAgent(server);
    await post(server, svid, "1.2.3");
    expect((await server.store.nodes.get(agentId))?.agentVersion).toBe("1.2.3");
    await post(server, svid, "");
    expect((await server.store.nodes.get(agentId))?.agentVersion).toBe("1.2.3");
    expect(await failure(post(server, svid, "x".repeat(256)))).toMatchObject({
      code: GrpcCode.INVALID_ARGUMENT,
      details: "agent version is too long (max 255 characters)",
    });
  });
});

describe("renewal", () => {
  async function renew(server: TestServer, svid: X509Svid): Promise<X509Svid> {
    const privateKey = await generateKey("ec-p256");
    const params = { csr: await createCsr({ privateKey }) };
    const response = await call(await server.connect(svid), AgentService.renewAgent, { params });
    return toSvid(response.svid, privateKey);
  }

  test("leaves the old SVID working until the new one is used", async () => {
    const server = await startServer();
    const { svid, agentId } = await newAgent(server);
    const renewed = await renew(server, svid);
    expect(renewed.spiffeId).toBe(agentId);
    await post(server, svid);
    await post(server, renewed);
    expect(await failure(post(server, svid))).toMatchObject({ reason: "AGENT_NOT_ACTIVE" });
    await post(server, renewed);
  });

  test("asked twice, only the later SVID can take over", async () => {
    const server = await startServer();
    const { svid } = await newAgent(server);
    const lost = await renew(server, svid);
    const renewed = await renew(server, svid);
    expect(await failure(post(server, lost))).toMatchObject({ reason: "AGENT_NOT_ACTIVE" });
    await post(server, renewed);
  });

  test("is refused to one that has to attest anew", async () => {
    const server = await startServer();
    const { svid, agentId } = await newAgent(server);
    await server.store.nodes.update(agentId, { canReattest: true });
    expect(await failure(renew(server, svid))).toMatchObject({
      code: GrpcCode.PERMISSION_DENIED,
      details: "agent must reattest instead of renew",
      reason: "AGENT_MUST_REATTEST",
    });
  });

  test("is refused for a request that its key's owner did not sign", async () => {
    const server = await startServer();
    const { svid } = await newAgent(server);
    const client = await server.connect(svid);
    const csr = Uint8Array.from(await createCsr({ privateKey: await generateKey("ec-p256") }));
    csr[csr.length - 1] = (csr.at(-1) ?? 0) ^ 1;
    for (const [params, why] of [
      [undefined, "params cannot be nil"],
      [{ csr: Buffer.alloc(0) }, "missing CSR"],
      [{ csr: Buffer.from("?") }, "failed to parse CSR"],
      [{ csr }, "invalid CSR signature"],
    ] as const) {
      const refused = await failure(call(client, AgentService.renewAgent, { params }));
      expect(refused.code).toBe(GrpcCode.INVALID_ARGUMENT);
      expect(refused.details).toContain(why);
    }
  });
});

test.each([
  ["2026-11-22 10:00:00 +0000 +00", Date.UTC(2026, 10, 22, 10) / 1000],
  ["2026-11-22 10:00:00 +0130 +0130", Date.UTC(2026, 10, 22, 8, 30) / 1000],
  ["2026-11-22 10:00:00 -0700 -07", Date.UTC(2026, 10, 22, 17) / 1000],
  ["2026-11-22 10:00:00 -0700 MST", Date.UTC(2026, 10, 22, 17) / 1000],
])("%s is a moment", (text, seconds) => {
  expect(parseExpiresBefore(text)).toBe(seconds);
});

test.each(["", "2026-11-22", "2026-13-22 10:00:00 +0000 +00", "2026-11-22T10:00:00Z"])("%j is none", (text) => {
  expect(() => parseExpiresBefore(text)).toThrow("by_expires_before");
});

async function post(server: TestServer, svid: X509Svid, agentVersion = ""): Promise<void> {
  await call(await server.connect(svid), AgentService.postStatus, { currentBundleSerial: 0n, agentVersion });
}
