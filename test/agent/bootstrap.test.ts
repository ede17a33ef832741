/** The first minutes of an agent: attestation over real TLS, what an operator can get wrong, and what waiting mends. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FileAgentStorage } from "../../src/agent/storage.ts";
import { JoinTokenAgentAttestor } from "../../src/attestors/join-token/agent.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { errorCode, errorText } from "../../src/lib/errors.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { formatBundle } from "../../src/pki/bundle-format.ts";
import { makeSpiffeId, parseTrustDomain, serverId } from "../../src/spiffe/id.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { TestCa } from "../fakes/test-ca.ts";
import { makeSite, ReattestingAttestor, type RunningAgent, startAgent, TD, until } from "./harness.ts";

const OTHER = parseTrustDomain("other.org");
const storageOf = (folder: string): FileAgentStorage =>
  new FileAgentStorage({
    clock: systemClock,
    log: silentLogger,
    directory: join(folder, "data"),
    trustDomain: TD,
    keepKey: true,
  });

/** Why the agent ended, as the operator reads it. */
async function reason(agent: RunningAgent): Promise<string> {
  return errorText(await agent.ended.catch((error: unknown) => error));
}

describe("mistakes of an operator end the start, with a reason", () => {
  test("a token that was used", async () => {
    await using site = await makeSite();
    await using agent = await startAgent(site, { token: "spent" });
    await expect(agent.ended).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(agent.ended).rejects.toThrow("cannot start");
    expect(site.server.count("AttestAgent")).toBe(1);
  });

  test("no token at all", async () => {
    await using site = await makeSite();
    const attestor = new JoinTokenAgentAttestor({ kind: "token", token: "" });
    await using agent = await startAgent(site, { attestor });
    await expect(agent.ended).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(site.server.connections).toBe(0);
  });

  test("an attestor that the server does not have", async () => {
    await using site = await makeSite();
    const attestor = Object.assign(new ReattestingAttestor(), { name: "nobody_knows" });
    await using agent = await startAgent(site, { attestor });
    await expect(agent.ended).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
  });

  test("a banned agent", async () => {
    await using site = await makeSite();
    const id = "spiffe://example.org/spire/agent/test_reattest/node-1";
    site.server.state.agents.set(id, { serial: "", pendingSerial: "", banned: true, canReattest: true });
    await using agent = await startAgent(site, { attestor: new ReattestingAttestor() });
    await expect(agent.ended).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });

  test("the wrong trust bundle: nothing is sent to that server", async () => {
    await using site = await makeSite();
    const stranger = await TestCa.create(TD);
    await using agent = await startAgent(site, { bundle: stranger.bundle() });
    await expect(agent.ended).rejects.toMatchObject({ code: "UNTRUSTED" });
    expect(await reason(agent)).toContain("does not chain to the trust bundle of example.org");
    expect(site.server.count("AttestAgent")).toBe(0);
  });

  test.each([
    ["the wrong trust domain", serverId(OTHER)],
    ["a server that is none", makeSpiffeId(TD, "/web")],
    ["a server with a longer path", makeSpiffeId(TD, "/spire/server/x")],
  ])("%s, although the chain verifies", async (_name, ownId) => {
    await using site = await makeSite({ ownId });
    await using agent = await startAgent(site);
    await expect(agent.ended).rejects.toMatchObject({ code: "UNTRUSTED" });
    expect(await reason(agent)).toContain(`the server is ${ownId}, not ${serverId(TD)}`);
    expect(site.server.count("AttestAgent")).toBe(0);
  });

  test("a server that speaks TLS 1.2 only", async () => {
    await using site = await makeSite({ maxVersion: "TLSv1.2" });
    await using agent = await startAgent(site);
    await expect(agent.ended).rejects.toMatchObject({ code: "UNTRUSTED" });
    expect(site.server.count("AttestAgent")).toBe(0);
  });

  test("require_pq_kem and a server without", async () => {
    await using site = await makeSite({ ecdhCurve: "X25519:P-256" });
    await using agent = await startAgent(site, { options: { requirePqKem: true } });
    await expect(agent.ended).rejects.toMatchObject({ code: "UNTRUSTED" });
    expect(await reason(agent)).toContain("require_pq_kem");
  });

  test("a trust bundle that is missing, empty or broken", async () => {
    await using site = await makeSite();
    const path = join(site.folder, "my.pem");
    const bootstrap = { kind: "file", path, format: "pem" } as const;
    const attempt = async (): Promise<unknown> => {
      await using agent = await startAgent(site, { options: { bootstrap } });
      return await agent.ended.catch((error: unknown) => error);
    };
    expect(await attempt()).toMatchObject({ code: "FAILED_PRECONDITION" });
    for (const content of ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
      await writeFile(path, content);
      const error = await attempt();
      expect(errorCode(error)).toBe("MALFORMED");
      expect(errorText(error)).toContain(path);
    }
    expect(site.server.state.tokens.size).toBe(1);
  });

  test("a data folder that cannot be written, before the token is spent", async () => {
    await using site = await makeSite();
    await mkdir(join(site.folder, "data", "agent-data.json.tmp", "in-the-way"), { recursive: true });
    await using agent = await startAgent(site);
    await expect(agent.ended).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await expect(agent.ended).rejects.toThrow("agent-data.json");
    expect([...site.server.state.tokens]).toEqual(["token-1"]);
  });
});

describe("what waiting mends", () => {
  test("a server that is not there yet, however long it takes", async () => {
    await using site = await makeSite();
    await site.server.stop();
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock });
    await until(() => agent.log.text.includes("trying again"));
    for (let round = 0; round < 5; round++) await clock.advance(60_000);
    expect(agent.log.lines.filter(({ message }) => message.includes("trying again")).length).toBeGreaterThan(2);
    await site.server.start();
    await clock.advance(70_000);
    await until(() => agent.agent.health.facts.value.attested);
  });

  test("a server that fails by itself", async () => {
    await using site = await makeSite();
    site.server.failNext("AttestAgent", 13, "database is locked");
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock });
    await until(() => agent.log.text.includes("database is locked"));
    await clock.parked(1);
    await clock.advance(6_000);
    await until(() => agent.agent.health.facts.value.attested);
  });

  test("a bundle that does not come after attestation does not waste the token", async () => {
    await using site = await makeSite();
    site.server.failNext("GetBundle", 14);
    await using agent = await startAgent(site);
    await until(() => agent.agent.health.facts.value.serving);
    expect(site.server.state.tokens.size).toBe(0);
  });
});

describe("insecure bootstrap", () => {
  const options = { bootstrap: { kind: "insecure" } } as const;

  test("takes the server that claims the right ID, and trusts nothing else from then on", async () => {
    await using site = await makeSite();
    {
      await using agent = await startAgent(site, { options });
      await until(() => agent.agent.health.facts.value.serving);
      expect(agent.log.text).toContain("Insecure bootstrap");
    }
    const stored = await storageOf(site.folder).load();
    expect(stored?.bundle?.x509Authorities).toEqual(site.server.state.bundle.x509Authorities);
    // The same port, another server: the stored bundle judges it now.
    site.server.state.ca = await TestCa.create(TD);
    await site.server.stop();
    await site.server.start();
    await using agent = await startAgent(site, { options });
    await until(() => agent.log.text.includes("does not chain to the trust bundle"));
    expect(agent.agent.health.facts.value.serving).toBe(false);
  });

  test.each([
    ["another trust domain", serverId(OTHER)],
    ["a workload", makeSpiffeId(TD, "/web")],
  ])("refuses %s", async (_name, ownId) => {
    await using site = await makeSite({ ownId });
    await using agent = await startAgent(site, { options });
    await expect(agent.ended).rejects.toMatchObject({ code: "UNTRUSTED" });
    expect(site.server.count("AttestAgent")).toBe(0);
  });
});

describe("a start after the first", () => {
  test("uses what is stored, with the server away", async () => {
    await using site = await makeSite();
    {
      await using agent = await startAgent(site);
      await until(() => agent.agent.health.facts.value.serving);
    }
    const before = await readFile(join(site.folder, "data", "agent-data.json"), "utf8");
    await site.server.stop();
    await using agent = await startAgent(site, { token: "token-1" });
    await until(() => agent.agent.health.facts.value.attested);
    expect(agent.log.text).toContain("Using the stored agent SVID");
    expect(agent.value("unix:uid:1").pending).toBe(true);
    await site.server.start();
    await until(() => agent.agent.health.facts.value.serving);
    expect(site.server.count("AttestAgent")).toBe(1);
    expect(await readFile(join(site.folder, "data", "agent-data.json"), "utf8")).toBe(before);
  });

  test("the stored bundle wins over the configured one", async () => {
    await using site = await makeSite();
    {
      await using agent = await startAgent(site);
      await until(() => agent.agent.health.facts.value.serving);
    }
    const stranger = await TestCa.create(TD);
    await using agent = await startAgent(site, { token: "token-1", bundle: stranger.bundle() });
    await until(() => agent.agent.health.facts.value.serving);
  });

  test("with an expired SVID it attests anew, judged by the stored bundle", async () => {
    await using site = await makeSite();
    const { ca } = site.server.state;
    const past = { notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 3_600_000 };
    const svid = await ca.svid(makeSpiffeId(TD, "/spire/agent/test_reattest/node-1"), past);
    await storageOf(site.folder).load();
    await storageOf(site.folder).save({ identity: { svid, reattestable: true }, bundle: ca.bundle(), lastGoodTime: 0 });
    const stranger = await TestCa.create(TD);
    await using agent = await startAgent(site, { attestor: new ReattestingAttestor(), bundle: stranger.bundle() });
    await until(() => agent.agent.health.facts.value.serving);
    expect(agent.log.text).toContain("The stored agent SVID has expired");
    expect(site.server.count("AttestAgent")).toBe(1);
  });

  test("a clock that went back does not make an expired SVID fresh", async () => {
    await using site = await makeSite();
    const { ca } = site.server.state;
    const life = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
    const svid = await ca.svid(makeSpiffeId(TD, "/spire/agent/test_reattest/node-1"), life);
    await storageOf(site.folder).load();
    const lastGoodTime = Date.now() + 7_200_000;
    await storageOf(site.folder).save({ identity: { svid, reattestable: true }, bundle: ca.bundle(), lastGoodTime });
    await using agent = await startAgent(site, { attestor: new ReattestingAttestor() });
    await until(() => agent.agent.health.facts.value.serving);
    expect(agent.log.text).toContain("clock is behind");
    expect(site.server.count("AttestAgent")).toBe(1);
  });

  test("a damaged file is set aside, and the agent attests as if it were new", async () => {
    await using site = await makeSite();
    await mkdir(join(site.folder, "data"));
    await writeFile(join(site.folder, "data", "agent-data.json"), "{");
    await using agent = await startAgent(site);
    await until(() => agent.agent.health.facts.value.serving);
    expect(agent.log.text).toContain("agent-data.json.damaged-");
  });

  test("with KeyManager memory it attests at each start, judged by the stored bundle", async () => {
    await using site = await makeSite();
    const options = { keyManager: { name: "memory" } } as const;
    const attestor = new ReattestingAttestor();
    {
      await using agent = await startAgent(site, { attestor, options });
      await until(() => agent.agent.health.facts.value.serving);
    }
    const stranger = await TestCa.create(TD);
    await using agent = await startAgent(site, { attestor, options, bundle: stranger.bundle() });
    await until(() => agent.agent.health.facts.value.serving);
    expect(site.server.count("AttestAgent")).toBe(2);
  });
});

test("a bundle in SPIFFE format will do", async () => {
  await using site = await makeSite();
  const path = join(site.folder, "bundle.json");
  await writeFile(path, formatBundle(site.server.state.bundle, "spiffe"));
  await using agent = await startAgent(site, { options: { bootstrap: { kind: "file", path, format: "spiffe" } } });
  await until(() => agent.agent.health.facts.value.serving);
});

test("post-quantum key exchange is taken where the server has it", async () => {
  await using site = await makeSite();
  await using agent = await startAgent(site, { options: { requirePqKem: true } });
  await until(() => agent.agent.health.facts.value.serving);
});
