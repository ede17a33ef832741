/** The agent's own SVID over time: renewal, refusals by the server, and that none of them ends the process. */
import { mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FileAgentStorage } from "../../src/agent/storage.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import type { FakeSpireServer } from "../fakes/spire-server.ts";
import { HOUR } from "../fakes/test-ca.ts";
import { makeSite, ReattestingAttestor, type RunningAgent, startAgent, TD, until } from "./harness.ts";

const TOKEN_ID = "spiffe://example.org/spire/agent/join_token/token-1";
const NODE_ID = "spiffe://example.org/spire/agent/test_reattest/node-1";

/** Moves the agent's time on until something holds; its calls are real, so that it needs real time too. */
async function advanceUntil(clock: FakeClock, stepMs: number, condition: () => boolean): Promise<void> {
  for (let round = 0; round < 300 && !condition(); round++) await clock.advance(stepMs);
  expect(condition()).toBe(true);
}

async function storedSerial(folder: string): Promise<string | undefined> {
  const storage = new FileAgentStorage({
    clock: systemClock,
    log: silentLogger,
    directory: join(folder, "data"),
    trustDomain: TD,
    keepKey: true,
  });
  const leaf = (await storage.load())?.identity?.svid.chain[0];
  return leaf === undefined ? undefined : parseCertificate(leaf).serial;
}

async function serving(agent: RunningAgent, server: FakeSpireServer): Promise<void> {
  server.addEntry("web", "/web", ["unix:uid:1"]);
  await agent.expectIds(["unix:uid:1"], ["/web"]);
}

describe("renewal", () => {
  test("by RenewAgent at half life, with a new key, stored before it is used", async () => {
    await using site = await makeSite();
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 60_000 } });
    await until(() => agent.agent.health.facts.value.serving);
    const first = site.server.state.agents.get(TOKEN_ID)!.serial;
    await clock.advance(0.44 * HOUR);
    expect(site.server.count("RenewAgent")).toBe(0);
    await advanceUntil(clock, 60_000, () => site.server.count("RenewAgent") > 0);
    await until(() => agent.log.text.includes("The agent SVID was renewed"));
    // The next call shows the new SVID, and makes it the current one.
    await advanceUntil(clock, 60_000, () => site.server.state.agents.get(TOKEN_ID)!.serial !== first);
    expect(await storedSerial(site.folder)).toBe(site.server.state.agents.get(TOKEN_ID)!.serial);
    expect(site.server.count("AttestAgent")).toBe(1);
    expect(clock.now()).toBeLessThan(Date.now() + 0.6 * HOUR);
  });

  test("by attesting anew where the server wants it so", async () => {
    await using site = await makeSite();
    const clock = new FakeClock(Date.now());
    const attestor = new ReattestingAttestor();
    await using agent = await startAgent(site, { clock, attestor, options: { syncIntervalMs: 60_000 } });
    await until(() => agent.agent.health.facts.value.serving);
    await advanceUntil(clock, 60_000, () => site.server.count("AttestAgent") > 1);
    await until(() => agent.log.text.includes("The agent SVID was renewed"));
    expect(site.server.count("RenewAgent")).toBe(0);
  });

  test("at once below a tainted authority, and so for workloads", async () => {
    await using site = await makeSite();
    const { server } = site;
    await using agent = await startAgent(site);
    await serving(agent, server);
    const before = agent.value("unix:uid:1").identities[0]?.svid;
    await server.rotateCa({ taintOld: true });
    await until(() => server.count("RenewAgent") > 0);
    await until(() => agent.value("unix:uid:1").identities[0]?.svid !== before);
    await until(() => agent.log.text.includes("The agent SVID was renewed"));
    expect(agent.value("unix:uid:1").bundle.x509Authorities.map(({ tainted }) => tainted)).toEqual([true, false]);
    await until(() => server.state.agents.get(TOKEN_ID)?.pendingSerial === "");
  });

  test("that cannot be stored leaves the old SVID in use while it has life", async () => {
    await using site = await makeSite();
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 60_000 } });
    await until(() => agent.agent.health.facts.value.serving);
    const { serial } = site.server.state.agents.get(TOKEN_ID)!;
    const draft = join(site.folder, "data", "agent-data.json.tmp");
    await mkdir(join(draft, "x"), { recursive: true });
    await advanceUntil(clock, 60_000, () => agent.log.text.includes("the old one stays in use"));
    expect(agent.agent.health.facts.value.problems.has("storage")).toBe(true);
    expect(site.server.state.agents.get(TOKEN_ID)!.serial).toBe(serial);
    expect(await storedSerial(site.folder)).toBe(serial);
    await rmdir(join(draft, "x"));
    await rmdir(draft);
    await advanceUntil(clock, 60_000, () => site.server.state.agents.get(TOKEN_ID)!.serial !== serial);
    await until(() => !agent.agent.health.facts.value.problems.has("storage"));
  });
});

describe("an SVID that expires in an outage", () => {
  test("ends nothing; the agent attests when the server returns", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.state.agentTtlMs = 60_000;
    const clock = new FakeClock(Date.now());
    const attestor = new ReattestingAttestor();
    await using agent = await startAgent(site, { clock, attestor, options: { syncIntervalMs: 5_000 } });
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await until(() => agent.agent.health.facts.value.serving);
    await clock.advance(6_000);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    await server.stop();
    for (let round = 0; round < 8; round++) await clock.advance(10_000);
    expect(agent.agent.health.facts.value.agentSvidExpiresAt).toBeLessThan(clock.now());
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    server.state.agentTtlMs = HOUR;
    await server.start();
    await advanceUntil(clock, 1_000, () => server.count("AttestAgent") > 1);
    await until(() => agent.log.text.includes("The agent SVID was renewed"));
    server.addEntry("db", "/db", ["unix:uid:1"]);
    await advanceUntil(clock, 1_000, () => agent.value("unix:uid:1").identities.length === 2);
  });
});

describe("refusals", () => {
  test("a ban stops serving at once and clears what is stored; the process lives on", async () => {
    await using site = await makeSite();
    const { server } = site;
    await using agent = await startAgent(site);
    await serving(agent, server);
    server.state.agents.get(TOKEN_ID)!.banned = true;
    await agent.expectIds(["unix:uid:1"], []);
    expect(agent.value("unix:uid:1").pending).toBe(false);
    await until(() => agent.agent.health.facts.value.problems.has("agent_svid"));
    expect(agent.agent.health.facts.value).toMatchObject({ serving: false, attested: false });
    expect(agent.log.text).toContain("banned");
    expect(await storedSerial(site.folder)).toBeUndefined();
    await agent.stop();
  });

  test("a ban does not wait for a request that hangs", async () => {
    await using site = await makeSite();
    const { server } = site;
    const clock = new FakeClock(Date.now());
    const attestor = new ReattestingAttestor();
    await using agent = await startAgent(site, { clock, attestor, options: { syncIntervalMs: 5_000 } });
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await clock.advance(6_000);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    const asked = Promise.withResolvers<void>();
    attestor.begin = () => {
      asked.resolve();
      return new Promise(() => {});
    };
    server.state.agents.delete(NODE_ID);
    await advanceUntil(clock, 1_000, () => server.count("SyncAuthorizedEntries") > 2);
    await asked.promise;
    server.state.agents.set(NODE_ID, { serial: "", pendingSerial: "", banned: true, canReattest: true });
    await advanceUntil(clock, 5_000, () => agent.value("unix:uid:1").identities.length === 0);
    await until(() => agent.agent.health.facts.value.problems.has("agent_svid"));
    expect(agent.agent.health.facts.value).toMatchObject({ serving: false, attested: false });
    expect(await storedSerial(site.folder)).toBeUndefined();
  });

  test("after a ban is lifted, a node that can attest anew does", async () => {
    await using site = await makeSite();
    const { server } = site;
    const clock = new FakeClock(Date.now());
    const attestor = new ReattestingAttestor();
    await using agent = await startAgent(site, { clock, attestor, options: { syncIntervalMs: 5_000 } });
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await clock.advance(6_000);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    server.state.agents.get(NODE_ID)!.banned = true;
    await advanceUntil(clock, 1_000, () => agent.value("unix:uid:1").identities.length === 0);
    await advanceUntil(clock, 10_000, () => server.count("AttestAgent") > 2);
    expect(agent.value("unix:uid:1").identities).toEqual([]);
    server.state.agents.delete(NODE_ID);
    await advanceUntil(clock, 10_000, () => agent.value("unix:uid:1").identities.length === 1);
    await until(() => !agent.agent.health.facts.value.problems.has("agent_svid"));
  });

  test("an evicted agent that can attest anew does so while it serves", async () => {
    await using site = await makeSite();
    const { server } = site;
    await using agent = await startAgent(site, { attestor: new ReattestingAttestor() });
    await serving(agent, server);
    const counts: number[] = [];
    agent.agent.identitySource.subscribe([{ type: "unix", value: "uid:1" }]).subscribe((update) => {
      counts.push(update.identities.length);
    });
    server.state.agents.delete(NODE_ID);
    await until(() => server.state.agents.has(NODE_ID));
    server.addEntry("db", "/db", ["unix:uid:1"]);
    await agent.expectIds(["unix:uid:1"], ["/db", "/web"]);
    expect(counts).not.toContain(0);
  });

  test("an evicted agent that is refused stops serving", async () => {
    await using site = await makeSite();
    const { server } = site;
    const attestor = new ReattestingAttestor();
    await using agent = await startAgent(site, { attestor });
    await serving(agent, server);
    server.failNext("AttestAgent", 7, "not any more");
    server.state.agents.delete(NODE_ID);
    await agent.expectIds(["unix:uid:1"], []);
    expect(agent.agent.health.facts.value.serving).toBe(false);
    expect(agent.agent.health.facts.value.problems.get("agent_svid")).toContain("refuses to attest");
  });

  test("an evicted agent without a new proof serves what is valid, and says that somebody must act", async () => {
    await using site = await makeSite();
    const { server } = site;
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 5_000 } });
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await until(() => agent.agent.health.facts.value.serving);
    await clock.advance(6_000);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    server.state.agents.delete(TOKEN_ID);
    await advanceUntil(clock, 1_000, () => agent.agent.health.facts.value.problems.has("agent_svid"));
    expect(agent.agent.health.facts.value.problems.get("agent_svid")).toContain("an operator must act");
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    expect(agent.agent.health.facts.value.serving).toBe(true);
    // Told once, however often the server repeats it.
    const syncs = server.count("SyncAuthorizedEntries");
    await advanceUntil(clock, 1_000, () => server.count("SyncAuthorizedEntries") > syncs + 2);
    expect(agent.log.lines.filter(({ message }) => message === "The server refuses this agent")).toHaveLength(1);
  });

  test("a server that remembers again ends the complaint", async () => {
    await using site = await makeSite();
    const { server } = site;
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 5_000 } });
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await clock.advance(6_000);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    const row = server.state.agents.get(TOKEN_ID)!;
    server.state.agents.delete(TOKEN_ID);
    await advanceUntil(clock, 1_000, () => agent.agent.health.facts.value.problems.has("agent_svid"));
    server.state.agents.set(TOKEN_ID, row);
    await advanceUntil(clock, 10_000, () => !agent.agent.health.facts.value.problems.has("agent_svid"));
  });

  test("an SVID that another copy of this agent outran is attested anew", async () => {
    await using site = await makeSite();
    const { server } = site;
    await using agent = await startAgent(site, { attestor: new ReattestingAttestor() });
    await serving(agent, server);
    server.state.agents.get(NODE_ID)!.serial = "12345";
    await until(() => server.count("AttestAgent") > 1);
    await until(() => agent.agent.health.facts.value.problems.size === 0);
  });

  test("RenewAgent answered with AGENT_MUST_REATTEST brings an attestation", async () => {
    await using site = await makeSite();
    const { server } = site;
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 5_000 } });
    await until(() => agent.agent.health.facts.value.serving);
    server.state.agents.get(TOKEN_ID)!.canReattest = true;
    server.state.tokens.add("token-1");
    await advanceUntil(clock, 60_000, () => server.count("AttestAgent") > 1);
    await until(() => agent.log.text.includes("The agent SVID was renewed"));
    expect(server.count("RenewAgent")).toBe(1);
  });
});
