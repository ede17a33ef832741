import { expect, test } from "vitest";
import { changedKeys } from "../../src/config/changes.ts";

const changes = (before: string, after: string, env?: Readonly<Record<string, string>>): string[] => {
  const source = (text: string) => ({ text, fileName: "f", ...(env === undefined ? {} : { expandEnv: env }) });
  return changedKeys(source(before), source(after), "agent", new Set(["log_level"]));
};

test.each([
  ["nothing", 'agent { a = "1" }', 'agent {\n  # other\n  A = "1"\n}', []],
  ["the form", 'agent { a = "1" }', '{ "agent": { "a": "1" } }', []],
  ["a value", "agent { a = 1\n b = true }", "agent { a = 2\n b = true }", ["agent.a"]],
  ["a type", "agent { a = 1 }", 'agent { a = "1" }', ["agent.a"]],
  ["more and less", "agent { a = 1 }", "agent { b = 1 }", ["agent.a", "agent.b"]],
  ["a list", 'agent { a = ["x", "y"] }', 'agent { a = ["x"] }', ["agent.a"]],
  [
    "a plugin",
    'plugins { NodeAttestor "tpm" { plugin_data { x = 1 } } }',
    'plugins { NodeAttestor "tpm" { plugin_data { x = 2 } } }',
    ["plugins.NodeAttestor.tpm.plugin_data.x"],
  ],
  ["what is ignored", 'agent { log_level = "info" }', 'agent { log_level = "debug" }', []],
  ["that elsewhere", 'server { log_level = "info" }', "server { }", ["server.log_level"]],
] as const)("%s", (_, before, after, keys) => {
  expect(changes(before, after)).toEqual(keys);
});

test("variables are replaced first", () => {
  expect(changes("agent { a = $X }", "agent { a = 1 }", { X: "1" })).toEqual([]);
});
