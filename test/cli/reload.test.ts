import { expect, test } from "vitest";
import { type Configuration, Reloader } from "../../src/cli/reload.ts";
import { RecordingLogger } from "../fakes/recording-logger.ts";

const configuration = (keys: string, log: Partial<Configuration["log"]> = {}, flags = {}): Configuration => ({
  source: { text: `agent {\n${keys}\n}\n`, fileName: "agent.conf", flags },
  log: { level: "info", format: "text", sourceLocation: false, ...log },
});

/** A running program whose configuration is `started`, and what it did when told to read `next`. */
function reloaded(started: Configuration, ...next: (Configuration | Error)[]) {
  const log = new RecordingLogger();
  const did: string[] = [];
  const swaps = Object.assign(log, {
    setLevel: (level: string) => void did.push(`level ${level}`),
    reopen: (path?: string | null) => void did.push(`file ${path}`),
  });
  const manager = {
    reloading: (us: bigint) => void did.push(`reloading ${us}`),
    reloaded: () => void did.push("reloaded"),
  };
  const load = (): Configuration => {
    const found = next.shift();
    if (found === undefined || found instanceof Error) throw found ?? new Error("no more");
    return found;
  };
  const reloader = new Reloader({ name: "agent", log: swaps, manager, monotonicUs: () => 7n, load }, started);
  while (next.length > 0) reloader.reload();
  return { log, did };
}

test("level and file of the log change at once", () => {
  const { did, log } = reloaded(
    configuration('log_level = "info"'),
    configuration('log_level = "debug"', { level: "debug", file: "/var/log/a" }),
    configuration("", {}),
  );
  expect(did).toEqual([
    "reloading 7",
    "file /var/log/a",
    "level debug",
    "reloaded",
    "reloading 7",
    "file null",
    "level info",
    "reloaded",
  ]);
  expect(log.lines.map(({ fields }) => fields)).toEqual([
    { changed: ["log_file", "log_level"] },
    { changed: ["log_file", "log_level"] },
  ]);
});

test("what cannot change is named, without its value, until it is as before", () => {
  const { log } = reloaded(
    configuration('join_token = "a"'),
    configuration('join_token = "b"\nserver_port = 1'),
    configuration('join_token = "a"'),
  );
  expect(log.lines.map(({ message, fields }) => [message, fields])).toEqual([
    ["The configuration was reloaded", { changed: [] }],
    ["Some changes need a restart", { keys: ["agent.join_token", "agent.server_port"] }],
    ["The configuration was reloaded", { changed: [] }],
  ]);
});

test("what the command line says, the file does not change", () => {
  const { log } = reloaded(
    configuration("server_port = 1", {}, { server_port: "3" }),
    configuration("server_port = 2", {}, { server_port: "3" }),
  );
  expect(log.lines).toHaveLength(1);
});

test("with a configuration that is not valid everything stays", () => {
  const { did, log } = reloaded(configuration(""), new Error("agent.conf:2:1: agent.x: unknown key"));
  expect(did).toEqual(["reloading 7", "reloaded"]);
  expect(log.lines).toEqual([expect.objectContaining({ fields: { error: "agent.conf:2:1: agent.x: unknown key" } })]);
});
