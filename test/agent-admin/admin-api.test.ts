/** Debug and Logger on a real socket, and the socket itself. */
import { statSync } from "node:fs";
import { expect, test } from "vitest";
import type { ServerReflectionResponse } from "../../src/gen/grpc/reflection/v1/reflection.ts";
import {
  type GetStatusRequest,
  type GetStatusResponse,
  GetStatusResponse_ServerLink,
} from "../../src/gen/holdfast/agent/v1/status.ts";
import type { GetInfoRequest, GetInfoResponse } from "../../src/gen/spire/api/agent/debug/v1/debug.ts";
import type { Logger } from "../../src/gen/spire/api/types/logger.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { parseSpiffeId } from "../../src/spiffe/id.ts";
import type { Der } from "../../src/spiffe/svid.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { ext, LEAF_ID, makeCa, makeLeaf, ski } from "../pki/make.ts";
import { Reader } from "../workload-api/harness.ts";
import { AdminHarness, ask, FakeAgent, TD } from "./harness.ts";

function getInfo(harness: AdminHarness): Promise<GetInfoResponse | string> {
  const { debug } = harness;
  return ask<GetInfoRequest, GetInfoResponse>((request, callback) => debug.getInfo(request, callback), {});
}

function setLevel(harness: AdminHarness, newLevel: number): Promise<Logger | string> {
  const { logger } = harness;
  return ask<{ newLevel: number }, Logger>(
    (request, callback) => logger.setLogLevel(request as Parameters<typeof logger.setLogLevel>[0], callback),
    { newLevel },
  );
}

test("only its owner and its group may use the socket", async () => {
  await using harness = await AdminHarness.open(new FakeAgent());
  expect(statSync(harness.path).mode & 0o777).toBe(0o770);
});

test("GetInfo tells the agent's chain up to its root, and counts", async () => {
  const root = await TestCa.create(TD);
  const ca = await root.subordinate();
  const svid = await ca.svid(parseSpiffeId("spiffe://example.org/spire/agent/join_token/x"));
  const agent = new FakeAgent();
  agent.now = { ...agent.now, svid, bundle: root.bundle(), lastSyncAt: 5_999 };
  await using harness = await AdminHarness.open(agent);
  expect(await getInfo(harness)).toMatchObject({
    svidChain: [
      {
        id: { trustDomain: "example.org", path: "/spire/agent/join_token/x" },
        expiresAt: BigInt(svid.notAfter / 1_000),
        subject: expect.stringContaining("O=SPIRE,C=US"),
      },
      { id: { trustDomain: "example.org", path: "" }, subject: expect.stringContaining("OU=DOWNSTREAM-1") },
      { id: { trustDomain: "example.org", path: "" } },
    ],
    svidsCount: 2,
    cachedX509SvidsCount: 2,
    cachedJwtSvidsCount: 3,
    cachedSvidstoreX509SvidsCount: 0,
    lastSyncSuccess: 5n,
  });
});

test.for([
  ["no SPIFFE ID", ["https://ca.example.org"]],
  ["none at all", []],
  ["several", ["spiffe://example.org", "spiffe://other.test"]],
] as const)(
  "GetInfo leaves out the ID of an authority whose URI is %s",
  async ([_name, uris], { expect: expected }) => {
    const made = makeCa();
    const names = uris.length === 0 ? [] : [ext.uri(...uris)];
    const root = makeCa(undefined, { key: made.key, extensions: [ext.ca, ext.caUsage, ...names, ski(made.key)] });
    const [chain, certificate] = [[makeLeaf(root).der as Der], root.der as Der];
    const agent = new FakeAgent();
    const { bundle } = agent.now;
    agent.now = {
      ...agent.now,
      svid: { ...(await (await TestCa.create(TD)).svid(parseSpiffeId(LEAF_ID))), chain },
      bundle: { ...bundle, x509Authorities: [{ certificate, tainted: false }] },
    };
    await using harness = await AdminHarness.open(agent);
    expected(await getInfo(harness)).toMatchObject({
      svidChain: [{ id: { trustDomain: "example.org", path: "/workload" } }, { id: undefined }],
    });
  },
);

test("GetInfo is answered anew after five seconds", async () => {
  let now = 0;
  const root = await TestCa.create(TD);
  const svid = await root.svid(parseSpiffeId("spiffe://example.org/spire/agent/join_token/x"));
  const agent = new FakeAgent();
  agent.now = { ...agent.now, svid, bundle: root.bundle() };
  const clock = { ...boundSystemClock(), monotonic: () => now };
  await using harness = await AdminHarness.open(agent, clock);
  expect(await getInfo(harness)).toMatchObject({ uptime: 0, svidsCount: 2 });
  agent.now = { ...agent.now, x509Svids: 9 };
  now = 4_999;
  expect(await getInfo(harness)).toMatchObject({ uptime: 0, svidsCount: 2 });
  now = 5_000;
  expect(await getInfo(harness)).toMatchObject({ uptime: 5, svidsCount: 9 });
});

test("GetInfo fails without an SVID that the bundle verifies, and does not keep the failure", async () => {
  const [root, other] = [await TestCa.create(TD), await TestCa.create(TD)];
  const svid = await root.svid(parseSpiffeId("spiffe://example.org/spire/agent/join_token/x"));
  const agent = new FakeAgent();
  await using harness = await AdminHarness.open(agent);
  expect(await getInfo(harness)).toBe("14 the agent has no SVID");
  agent.now = { ...agent.now, svid, bundle: other.bundle() };
  expect(await getInfo(harness)).toMatch(/^13 failed to verify agent SVID: /);
  agent.now = { ...agent.now, bundle: root.bundle() };
  expect(await getInfo(harness)).toMatchObject({ svidsCount: 2 });
});

test("Logger shows, sets and resets the level", async () => {
  await using harness = await AdminHarness.open(new FakeAgent());
  const { logger } = harness;
  const get = (): Promise<Logger | string> =>
    ask<object, Logger>((request, callback) => logger.getLogger(request, callback), {});
  expect(await get()).toEqual({ currentLevel: 5, launchLevel: 5 });
  expect(await setLevel(harness, 6)).toEqual({ currentLevel: 6, launchLevel: 5 });
  expect(harness.root.level).toBe("debug");
  expect(await setLevel(harness, 0)).toBe("3 newLevel value cannot be LogLevel_UNSPECIFIED");
  expect(await setLevel(harness, 8)).toBe("3 unsupported log level");
  expect(await get()).toEqual({ currentLevel: 6, launchLevel: 5 });
  expect(await ask<object, Logger>((request, callback) => logger.resetLogLevel(request, callback), {})).toEqual({
    currentLevel: 5,
    launchLevel: 5,
  });
  expect(harness.root.level).toBe("info");
  expect(harness.log.lines.map(({ message }) => message)).toContain("The log level is changed");
});

test("GetStatus tells how the agent is, what is most urgent first", async () => {
  const root = await TestCa.create(TD);
  const svid = await root.svid(parseSpiffeId("spiffe://example.org/spire/agent/join_token/x"));
  const agent = new FakeAgent();
  await using harness = await AdminHarness.open(agent);
  const { status } = harness;
  const getStatus = (maxIdentities = 0): Promise<GetStatusResponse | string> =>
    ask<GetStatusRequest, GetStatusResponse>((request, callback) => status.getStatus(request, callback), {
      maxIdentities,
    });
  agent.now = { ...agent.now, connected: false };
  expect(await getStatus()).toMatchObject({
    version: "1.2.3",
    uptime: 0n,
    trustDomain: "example.org",
    agentSvid: undefined,
    serverLink: GetStatusResponse_ServerLink.SERVER_LINK_DOWN,
    lastSyncAt: 0n,
    problems: [],
    identities: [],
  });
  const spiffeId = parseSpiffeId("spiffe://example.org/web");
  agent.entries = [
    { entryId: "late", spiffeId, issuedAt: 2_000, expiresAt: 9_999, renewsAt: 5_000, failed: false },
    { entryId: "soon", spiffeId, issuedAt: 1_000, expiresAt: 8_000, renewsAt: 4_000, failed: true },
    { entryId: "none", spiffeId, failed: true },
  ];
  agent.now = {
    ...agent.now,
    svid,
    connected: true,
    watching: true,
    lastSyncAt: 7_000,
    problems: new Map([
      ["sync", "b"],
      ["signing", "a"],
    ]),
  };
  const id = { trustDomain: "example.org", path: "/web" };
  expect(await getStatus(2)).toEqual({
    version: "1.2.3",
    uptime: 0n,
    trustDomain: "example.org",
    agentSvid: {
      id: { trustDomain: "example.org", path: "/spire/agent/join_token/x" },
      expiresAt: BigInt(svid.notAfter / 1_000),
      issuedAt: BigInt(svid.notBefore / 1_000),
    },
    serving: true,
    serverLink: GetStatusResponse_ServerLink.SERVER_LINK_PUSHED,
    lastSyncAt: 7n,
    problems: [
      { topic: "signing", text: "a" },
      { topic: "sync", text: "b" },
    ],
    identities: [
      { entryId: "none", id, expiresAt: 0n, renewsAt: 0n, failed: true, issuedAt: 0n },
      { entryId: "soon", id, expiresAt: 8n, renewsAt: 4n, failed: true, issuedAt: 1n },
    ],
    identitiesCount: 3n,
    x509SvidsCount: 2n,
    jwtSvidsCount: 3n,
    outageBudget: 7_200n,
    storage: "file",
  });
  agent.now = { ...agent.now, watching: false };
  expect(await getStatus()).toMatchObject({ serverLink: GetStatusResponse_ServerLink.SERVER_LINK_POLLING });
});

test("reflection knows every service of the socket", async () => {
  await using harness = await AdminHarness.open(new FakeAgent());
  const stream = harness.reflection.serverReflectionInfo();
  const answers = new Reader<ServerReflectionResponse>(stream);
  stream.write({ host: "", messageRequest: { $case: "listServices", value: "" } });
  const list = (await answers.next()).messageResponse;
  const names = list?.$case === "listServicesResponse" ? list.value.service.map(({ name }) => name) : [];
  expect(names).toEqual([
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "holdfast.agent.v1.Status",
    "spire.agent.debug.v1.Debug",
    "spire.api.agent.delegatedidentity.v1.DelegatedIdentity",
    "spire.api.agent.logger.v1.Logger",
  ]);
  for (const name of names) {
    stream.write({ host: "", messageRequest: { $case: "fileContainingSymbol", value: name } });
    expect((await answers.next()).messageResponse?.$case).toBe("fileDescriptorResponse");
  }
  stream.end();
});

function boundSystemClock(): typeof systemClock {
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    after: (ms, fire) => systemClock.after(ms, fire),
  };
}
