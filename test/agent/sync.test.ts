/** What the agent learns from the server and how it gets SVIDs signed, over the real protocol. */
import { describe, expect, test } from "vitest";
import { PrometheusMetrics } from "../../src/lib/prometheus.ts";
import { parseCertificate } from "../../src/pki/certificate.ts";
import { parseTrustDomain } from "../../src/spiffe/id.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { HOUR, TestCa } from "../fakes/test-ca.ts";
import { makeSite, startAgent, until } from "./harness.ts";

const PARTNER = parseTrustDomain("partner.org");

describe("entries", () => {
  test("1,200 of them come by pages; later only those that changed", async () => {
    await using site = await makeSite();
    const { server } = site;
    for (let index = 0; index < 1_200; index++) server.addEntry(`e${index}`, `/w/${index}`, [`unix:uid:${index}`]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1199"], ["/w/1199"]);
    const asked = () => server.state.calls.filter((call) => call.startsWith("SyncAuthorizedEntries.ids"));
    expect(asked()).toEqual(["500", "500", "200"].map((count) => `SyncAuthorizedEntries.ids:${count}`));

    const syncs = server.count("SyncAuthorizedEntries");
    await until(() => server.count("SyncAuthorizedEntries") > syncs + 1);
    expect(asked()).toHaveLength(3);

    const changed = server.state.entries.get("e7")!;
    server.state.entries.set("e7", { ...changed, revisionNumber: 1n, hint: "new" });
    server.state.entries.set("e8", { ...server.state.entries.get("e8")!, createdAt: 1_800_000_000n });
    server.state.entries.delete("e9");
    server.addEntry("fresh", "/fresh", ["unix:uid:7"]);
    await agent.expectIds(["unix:uid:9"], []);
    await agent.expectIds(["unix:uid:7"], ["/w/7", "/fresh"]);
    await until(() => agent.value("unix:uid:7").identities[0]?.entry.hint === "new");
    expect(asked().slice(3)).toEqual(["SyncAuthorizedEntries.ids:3"]);
  });

  test("a server without the newer call is asked for all of them", async () => {
    await using site = await makeSite();
    await site.server.stop();
    site.server.state.hasSync = false;
    await site.server.start();
    site.server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    expect(site.server.count("GetAuthorizedEntries")).toBeGreaterThan(0);
  });

  test("more entries than any node has are refused, also by the older call", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1"]);
    const options = { useSyncAuthorizedEntries: false };
    await using agent = await startAgent(site, { options });
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    for (let index = 0; index <= 200_000; index++) {
      const entry = server.state.entries.get("web")!;
      server.state.entries.set(`${index}`, { ...entry, id: "", spiffeId: undefined, selectors: [] });
    }
    await until(() => agent.agent.health.facts.value.problems.has("sync"));
    expect(agent.agent.health.facts.value.problems.get("sync")).toContain("more than 200000 entries");
    await agent.expectIds(["unix:uid:1"], ["/web"]);
  });

  test("or when the configuration says so", async () => {
    await using site = await makeSite();
    site.server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site, { options: { useSyncAuthorizedEntries: false } });
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    expect(site.server.count("SyncAuthorizedEntries")).toBe(0);
  });

  test("malformed ones are left out and named, the others served", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("good", "/good", ["unix:uid:1"]);
    server.addEntry("foreign", "/x", ["unix:uid:1"], { spiffeId: { trustDomain: "other.org", path: "/x" } });
    server.addEntry("reserved", "/spire/server", ["unix:uid:1"]);
    server.addEntry("bare", "/bare", []);
    server.addEntry("bad-path", "/a//b", ["unix:uid:1"]);
    server.addEntry("no-id", "/no-id", ["unix:uid:1"], { spiffeId: undefined });
    server.addEntry("bad-selector", "/sel", ["unix:uid:1"], { selectors: [{ type: "a:b", value: "c" }] });
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/good"]);
    for (const id of ["foreign", "reserved", "bare", "bad-path", "no-id", "bad-selector"]) {
      expect(agent.log.lines.some(({ fields }) => fields.entry_id === id)).toBe(true);
    }
    // They come with every sync, and are named once.
    const syncs = server.count("SyncAuthorizedEntries");
    await until(() => server.count("SyncAuthorizedEntries") > syncs + 2);
    expect(agent.log.lines.filter(({ fields }) => fields.entry_id === "bare")).toHaveLength(1);
  });

  test("entries for secret stores are nobody's", async () => {
    await using site = await makeSite();
    site.server.addEntry("store", "/store", ["unix:uid:1"], { storeSvid: true });
    site.server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
  });
});

describe("announced changes", () => {
  test("bring a sync at once, and the poll slows down", async () => {
    await using site = await makeSite();
    const { server } = site;
    await server.stop();
    server.state.hasWatch = true;
    await server.start();
    await using agent = await startAgent(site, { options: { syncIntervalMs: 3_600_000 } });
    await until(() => agent.agent.health.facts.value.watching);
    await until(() => agent.agent.health.facts.value.serving);
    server.addEntry("web", "/web", ["unix:uid:1"]);
    server.announce();
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    server.state.entries.delete("web");
    server.state.revision++;
    server.announce(5);
    await agent.expectIds(["unix:uid:1"], []);
  });

  test("a revision that was seen brings nothing", async () => {
    await using site = await makeSite();
    const { server } = site;
    await server.stop();
    server.state.hasWatch = true;
    await server.start();
    await using agent = await startAgent(site, { options: { syncIntervalMs: 3_600_000 } });
    await until(() => agent.agent.health.facts.value.watching && agent.agent.health.facts.value.serving);
    server.addEntry("one", "/one", ["unix:uid:1"]);
    server.announce();
    await agent.expectIds(["unix:uid:1"], ["/one"]);
    const syncs = server.count("SyncAuthorizedEntries");
    server.announce();
    server.addEntry("two", "/two", ["unix:uid:1"]);
    server.announce();
    await agent.expectIds(["unix:uid:1"], ["/one", "/two"]);
    expect(server.count("SyncAuthorizedEntries")).toBe(syncs + 1);
  });

  test("a server without them is polled, and said so once", async () => {
    await using site = await makeSite();
    await using agent = await startAgent(site);
    await until(() => agent.log.text.includes("announces no changes"));
    const syncs = site.server.count("SyncAuthorizedEntries");
    await until(() => site.server.count("SyncAuthorizedEntries") > syncs + 5);
    expect(agent.log.lines.filter(({ message }) => message.includes("announces no changes"))).toHaveLength(1);
    await site.server.stop();
    // A server that is back before the agent's next call would be the same connection to it.
    await until(() => !agent.agent.health.facts.value.connected);
    site.server.state.hasWatch = true;
    await site.server.start();
    await until(() => agent.agent.health.facts.value.watching);
  });

  test("a stream that is lost is opened again, and what it missed is fetched", async () => {
    await using site = await makeSite();
    const { server } = site;
    await server.stop();
    server.state.hasWatch = true;
    await server.start();
    await using agent = await startAgent(site, { options: { syncIntervalMs: 3_600_000 } });
    await until(() => agent.agent.health.facts.value.watching);
    await server.stop();
    await until(() => !agent.agent.health.facts.value.watching);
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await server.start();
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    await until(() => agent.agent.health.facts.value.watching);
  });
});

describe("bundles", () => {
  test("federated ones come with the entries that want them, change, and go (FED-10, FED-26)", async () => {
    await using site = await makeSite();
    const { server } = site;
    const partner = await TestCa.create(PARTNER);
    server.state.federated.set(PARTNER, partner.bundle());
    server.addEntry("web", "/web", ["unix:uid:1"], { federatesWith: [PARTNER, "nobody.org", "Not A Domain"] });
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    const federated = () => agent.value("unix:uid:1").federatedBundles;
    expect([...federated().keys()]).toEqual([PARTNER]);

    const next = await TestCa.create(PARTNER);
    server.state.federated.set(PARTNER, next.bundle());
    await until(() =>
      Buffer.from(federated().get(PARTNER)?.x509Authorities[0]?.certificate ?? []).equals(next.certificate),
    );
    // One that cannot be had for now stays; one that is gone goes.
    server.failNext("GetFederatedBundle", 14);
    await until(() => agent.log.text.includes("GetFederatedBundle"));
    expect(federated().size).toBe(1);
    server.state.federated.delete(PARTNER);
    await until(() => federated().size === 0);
  });

  test("a rotated CA reaches workloads, and the next start trusts it", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1"]);
    {
      await using agent = await startAgent(site);
      await agent.expectIds(["unix:uid:1"], ["/web"]);
      await server.rotateCa();
      await until(() => agent.value("unix:uid:1").bundle.x509Authorities.length === 2);
    }
    server.state.bundle = server.state.ca.bundle({ sequence: 3n });
    await server.stop();
    await server.start();
    await using agent = await startAgent(site, { token: "token-1" });
    // The SVID is of the old CA, which the server has dropped: the link fails, but the server is known.
    await until(() => agent.log.text.includes("Could not sync"));
    expect(agent.log.text).not.toContain("does not chain");
  });

  test("an own bundle without an authority is not believed", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    server.state.bundle = { ...server.state.bundle, x509Authorities: [] };
    await until(() => agent.agent.health.facts.value.problems.has("sync"));
    expect(agent.value("unix:uid:1").bundle.x509Authorities).toHaveLength(1);
  });
});

describe("signing", () => {
  test("an SVID is for the entry's ID, with a key of its own, and is replaced at half life", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1"]);
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 600_000 } });
    await until(() => agent.value("unix:uid:1").identities.length === 1);
    const first = agent.value("unix:uid:1").identities[0]!.svid;
    await clock.parked(2);
    await clock.advance(0.44 * HOUR);
    expect(agent.value("unix:uid:1").identities[0]!.svid).toBe(first);
    for (let round = 0; round < 30; round++) await clock.advance(30_000);
    await until(() => agent.value("unix:uid:1").identities[0]!.svid !== first);
    const second = agent.value("unix:uid:1").identities[0]!.svid;
    expect(second.spiffeId).toBe("spiffe://example.org/web");
    expect(parseCertificate(second.chain[0]!).spki).not.toEqual(parseCertificate(first.chain[0]!).spki);
  });

  test("one entry that is refused does not hold up the others, nor their callers", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.state.refusedEntries.add("bad");
    server.addEntry("bad", "/bad", ["unix:uid:1"]);
    server.addEntry("good", "/good", ["unix:uid:1"]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1"], ["/good"]);
    await until(() => !agent.value("unix:uid:1").pending);
    expect(agent.agent.health.facts.value.problems.get("signing")).toContain("1 entries");
    expect(agent.log.lines.some(({ fields }) => fields.entry_id === "bad")).toBe(true);
    server.state.entries.delete("bad");
    await until(() => !agent.agent.health.facts.value.problems.has("signing"));
  });

  test("an SVID that the bundle does not vouch for is not served (X509-21)", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.state.rogueCa = await TestCa.create(server.state.trustDomain);
    server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site);
    await until(() => agent.agent.health.facts.value.problems.has("signing"));
    expect(agent.value("unix:uid:1").identities).toEqual([]);
  });

  test("a batch that fails is halved and tried again", async () => {
    await using site = await makeSite();
    const { server } = site;
    for (let index = 0; index < 8; index++) server.addEntry(`e${index}`, `/w/${index}`, ["unix:uid:1"]);
    server.failNext("BatchNewX509SVID", 14);
    await using agent = await startAgent(site);
    await agent.expectIds(
      ["unix:uid:1"],
      Array.from({ length: 8 }, (_, index) => `/w/${index}`),
    );
    expect(server.count("BatchNewX509SVID")).toBeGreaterThanOrEqual(2);
  });

  test("entries that are not to be fetched ahead are signed when somebody comes", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("lazy", "/lazy", ["unix:uid:1"], {
      additionalAttributes: { disableX509SvidPrefetch: true, jwtSvidIncludeJti: false },
    });
    await using agent = await startAgent(site);
    await until(() => agent.agent.health.facts.value.serving);
    expect(server.count("BatchNewX509SVID")).toBe(0);
    const cell = agent.agent.identitySource.subscribe([{ type: "unix", value: "uid:1" }]);
    const stop = cell.subscribe(() => {});
    await until(() => cell.value.identities.length === 1);
    stop();
  });

  test.each([
    ["ec-p384", "ec", "secp384r1"],
    ["rsa-2048", "rsa", undefined],
  ] as const)("keys are %s where the configuration says so", async (workloadKeyType, type, curve) => {
    await using site = await makeSite();
    site.server.addEntry("web", "/web", ["unix:uid:1"]);
    await using agent = await startAgent(site, { options: { workloadKeyType } });
    await agent.expectIds(["unix:uid:1"], ["/web"]);
    const { privateKey } = agent.value("unix:uid:1").identities[0]!.svid;
    expect(privateKey.asymmetricKeyType).toBe(type);
    expect(privateKey.asymmetricKeyDetails?.namedCurve).toBe(curve);
  });
});

test("metrics carry SPIRE's names", async () => {
  await using site = await makeSite();
  site.server.addEntry("web", "/web", ["unix:uid:1"]);
  const metrics = new PrometheusMetrics({ prefix: "spire_agent" });
  await using agent = await startAgent(site, { metrics });
  await agent.expectIds(["unix:uid:1"], ["/web"]);
  const text = await metrics.render();
  expect(text).toContain('spire_agent_started{version="0.0.0-test",trust_domain_id="example.org"} 1');
  expect(text).toContain("spire_agent_bootstrapped 1");
  expect(text).toContain('spire_agent_node_attestor_new_svid{status="OK"} 1');
  expect(text).toMatch(/spire_agent_manager_sync_fetch_entries_updates\{status="OK"\} \d/);
  expect(text).toContain('spire_agent_manager_sync_fetch_svids_updates{status="OK"} 1');
  expect(text).toContain("spire_agent_lru_cache_svid_map_size 1");
  expect(text).toMatch(/spire_agent_agent_svid_expiry_timestamp_seconds \d{10}/);
});
