/** Clocks that are wrong: ahead, behind, and set right again. Neither may the server suffer nor the agent be lost. */
import { expect, test } from "vitest";
import { turn } from "../../src/lib/turn.ts";
import { FakeClock } from "../fakes/fake-clock.ts";
import { HOUR } from "../fakes/test-ca.ts";
import { makeSite, ReattestingAttestor, startAgent, until } from "./harness.ts";

/** Lets time pass for the agent, with real time for its calls. */
async function minutes(clock: FakeClock, count: number): Promise<void> {
  for (let round = 0; round < count * 4; round++) {
    await clock.advance(15_000);
    for (let turns = 0; turns < 50; turns++) await turn();
  }
}

test("a clock beyond the end of every SVID: they are not asked for without a pause, and somebody is told", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.state.svidTtlMs = 0.25 * HOUR;
  server.addEntry("web", "/web", ["unix:uid:1"]);
  const clock = new FakeClock(Date.now() + 0.5 * HOUR);
  await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 60_000 } });
  await until(() => agent.agent.health.facts.value.problems.has("signing"));
  await minutes(clock, 10);
  expect(server.count("BatchNewX509SVID")).toBeLessThan(20);
  expect(agent.log.text).toContain("check the clocks");
  expect(agent.value("unix:uid:1").identities).toEqual([]);
  clock.setWall(Date.now());
  await minutes(clock, 6);
  await agent.expectIds(["unix:uid:1"], ["/web"]);
});

test("the same with the agent's own SVID", async () => {
  await using site = await makeSite();
  const { server } = site;
  server.state.agentTtlMs = 0.25 * HOUR;
  const clock = new FakeClock(Date.now() + 0.5 * HOUR);
  const attestor = new ReattestingAttestor();
  await using agent = await startAgent(site, { clock, attestor, options: { syncIntervalMs: 60_000 } });
  await until(() => server.count("SyncAuthorizedEntries") > 0);
  await minutes(clock, 10);
  expect(server.count("AttestAgent")).toBeLessThan(4);
  expect(agent.agent.health.facts.value.serving).toBe(true);
});

test("a moment of a clock far ahead does not lose a node that joined with a token", async () => {
  await using site = await makeSite();
  const { server } = site;
  {
    const clock = new FakeClock(Date.now());
    await using agent = await startAgent(site, { clock, options: { syncIntervalMs: 60_000 } });
    await until(() => agent.agent.health.facts.value.serving);
    clock.setWall(Date.now() + 10 * 24 * HOUR);
    const syncs = server.count("SyncAuthorizedEntries");
    await minutes(clock, 15);
    expect(server.count("SyncAuthorizedEntries")).toBeGreaterThan(syncs);
  }
  await using agent = await startAgent(site, { token: "token-1" });
  await until(() => agent.agent.health.facts.value.serving);
  expect(server.count("AttestAgent")).toBe(1);
});
