import { describe, expect, test } from "vitest";
import { HealthService } from "../../src/gen/grpc/health/v1/health.ts";
import { NodesService } from "../../src/gen/holdfast/server/v1/nodes.ts";
import { ReserveService } from "../../src/gen/holdfast/server/v1/reserve.ts";
import { WatchService } from "../../src/gen/holdfast/server/v1/watch.ts";
import { AgentService } from "../../src/gen/spire/api/server/agent/v1/agent.ts";
import { BundleService } from "../../src/gen/spire/api/server/bundle/v1/bundle.ts";
import { DebugService } from "../../src/gen/spire/api/server/debug/v1/debug.ts";
import { EntryService } from "../../src/gen/spire/api/server/entry/v1/entry.ts";
import { LocalAuthorityService } from "../../src/gen/spire/api/server/localauthority/v1/localauthority.ts";
import { LoggerService } from "../../src/gen/spire/api/server/logger/v1/logger.ts";
import { SVIDService } from "../../src/gen/spire/api/server/svid/v1/svid.ts";
import { TrustDomainService } from "../../src/gen/spire/api/server/trustdomain/v1/trustdomain.ts";
import { Authorizer } from "../../src/server/authz.ts";
import { AUTHORIZED_METHODS, allowedCallers, type CallerKind } from "../../src/server/authz-table.ts";
import type { Caller, CallerSvid } from "../../src/server/caller.ts";
import { Refused } from "../../src/server/refused.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/spiffe/id.ts";
import { entry, id, node } from "../fakes/entries.ts";
import { tempDataStore } from "../fakes/temp-datastore.ts";

const SERVICES = [
  AgentService,
  BundleService,
  EntryService,
  SVIDService,
  TrustDomainService,
  LocalAuthorityService,
  LoggerService,
  DebugService,
  HealthService,
  NodesService,
  ReserveService,
  WatchService,
];
const DEFINED = SERVICES.flatMap((service) => Object.values(service).map(({ path }) => path as string));

/** Written down a second time, from the specification: a slip in the source must not go unnoticed. */
const SPEC: Readonly<Record<string, readonly CallerKind[]>> = {
  ...Object.fromEntries(
    [
      "agent.v1.Agent/RenewAgent",
      "agent.v1.Agent/PostStatus",
      "svid.v1.SVID/BatchNewX509SVID",
      "svid.v1.SVID/NewJWTSVID",
      "svid.v1.SVID/BatchNewWITSVID",
      "entry.v1.Entry/GetAuthorizedEntries",
      "entry.v1.Entry/SyncAuthorizedEntries",
    ].map((name) => [`/spire.api.server.${name}`, ["agent"]]),
  ),
  "/holdfast.server.v1.Reserve/NewJWTSVIDReserve": ["agent"],
  "/holdfast.server.v1.Watch/WatchAuthorized": ["agent"],
  "/spire.api.server.agent.v1.Agent/AttestAgent": ["any"],
  "/spire.api.server.bundle.v1.Bundle/GetBundle": ["any"],
  "/spire.api.server.bundle.v1.Bundle/GetFederatedBundle": ["local", "admin", "agent"],
  "/spire.api.server.svid.v1.SVID/NewDownstreamX509CA": ["downstream"],
  "/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority": ["downstream"],
  "/spire.api.server.bundle.v1.Bundle/PublishWITAuthority": ["downstream"],
};

function expected(method: string): readonly CallerKind[] {
  if (/\.(Debug|Logger|Health)\//.test(method)) return ["local"];
  return SPEC[method] ?? ["local", "admin"];
}

const NOW = 1_800_000_000_000;
const AGENT = node("one").agentId;
const ADMIN = id("/admin");
const CONFIGURED = parseSpiffeId("spiffe://other.org/operator");
const DOWNSTREAM = id("/downstream");

async function setup() {
  const { store, clock } = await tempDataStore();
  clock.setWall(NOW);
  await store.nodes.put(node("one", { serial: "11", pendingSerial: "12", pendingExpiresAt: 5 }));
  await store.nodes.put(node("banned", { serial: "", pendingSerial: "" }));
  await store.entries.create(entry("admin", { spiffeId: ADMIN, admin: true }));
  await store.entries.create(entry("downstream", { spiffeId: DOWNSTREAM, downstream: true }));
  await store.entries.create(entry("workload", { spiffeId: id("/workload") }));
  const past = NOW / 1000 - 1;
  await store.entries.create(
    entry("former", { spiffeId: id("/former"), admin: true, downstream: true, expiresAt: past }),
  );
  const authorizer = new Authorizer({ clock, datastore: store, adminIds: new Set([CONFIGURED]) });
  return { store, clock, authorizer };
}

function tls(spiffeId: SpiffeId, change: Partial<CallerSvid> = {}): Caller {
  return {
    kind: "tls",
    address: "192.0.2.1",
    port: 1,
    svid: { spiffeId, serial: "11", notAfter: NOW + 1000, ...change },
  };
}

const CALLERS: Readonly<Record<string, { readonly caller: Caller; readonly as: readonly CallerKind[] }>> = {
  "the admin socket": { caller: { kind: "local" }, as: ["any", "local"] },
  "a stranger": { caller: { kind: "tls", address: "192.0.2.1", port: 1 }, as: ["any"] },
  "an agent": { caller: tls(AGENT), as: ["any", "agent"] },
  "an agent with its renewed SVID": { caller: tls(AGENT, { serial: "12" }), as: ["any", "agent"] },
  "an agent with another SVID": { caller: tls(AGENT, { serial: "13" }), as: ["any"] },
  "an expired agent": { caller: tls(AGENT, { notAfter: NOW - 1 }), as: ["any"] },
  "an agent that never attested": { caller: tls(node("two").agentId), as: ["any"] },
  "a banned agent": { caller: tls(node("banned").agentId, { serial: "" }), as: ["any"] },
  "a workload": { caller: tls(id("/workload")), as: ["any"] },
  "an administrator by entry": { caller: tls(ADMIN), as: ["any", "admin"] },
  "an expired administrator by entry": { caller: tls(ADMIN, { notAfter: NOW - 1 }), as: ["any"] },
  "an administrator whose entry expired": { caller: tls(id("/former")), as: ["any"] },
  "a configured administrator": { caller: tls(CONFIGURED), as: ["any", "admin"] },
  "an expired configured administrator": { caller: tls(CONFIGURED, { notAfter: NOW - 1 }), as: ["any"] },
  "a downstream server": { caller: tls(DOWNSTREAM), as: ["any", "downstream"] },
};

describe("the authorization table", () => {
  test("has a row for each method that exists, and for no other", () => {
    expect([...AUTHORIZED_METHODS].sort()).toEqual([...DEFINED].sort());
  });

  test("says what the specification says", () => {
    for (const method of DEFINED)
      expect({ method, allowed: allowedCallers(method) }).toEqual({ method, allowed: expected(method) });
  });

  for (const [name, { caller, as }] of Object.entries(CALLERS)) {
    test(`lets ${name} call just what it may`, async () => {
      const { authorizer } = await setup();
      for (const method of DEFINED) {
        const may = expected(method).some((kind) => as.includes(kind));
        const outcome = await authorizer.authorize(method, caller).then(
          () => true,
          (error: unknown) => {
            expect(error).toMatchObject({
              code: "PERMISSION_DENIED",
              publicMessage: `authorization denied for method ${method}`,
            });
            return false;
          },
        );
        expect({ method, outcome }).toEqual({ method, outcome: may });
      }
    });
  }

  test("refuses what is not listed, whoever asks", async () => {
    const { authorizer } = await setup();
    for (const method of ["/spire.api.server.agent.v1.Agent/Other", "/x", ""]) {
      for (const { caller } of Object.values(CALLERS)) {
        await expect(authorizer.authorize(method, caller)).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
      }
    }
  });
});

describe("an agent", () => {
  const METHOD = AgentService.renewAgent.path;

  async function reasonOf(promise: Promise<unknown>): Promise<string | undefined> {
    const error = await promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof Refused ? error.reason : undefined;
  }

  test("is told the first reason in SPIRE's order", async () => {
    const { authorizer } = await setup();
    const reason = (spiffeId: SpiffeId, change: Partial<CallerSvid>) =>
      reasonOf(authorizer.authorize(METHOD, tls(spiffeId, change)));
    const banned = node("banned").agentId;
    expect(await reason(banned, { notAfter: NOW - 1 })).toBe("AGENT_EXPIRED");
    expect(await reason(node("two").agentId, {})).toBe("AGENT_NOT_ATTESTED");
    expect(await reason(banned, {})).toBe("AGENT_BANNED");
    expect(await reason(banned, { serial: "" })).toBe("AGENT_BANNED");
    expect(await reason(AGENT, { serial: "13" })).toBe("AGENT_NOT_ACTIVE");
    expect(await reason(AGENT, { serial: "" })).toBe("AGENT_NOT_ACTIVE");
  });

  test("is told no reason where no agent may call", async () => {
    const { authorizer } = await setup();
    const refused = authorizer.authorize(AgentService.banAgent.path, tls(AGENT));
    await expect(refused).rejects.toMatchObject({ reason: undefined });
  });

  test("makes its renewed SVID the current one by using it, and the old one stops working", async () => {
    const { authorizer, store } = await setup();
    expect(await authorizer.authorize(METHOD, tls(AGENT, { serial: "11" }))).toMatchObject({
      as: "agent",
      agentId: AGENT,
    });
    const renewed = await authorizer.authorize(METHOD, tls(AGENT, { serial: "12" }));
    expect(renewed).toMatchObject({ node: { serial: "12", pendingSerial: "", expiresAt: 5 } });
    expect(await store.nodes.get(AGENT)).toMatchObject({
      serial: "12",
      pendingSerial: "",
      expiresAt: 5,
      pendingExpiresAt: 0,
    });
    expect(await reasonOf(authorizer.authorize(METHOD, tls(AGENT, { serial: "11" })))).toBe("AGENT_NOT_ACTIVE");
    expect(await authorizer.authorize(METHOD, tls(AGENT, { serial: "12" }))).toMatchObject({ as: "agent" });
  });

  test("promoted by several calls at once is promoted once", async () => {
    const { authorizer } = await setup();
    const calls = Array.from({ length: 8 }, () => authorizer.authorize(METHOD, tls(AGENT, { serial: "12" })));
    for (const outcome of await Promise.all(calls)) expect(outcome).toMatchObject({ node: { serial: "12" } });
  });

  test("that is banned between look and promotion stays banned", async () => {
    const { authorizer, store } = await setup();
    // The look is done at once, the promotion has to wait for the writer.
    const call = authorizer.authorize(METHOD, tls(AGENT, { serial: "12" }));
    const ban = store.nodes.update(AGENT, { serial: "", pendingSerial: "", pendingExpiresAt: 0 });
    await Promise.all([call.catch(() => {}), ban]);
    expect(await store.nodes.get(AGENT)).toMatchObject({ serial: "" });
  });
});

test("a method is refused while the datastore cannot be asked", async () => {
  const { store, clock } = await tempDataStore();
  const authorizer = new Authorizer({ clock, datastore: store, adminIds: new Set() });
  await store.close();
  await expect(authorizer.authorize(AgentService.renewAgent.path, tls(AGENT))).rejects.toThrow();
  await expect(authorizer.authorize(AgentService.banAgent.path, tls(ADMIN))).rejects.toThrow();
});
