/**
 * Interoperability with SPIRE's own programs, taken from `PATH`: each of their programs against the other one of ours.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isServing } from "../../scripts/lib/local-rpc.ts";
import { admin, enroll, Folder, makeSite, Pair, PROGRAMS, run, SELF, startServer } from "./support.ts";

const ID = "spiffe://example.org/web";

function onPath(program: string): string | undefined {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}

const spireServer = onPath("spire-server");
const spireAgent = onPath("spire-agent");

/** Registers, fetches with both programs' own command, removes. */
async function serveOneWorkload(pair: Pair): Promise<void> {
  const entryId = await pair.createEntry(ID, [`unix:uid:${SELF}`]);
  await pair.untilServed(ID);
  const fetched = await run(pair.programs.agent, ["api", "fetch", "x509", "-socketPath", pair.site.agentSocket]);
  expect(fetched.stdout).toMatch(/^Received 1 svid after .*\n\nSPIFFE ID:\t\tspiffe:\/\/example\.org\/web\n/);
  await pair.deleteEntry(entryId);
  await pair.untilDenied();
}

describe("a stock spire-agent with holdfast-server", () => {
  test("joins, serves a workload, loses it, and renews", async ({ skip }) => {
    if (spireAgent === undefined) return skip("spire-agent is not on PATH");
    // A short agent TTL, so that the stock agent renews within the test.
    await using pair = await Pair.start(
      { server: '  agent_ttl = "20s"' },
      { server: PROGRAMS.server, agent: spireAgent },
    );
    await serveOneWorkload(pair);
    const serial = async (): Promise<string> =>
      /Serial number\s*: (\d+)/.exec(await admin(pair.site, ["agent", "list"]))?.[1] ?? "";
    const first = await serial();
    await pair.agent.until("renewal", async () => (await serial()) !== first, 40_000);
    await serveOneWorkload(pair);
  }, 120_000);
});

describe("holdfast-agent with a stock spire-server", () => {
  test("joins, serves a workload, loses it, and comes back after a restart", async ({ skip }) => {
    if (spireServer === undefined) return skip("spire-server is not on PATH");
    await using pair = await Pair.start(
      { server: '  agent_ttl = "1h"' },
      { server: spireServer, agent: PROGRAMS.agent },
    );
    await serveOneWorkload(pair);
    await pair.server.stop();
    pair.server = await startServer(pair.site, spireServer);
    await serveOneWorkload(pair);
  }, 120_000);

  test("renews its SVID there", async ({ skip }) => {
    if (spireServer === undefined) return skip("spire-server is not on PATH");
    await using pair = await Pair.start(
      { server: '  agent_ttl = "20s"' },
      { server: spireServer, agent: PROGRAMS.agent },
    );
    const serial = async (): Promise<string> =>
      /Serial number\s*: (\d+)/.exec(await admin(pair.site, ["agent", "list"], spireServer))?.[1] ?? "";
    const first = await serial();
    await pair.agent.until("renewal", async () => (await serial()) !== first, 40_000);
    await serveOneWorkload(pair);
  }, 120_000);
});

describe("the administration commands of each side on the other's socket", () => {
  const cases = [
    ["spire-server's commands on holdfast-server", spireServer, PROGRAMS.server],
    ["holdfast-server's commands on spire-server", PROGRAMS.server, spireServer],
  ] as const;
  test.for(cases)("%s", { timeout: 60_000 }, async ([_name, tool, server], { skip }) => {
    if (tool === undefined || server === undefined) return skip("spire-server is not on PATH");
    using folder = new Folder();
    const site = await makeSite(folder.path);
    await using _server = await startServer(site, server);
    const say = (args: readonly string[]): Promise<string> => admin(site, args, tool);
    const { agentId } = await enroll(site, tool);
    const created = await say([
      "entry",
      "create",
      "-parentID",
      agentId,
      "-spiffeID",
      ID,
      "-selector",
      "unix:gid:1",
      "-selector",
      "unix:uid:1",
      "-dns",
      "a.example.org",
      "-x509SVIDTTL",
      "60",
      "-jwtSVIDTTL",
      "30",
      "-admin",
      "-hint",
      "h",
    ]);
    const entryId = /^Entry ID\s*: (\S+)$/m.exec(created)?.[1] ?? "";
    const shown = await say(["entry", "show", "-entryID", entryId]);
    expect(shown).toBe(`Found 1 entry\n${created}`);
    for (const filter of [
      ["-spiffeID", ID],
      ["-parentID", agentId],
      ["-selector", "unix:uid:1"],
      ["-hint", "h"],
    ]) {
      expect(await say(["entry", "show", ...filter])).toBe(shown);
    }
    expect(await say(["entry", "show", "-selector", "unix:uid:1", "-matchSelectorsOn", "exact"])).toBe(
      "Found 0 entries\n",
    );
    expect(await say(["entry", "count"])).toBe("1 registration entry\n");
    const duplicate = await run(tool, [
      "entry",
      "create",
      "-socketPath",
      site.serverSocket,
      "-parentID",
      agentId,
      "-spiffeID",
      ID,
      "-selector",
      "unix:gid:1",
      "-selector",
      "unix:uid:1",
    ]);
    expect(duplicate.status).toBe(1);
    expect(duplicate.stderr).toContain('(code: AlreadyExists, msg: "similar entry already exists")');
    const wrong = await run(tool, [
      "entry",
      "create",
      "-socketPath",
      site.serverSocket,
      "-parentID",
      agentId,
      "-spiffeID",
      "spiffe://other.test/x",
      "-selector",
      "unix:uid:1",
    ]);
    expect(wrong.stderr).toContain(
      'failed to convert entry: invalid spiffe ID: \\"spiffe://other.test/x\\" is not a member of trust domain \\"example.org\\"',
    );
    const updated = await say([
      "entry",
      "update",
      "-entryID",
      entryId,
      "-parentID",
      agentId,
      "-spiffeID",
      ID,
      "-selector",
      "unix:uid:2",
    ]);
    expect(updated).toContain("Revision                : 1\n");
    const file = join(folder.path, "entries.json");
    writeFileSync(
      file,
      JSON.stringify({
        entries: [{ spiffe_id: `${ID}/2`, parent_id: agentId, selectors: [{ type: "unix", value: "uid:3" }] }],
      }),
    );
    expect(await say(["entry", "create", "-data", file])).toContain(`SPIFFE ID               : ${ID}/2\n`);
    expect(await say(["entry", "delete", "-entryID", entryId])).toContain(`Deleted entry with ID: ${entryId}\n`);
    expect(JSON.parse(await say(["entry", "show", "-output", "json"]))).toMatchObject({
      entries: [{ spiffe_id: { path: "/web/2" } }],
    });
    expect(await say(["agent", "list"])).toBe("No attested agents found\n");
    expect(await say(["agent", "count"])).toBe("0 attested agents\n");
    const missing = await run(tool, ["agent", "show", "-socketPath", site.serverSocket, "-spiffeID", agentId]);
    expect(missing.stderr).toContain("agent not found");
    expect(await say(["bundle", "show", "-format", "spiffe"])).toContain('"use": "x509-svid"');
    expect(await say(["x509", "mint", "-spiffeID", `${ID}/minted`])).toMatch(
      /^X509-SVID:\n-----BEGIN CERTIFICATE-----/,
    );
    expect(await say(["healthcheck"])).toBe("Server is healthy.\n");
  });

  const servers = [
    ["holdfast-server", PROGRAMS.server],
    ["spire-server", spireServer],
  ] as const;
  test.for(servers)(
    "an agent is shown the same, banned and evicted on %s",
    { timeout: 120_000 },
    async ([_name, server], { skip }) => {
      if (spireServer === undefined || server === undefined) return skip("spire-server is not on PATH");
      await using pair = await Pair.start({}, { server, agent: PROGRAMS.agent });
      const other = server === spireServer ? PROGRAMS.server : spireServer;
      const say = (...args: string[]): Promise<string> => admin(pair.site, args, other);
      /** What both tools print. */
      const same = async (words: string): Promise<string> => {
        const theirs = await say(...words.split(" "));
        expect(theirs, words).toBe(await admin(pair.site, words.split(" "), PROGRAMS.server));
        expect(theirs, words).toBe(await admin(pair.site, words.split(" "), spireServer));
        return theirs;
      };
      expect(await same("agent list")).toContain(
        `Found 1 attested agent:\n\nSPIFFE ID         : ${pair.agentId}\nAttestation type  : join_token\n`,
      );
      expect(await same(`agent show -spiffeID ${pair.agentId}`)).toContain(pair.agentId);
      await same(`agent show -spiffeID ${pair.agentId} -output json`);
      expect(await same("agent count")).toBe("1 attested agent\n");
      for (const [filter, count] of [
        ["-attestationType join_token", 1],
        ["-attestationType x509pop", 0],
        ["-banned true", 0],
        ["-banned false", 1],
        ["-canReattest true", 0],
        ["-selector unix:uid:1", 0],
      ] as const) {
        expect(await same(`agent count ${filter}`), filter).toMatch(new RegExp(`^${count} attested agents?\n$`));
        await same(`agent list ${filter}`);
      }
      await same("agent purge -dryRun");
      const entryId = await pair.createEntry(ID, [`unix:uid:${SELF}`]);
      await same(`entry show -entryID ${entryId}`);
      await same(`entry show -parentID ${pair.agentId} -output json`);
      await same("entry count -spiffeID spiffe://example.org/nobody");
      await same("bundle show");
      await pair.untilServed(ID);
      expect(await say("agent", "ban", "-spiffeID", pair.agentId)).toBe("Agent banned successfully\n");
      expect(await same("agent list -banned true")).toContain("Banned            : true\n");
      await pair.agent.until("end of serving", async () => !(await isServing(pair.site.agentSocket)), 40_000);
      expect(await say("agent", "evict", "-spiffeID", pair.agentId)).toBe("Agent evicted successfully\n");
      expect(await same("agent list")).toBe("No attested agents found\n");
    },
  );
});
