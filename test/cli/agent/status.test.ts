/** `status`: what an operator sees. */
import { describe, expect, test } from "vitest";
import { AGENT_COMMANDS } from "../../../src/cli/agent/commands.ts";
import { statusText } from "../../../src/cli/agent/status-text.ts";
import { runProgram } from "../../../src/cli/program.ts";
import { GetStatusResponse, GetStatusResponse_ServerLink as Link } from "../../../src/gen/holdfast/agent/v1/status.ts";
import { AdminHarness, FakeAgent } from "../../agent-admin/harness.ts";
import { fakeCliContext } from "../../fakes/cli-context.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600n;
const now = BigInt(NOW / 1000);
const id = (path: string) => ({ trustDomain: "example.org", path });

const page = (change: Partial<GetStatusResponse> = {}, colour = false): string =>
  statusText(
    {
      ...GetStatusResponse.create(),
      version: "1.2.3",
      uptime: 7_300n,
      trustDomain: "example.org",
      agentSvid: { id: id("/spire/agent/x"), issuedAt: now - 12n * HOUR, expiresAt: now + 12n * HOUR },
      serving: true,
      serverLink: Link.SERVER_LINK_PUSHED,
      lastSyncAt: now - 5n,
      identities: [
        {
          entryId: "web",
          id: id("/web"),
          issuedAt: now - 3n * HOUR,
          expiresAt: now + 3n * HOUR,
          renewsAt: now + 600n,
          failed: false,
        },
      ],
      identitiesCount: 1n,
      outageBudget: 2n * HOUR,
      storage: "tpm",
      ...change,
    },
    { now: NOW, colour },
  );

describe("the page", () => {
  test("when all is well", () => {
    expect(page()).toBe(`Agent:      spiffe://example.org/spire/agent/x, version 1.2.3, up for 2 h
Serving:    yes
Server:     reached; it tells of changes
Last sync:  5 s ago
Agent SVID: [#####.....] 12 h left
Cover:      3 h without the server, outage_budget is 2 h
Storage:    sealed by the TPM
Identities: 1
  [#####.....] 3 h left, renewed in 10 min  spiffe://example.org/web
`);
  });

  test("in an outage", () => {
    const identity = { entryId: "a", id: id("/a"), issuedAt: now - 5n * HOUR, expiresAt: now + 30n, failed: true };
    const text = page({
      serverLink: Link.SERVER_LINK_DOWN,
      lastSyncAt: now - 7_200n,
      storage: "file",
      problems: [{ topic: "sync", text: "connection refused" }],
      identities: [
        { ...identity, renewsAt: now - 9n },
        { ...identity, id: id("/old"), expiresAt: now - 1n, renewsAt: 0n, failed: false },
        { ...identity, id: id("/new"), issuedAt: 0n, expiresAt: 0n, renewsAt: 0n, failed: false },
      ],
      identitiesCount: 5n,
    });
    expect(text).toContain("Server:     cannot be reached\nLast sync:  2 h ago\n");
    expect(text).toContain("Cover:      0 s without the server, less than outage_budget (2 h)\n");
    expect(text).toContain("Storage:    unprotected: the key lies beside it\nProblem:    sync: connection refused\n");
    expect(text).toContain("  [#.........] 30 s left, renewed now, the last attempt failed  spiffe://example.org/a\n");
    expect(text).toContain("  [..........] expired  spiffe://example.org/old\n");
    expect(text).toContain("  [..........] none yet  spiffe://example.org/new\n  and 2 more that live longer\n");
  });

  test("before the agent has attested", () => {
    const text = page({ agentSvid: undefined, serving: false, lastSyncAt: 0n, identities: [], identitiesCount: 0n });
    expect(text).toContain("Agent:      of example.org, not attested");
    expect(text).toContain("Serving:    no\n");
    expect(text).toContain("Last sync:  never\n");
    expect(text).toContain("Cover:      no SVID is held\n");
  });

  test("has colours on a terminal only, and nobody else's escape sequences", () => {
    expect(page({}, true)).toContain("\u001b[32myes\u001b[0m");
    expect(page()).not.toContain("\u001b");
    expect(page({ problems: [{ topic: "sync", text: "\u001b[2Jgone" }] })).not.toContain("\u001b");
  });
});

describe("the command", () => {
  async function command(socketPath: string, change: object, ...words: string[]) {
    const context = fakeCliContext({ program: "holdfast-agent", ...change });
    const program = { about: "", version: "1", commands: AGENT_COMMANDS };
    const status = await runProgram(program, ["status", ...words, "-socketPath", socketPath], context);
    return { status, stdout: context.stdout, stderr: context.stderr };
  }

  test("asks the agent; its status tells whether workloads are served", async () => {
    const agent = new FakeAgent();
    await using admin = await AdminHarness.open(agent);
    expect(await command(admin.path, {})).toMatchObject({ status: 0, stderr: "" });
    const { stdout } = await command(admin.path, {}, "-output", "json");
    expect(JSON.parse(stdout)).toMatchObject({ serving: true, storage: "file", outage_budget: "7200" });
    agent.now = { ...agent.now, serving: false };
    expect((await command(admin.path, {})).status).toBe(1);
  });

  test("-watch goes on until it is interrupted, also while there is no agent, and clears terminals only", async () => {
    await using admin = await AdminHarness.open(new FakeAgent());
    const stop = new AbortController();
    let pages = 0;
    const terminal = (text: string): void => {
      if (text.startsWith("\u001b[2J\u001b[H") && ++pages === 2) stop.abort();
    };
    expect(await command(admin.path, { terminal, signal: stop.signal }, "-watch")).toMatchObject({
      status: 0,
    });
    const gone = new AbortController();
    let errors = 0;
    const err = (): void => {
      if (++errors === 2) gone.abort();
    };
    expect((await command("/nowhere/admin.sock", { signal: gone.signal, err }, "-watch")).status).toBe(0);
  });
});
