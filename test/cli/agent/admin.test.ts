/** The agent's administrative commands, on the socket of an agent that the test plays. */
import { expect, test } from "vitest";
import { AGENT_COMMANDS } from "../../../src/cli/agent/commands.ts";
import { runProgram } from "../../../src/cli/program.ts";
import { parseSpiffeId } from "../../../src/spiffe/id.ts";
import { AdminHarness, FakeAgent, TD } from "../../agent-admin/harness.ts";
import { fakeCliContext } from "../../fakes/cli-context.ts";
import { TestCa } from "../../fakes/test-ca.ts";

async function command(socketPath: string, ...words: string[]) {
  const context = fakeCliContext({ program: "holdfast-agent" });
  const program = { about: "", version: "1", commands: AGENT_COMMANDS };
  const status = await runProgram(program, [...words, "-socketPath", socketPath], context);
  return { status, stdout: context.stdout, stderr: context.stderr };
}

test("the level is told, changed and reset", async () => {
  await using admin = await AdminHarness.open(new FakeAgent());
  const say = (...words: string[]) => command(admin.path, "logger", ...words);
  const levels = (now: string) => ({
    status: 0,
    stdout: `Logger Level : ${now}\nLaunch Level : info\n\n`,
    stderr: "",
  });
  expect(await say("get")).toEqual(levels("info"));
  expect(await say("set", "-level", "debug")).toEqual(levels("debug"));
  expect(admin.root.level).toBe("debug");
  expect(await say("reset")).toEqual(levels("info"));
  expect((await say("get", "-output", "json")).stdout).toBe('{"current_level":"INFO","launch_level":"INFO"}\n');
  expect(await say("set", "-level", "loud")).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('the value "loud" is not a valid setting') as string,
  });
});

test("getinfo prints what SPIRE's prints", async () => {
  const ca = await TestCa.create(TD);
  const svid = await ca.svid(parseSpiffeId("spiffe://example.org/spire/agent/x"));
  const agent = new FakeAgent();
  agent.now = { ...agent.now, svid, bundle: ca.bundle() };
  await using admin = await AdminHarness.open(agent);
  const time = "20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ";
  const expected = [
    "^Agent Debug Info:",
    "  Uptime:                          \\ds",
    "  Last Sync Success:               \\(never\\)",
    "  Cached X.509 SVIDs:              2",
    "  Cached JWT SVIDs:                3",
    "  Cached SVID Store X.509 SVIDs:   0",
    "  SVID Chain:",
    "    \\[0\\] SPIFFE ID:  spiffe://example.org/spire/agent/x",
    "        Subject:    .*",
    `        Expires At: ${time}`,
    "    \\[1\\] SPIFFE ID:  spiffe://example.org",
    "        Subject:    .*",
    `        Expires At: ${time}`,
    "$",
  ].join("\n");
  expect((await command(admin.path, "debug", "getinfo")).stdout).toMatch(new RegExp(expected));
});

test("getinfo tells why there is no answer", async () => {
  await using admin = await AdminHarness.open(new FakeAgent());
  const { status, stdout, stderr } = await command(admin.path, "debug", "getinfo");
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  expect(stderr).toContain("SVID");
});

test("a socket that is not there is named, with what would be right", async () => {
  const { status, stderr } = await command("/nowhere/admin.sock", "debug", "getinfo");
  expect(status).toBe(1);
  expect(stderr).toContain("/nowhere/admin.sock");
});
