/** The server is away and the agent is restarted: what it stored is served, by the real programs. */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon, fetchX509, idsOf, isDenied, NODE, Pair, PROGRAMS, SELF, startAgent } from "./support.ts";

const ID = "spiffe://example.org/web";
const OTHER = "spiffe://example.org/other";
const STORED = "workloads.sealed";

let pair: Pair;
beforeAll(async () => {
  pair = await Pair.start();
  await pair.createEntry(ID, [`unix:uid:${SELF}`, `unix:path:${NODE}`]);
  await pair.createEntry(OTHER, ["unix:uid:4711"]);
  await pair.untilServed(ID);
  await pair.agent.until("stored", async () => existsSync(stored()));
  await pair.server.stop("SIGKILL");
});
afterAll(async () => {
  await pair?.[Symbol.asyncDispose]();
});

const dataDir = (): string => join(pair.site.folder, "agent");
const stored = (): string => join(dataDir(), STORED);

async function restart(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await pair.agent.stop(signal);
  pair.agent = await startAgent(pair.site, []);
}

test.each(["SIGTERM", "SIGKILL"] as const)("after %s the same SVID is served at once", async (signal) => {
  const before = JSON.parse((await fetchX509(pair.site)).stdout) as { svids: unknown[] };
  await restart(signal);
  const after = await fetchX509(pair.site);
  expect(idsOf(after)).toEqual([ID]);
  expect(JSON.parse(after.stdout)).toEqual(before);
  expect(pair.agent.log()).toContain("Serving what was stored");
});

test("who matches no entry is told so, and not kept waiting for the server", async ({ skip }) => {
  if (SELF !== 0) skip("only root can start a process as another user");
  await restart("SIGTERM");
  expect(isDenied(await fetchX509(pair.site, { uid: 4712 }))).toBe(true);
});

test("whoever was entitled before gets its SVID, also if it never ran before", async ({ skip }) => {
  if (SELF !== 0) skip("only root can start a process as another user");
  expect(idsOf(await fetchX509(pair.site, { uid: 4711 }))).toEqual([OTHER]);
});

test("what is stored is for its owner alone, and sealed", () => {
  expect(statSync(stored()).mode & 0o777).toBe(0o600);
  const text = readFileSync(stored()).toString("latin1");
  expect(text.split("\n")[0]).toMatch(/^holdfast-store version=1 role=workloads trust-domain=example\.org/);
  expect(text).not.toContain("spiffe://");
  expect(text).not.toContain("unix");
});

test("a file that was damaged is set aside, told of, and not fatal", async () => {
  await pair.agent.stop("SIGTERM");
  const good = readFileSync(stored());
  writeFileSync(stored(), Buffer.concat([good.subarray(0, good.length - 20), randomBytes(20)]), { mode: 0o600 });
  // It has nothing to serve until the server is back, and so is not healthy.
  const log = join(pair.site.folder, "agent.log");
  pair.agent = new Daemon("agent", PROGRAMS.agent, ["run", "-config", pair.site.agentConfig], log);
  await pair.agent.until("set aside", () => pair.agent.log().includes("set aside"));
  await pair.agent.until("a try of the server", () => pair.agent.log().includes("Could not sync"));
  expect(readdirSync(dataDir()).filter((name) => name.startsWith(`${STORED}.damaged-`))).toHaveLength(1);
  await pair.agent.stop("SIGTERM");
  writeFileSync(stored(), good, { mode: 0o600 });
  pair.agent = await startAgent(pair.site, []);
  expect(idsOf(await fetchX509(pair.site))).toEqual([ID]);
});
