import { describe, expect, test } from "vitest";
import { AGENT_COMMANDS } from "../../src/cli/agent/commands.ts";
import { type CommandSpec, type OptionValues, UsageError } from "../../src/cli/command.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { runProgram } from "../../src/cli/program.ts";
import { SERVER_COMMANDS } from "../../src/cli/server/commands.ts";
import { AgentError } from "../../src/lib/errors.ts";
import { fakeCliContext } from "../fakes/cli-context.ts";

function program(run: (options: OptionValues) => Promise<number>) {
  const spec = (path: readonly string[]): CommandSpec => ({
    path,
    summary: `does ${path.join(" ")}`,
    options: [
      { name: "spiffeID", value: "id", description: "An ID." },
      { name: "selector", value: "type:value", repeat: true, description: "A selector." },
      { name: "admin", description: "A switch." },
    ],
    load: async () => ({ run }),
  });
  return {
    about: "a test",
    version: "1.2.3",
    commands: [spec(["api", "fetch"]), spec(["api", "fetch", "x509"]), spec(["run"])],
  };
}

test("a command gets its flags, with one dash or two", async () => {
  let seen: OptionValues = {};
  const spec = program(async (options) => {
    seen = options;
    return 7;
  });
  const status = await runProgram(
    spec,
    ["api", "fetch", "x509", "-spiffeID", "a", "--selector=b:c", "-selector", "d:e", "-admin=true"],
    fakeCliContext(),
  );
  expect(status).toBe(7);
  expect(seen).toEqual({ spiffeID: "a", selector: ["b:c", "d:e"], admin: true });
});

test("a group may be a command too", async () => {
  expect(
    await runProgram(
      program(async () => 0),
      ["api", "fetch", "-admin"],
      fakeCliContext(),
    ),
  ).toBe(0);
});

describe("wrong use exits with 1 and says what is wrong", () => {
  test.each([
    [
      ["run", "-spifeID", "a"],
      "Error: unknown option '-spifeID' (Did you mean -spiffeID?)\nTry 'holdfast-test run -h'.",
    ],
    [["nosuch"], "unknown command 'nosuch'"],
    [["run", "extra"], "too many arguments"],
    [["api", "fetch", "jwt"], "unknown command 'jwt' after api fetch"],
    [["api", "fetch", "jwt", "-admin"], "unknown command 'jwt' after api fetch"],
    [["run", "-spiffeID"], "argument missing"],
  ])("%j", async (argv, message) => {
    const context = fakeCliContext();
    expect(
      await runProgram(
        program(async () => 0),
        argv,
        context,
      ),
    ).toBe(1);
    expect(context.stderr).toContain(message);
  });

  test("an error of the command itself", async () => {
    const context = fakeCliContext();
    const spec = program(async () => {
      throw new UsageError("-spiffeID is required");
    });
    expect(await runProgram(spec, ["run"], context)).toBe(1);
    expect(context.stderr).toBe("Error: -spiffeID is required\nTry 'holdfast-test run -h'.\n");
  });
});

test("an expected failure is one line with its causes", async () => {
  const context = fakeCliContext();
  const spec = program(async () => {
    throw new AgentError("UNAVAILABLE", "cannot reach the server", { cause: new Error("connection refused") });
  });
  expect(await runProgram(spec, ["run"], context)).toBe(1);
  expect(context.stderr).toBe("Error: cannot reach the server: connection refused\n");
});

test("help is a man page on standard output", async () => {
  const context = fakeCliContext();
  expect(
    await runProgram(
      program(async () => 0),
      ["run", "-h"],
      context,
    ),
  ).toBe(0);
  for (const title of ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS"])
    expect(context.stdout).toMatch(new RegExp(`^${title}$`, "m"));
  expect(context.stdout).toContain("    -spiffeID <id>\n        An ID.");
  expect(context.stderr).toBe("");
});

test("a command of SPIRE's that is not there yet is told from a misspelt one", async () => {
  const context = fakeCliContext();
  const spec = { ...program(async () => 0), notInThisVersion: [["jwt"]] };
  expect(await runProgram(spec, ["jwt", "mint", "-audience", "x"], context)).toBe(1);
  expect(context.stderr).toContain("'jwt' is a command of SPIRE's that this version does not have");
});

test("the version", async () => {
  const context = fakeCliContext();
  expect(
    await runProgram(
      program(async () => 0),
      ["--version"],
      context,
    ),
  ).toBe(0);
  expect(context.stdout).toBe("1.2.3\n");
});

describe.each([
  ["holdfast-agent", AGENT_COMMANDS],
  ["holdfast-server", SERVER_COMMANDS],
])("%s", (name, commands) => {
  test("every command has a help within 80 columns, and an implementation", async () => {
    for (const command of commands) {
      const context = fakeCliContext({ program: name });
      expect(await runProgram({ about: "x", version: "1", commands }, [...command.path, "-h"], context)).toBe(0);
      expect(
        context.stdout.split("\n").filter((line) => line.length > 80 && !line.includes("-spiffeID spiffe://")),
      ).toEqual([]);
      expect(typeof (await command.load()).run).toBe("function");
    }
  });

  test("no flag is a switch in one place of a command and takes a value in another", () => {
    for (const { path, options } of commands) {
      const names = options.map((option) => option.name);
      expect([path, names.filter((option, index) => names.indexOf(option) !== index)]).toEqual([path, []]);
    }
  });

  test("bash completes its commands and flags", () => {
    const script = completionScript(name, commands, "bash");
    expect(script).toContain(`complete -o default -F _${name.replace("-", "_")} ${name}`);
    for (const { path, options } of commands) {
      expect(script).toContain(`"${path.slice(0, -1).join(" ")}") words="`);
      for (const option of options) expect(script).toContain(`-${option.name}`);
    }
  });
});
