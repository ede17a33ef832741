/** What others chose is printed so that it can neither look like more lines nor steer the operator's terminal. */
import { expect, test } from "vitest";
import type { CommandRun } from "../../src/cli/command.ts";
import { runProgram } from "../../src/cli/program.ts";
import { agentText } from "../../src/cli/server/agent-print.ts";
import { entryText } from "../../src/cli/server/entry-print.ts";
import { Agent } from "../../src/gen/spire/api/types/agent.ts";
import { Entry } from "../../src/gen/spire/api/types/entry.ts";
import { fakeCliContext } from "../fakes/cli-context.ts";

const EVIL = "1.0\nSerial number     : 1\u001b[31m";
const SHOWN = String.raw`1.0\u000aSerial number     : 1\u001b[31m`;

test("the version that an agent says it has", () => {
  const agent = Agent.fromPartial({ agentVersion: EVIL, selectors: [{ type: "x509pop", value: EVIL }] });
  const lines = agentText(agent, { selectors: true }).split("\n");
  expect(lines).toContain(`Agent version     : ${SHOWN}`);
  expect(lines).toContain(`Selectors         : x509pop:${SHOWN}`);
  expect(lines.filter((line) => line.startsWith("Serial number"))).toHaveLength(1);
});

test("the hint and the selectors of an entry", () => {
  const lines = entryText(Entry.fromPartial({ hint: EVIL, selectors: [{ type: "unix", value: EVIL }] })).split("\n");
  expect(lines).toContain(`Hint                    : ${SHOWN}`);
  expect(lines).toContain(`Selector                : unix:${SHOWN}`);
});

test("whatever a command prints", async () => {
  const context = fakeCliContext();
  const run: CommandRun = async (_options, inner) => {
    inner.out("one\n\ttwo\u001b[2J\n");
    inner.err("three\u009b\n");
    return 0;
  };
  const spec = {
    about: "",
    version: "1",
    commands: [{ path: ["go"], summary: "", options: [], load: async () => ({ run }) }],
  };
  expect(await runProgram(spec, ["go"], context)).toBe(0);
  expect(context.stdout).toBe("one\n\ttwo\\u001b[2J\n");
  expect(context.stderr).toBe("three\\u009b\n");
  const failing = fakeCliContext();
  const fail = async () => Promise.reject(new Error("refused: \u001b]0;x\u0007"));
  const other = { ...spec, commands: [{ path: ["go"], summary: "", options: [], load: async () => ({ run: fail }) }] };
  expect(await runProgram(other, ["go"], failing)).toBe(1);
  expect(failing.stderr).toBe("Error: refused: \\u001b]0;x\\u0007\n");
});
