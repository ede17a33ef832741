/** The agent as a whole against a server in this process: attestation, sync, signing, loss and return. */
import { describe, expect, test } from "vitest";
import { makeSite, startAgent, until } from "./harness.ts";

describe("agent", () => {
  test("joins, syncs and serves; an entry that goes is gone", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1000"], { hint: "front" });
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1000", "unix:gid:1000"], ["/web"]);
    const update = agent.value("unix:uid:1000");
    expect(update.pending).toBe(false);
    expect(update.identities[0]?.entry.hint).toBe("front");
    expect(update.bundle.x509Authorities).toHaveLength(1);
    expect(server.count("PostStatus")).toBe(1);
    expect([...server.state.agents.keys()]).toEqual(["spiffe://example.org/spire/agent/join_token/token-1"]);

    server.addEntry("db", "/db", ["unix:uid:1000"]);
    await agent.expectIds(["unix:uid:1000"], ["/db", "/web"]);
    server.state.entries.delete("web");
    await agent.expectIds(["unix:uid:1000"], ["/db"]);
    await agent.expectIds(["unix:uid:1001"], []);
    await agent.stop();
  });

  test("callers wait until the first sync", async () => {
    await using site = await makeSite();
    site.server.failNext("SyncAuthorizedEntries", 13);
    await using agent = await startAgent(site);
    expect(agent.value("unix:uid:1")).toMatchObject({ pending: true, identities: [] });
    await until(() => !agent.value("unix:uid:1").pending);
  });

  test("a server that is lost does not stop serving, and is found again", async () => {
    await using site = await makeSite();
    const { server } = site;
    server.addEntry("web", "/web", ["unix:uid:1000"]);
    await using agent = await startAgent(site);
    await agent.expectIds(["unix:uid:1000"], ["/web"]);
    await server.stop();
    await until(() => !agent.agent.health.facts.value.connected);
    await agent.expectIds(["unix:uid:1000"], ["/web"]);
    server.addEntry("db", "/db", ["unix:uid:1000"]);
    await server.start();
    await agent.expectIds(["unix:uid:1000"], ["/db", "/web"]);
    await until(() => agent.agent.health.facts.value.problems.size === 0);
  });
});
