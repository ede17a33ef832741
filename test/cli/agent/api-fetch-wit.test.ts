import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AGENT_COMMANDS } from "../../../src/cli/agent/commands.ts";
import { runProgram } from "../../../src/cli/program.ts";
import { fakeCliContext } from "../../fakes/cli-context.ts";
import { makeKey, witBundle } from "../../pki/jwt-tokens.ts";
import { ApiHarness, FakeSource, identityOf, updateOf, witOf } from "../../workload-api/harness.ts";

const KEY = /"d":"[\w-]{43}"/;

/** An agent that has WIT-SVIDs for these entries, and its command. */
async function start(bundle = witBundle("example.org", makeKey("wit-1"))) {
  const source = new FakeSource();
  const identities = [identityOf("a", { hint: "internal" }), identityOf("b")];
  source.everybody.set(updateOf(identities, { bundle }));
  for (const { entry } of identities) {
    source.wits.svids.set(entry.entryId, witOf(entry.spiffeId, `token-of-${entry.entryId}`));
  }
  const harness = await ApiHarness.open(source);
  return {
    say: async (...args: string[]) => {
      const context = fakeCliContext();
      const program = { about: "the agent", version: "0.0.0", commands: AGENT_COMMANDS };
      const words = ["api", "fetch", "wit", ...args, "-socketPath", harness.path];
      const status = await runProgram(program, words, context);
      return { status, stdout: context.stdout, stderr: context.stderr };
    },
    [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose](),
  };
}

test("prints IDs, tokens and hints, and no key", async () => {
  await using agent = await start();
  expect(await agent.say()).toEqual({
    status: 0,
    stdout:
      "token(spiffe://example.org/a):\n\ttoken-of-a\nhint(spiffe://example.org/a):\n\tinternal\ntoken(spiffe://example.org/b):\n\ttoken-of-b\n",
    stderr: "",
  });
});

test("-spiffeID chooses, -output json has the key", async () => {
  await using agent = await start();
  const { stdout } = await agent.say("-spiffeID", "spiffe://example.org/b", "-output", "json");
  const { svids } = JSON.parse(stdout) as { svids: Record<string, string>[] };
  expect(svids).toEqual([
    {
      spiffe_id: "spiffe://example.org/b",
      wit_svid: "token-of-b",
      wit_svid_key: expect.stringMatching(KEY) as string,
      hint: "",
    },
  ]);
});

test("-write makes files that only their owner reads, -silent prints nothing of the tokens", async () => {
  await using agent = await start();
  const folder = mkdtempSync(join(tmpdir(), "hf-wit-"));
  try {
    const { stdout } = await agent.say("-silent", "-write", folder);
    const files = ["wit_svid.0.token", "wit_svid.0.key", "wit_svid.1.token", "wit_svid.1.key"].map((name) =>
      join(folder, name),
    );
    const what = ["WIT-SVID #0", "key #0", "WIT-SVID #1", "key #1"];
    expect(stdout).toBe(files.map((file, index) => `Writing ${what[index]} to file ${file}.\n`).join(""));
    expect(files.map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600, 0o600, 0o600]);
    expect(readFileSync(files[2] ?? "", "utf8")).toBe("token-of-b");
    expect(readFileSync(files[3] ?? "", "utf8")).toMatch(KEY);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("says why there is none", async () => {
  await using agent = await start(witBundle("example.org"));
  const { status, stdout, stderr } = await agent.say();
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr).toContain("Unimplemented");
  expect(stderr).toContain("the server issues no WIT-SVIDs");
});

test("--help tells of all flags", async () => {
  await using agent = await start();
  const { status, stdout, stderr } = await agent.say("-help");
  expect(status).toBe(0);
  for (const word of ["-spiffeID", "-silent", "-write", "-timeout", "-socketPath", "-output"]) {
    expect(`${stdout}${stderr}`).toContain(word);
  }
});
