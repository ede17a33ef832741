import { describe, expect, test } from "vitest";
import type { Source } from "../../src/config/load.ts";
import { AGENT_FILE, loadAgentConfig, problemsOf, withKeys, withoutLine } from "./sources.ts";

function load(text: string, more: Partial<Source> = {}) {
  return loadAgentConfig({ text, fileName: "agent.conf", ...more });
}

function problems(text: string, more: Partial<Source> = {}): readonly string[] {
  return problemsOf(() => load(text, more));
}

function loadWith(line: string) {
  return load(withKeys(AGENT_FILE, line));
}

describe("whole files", () => {
  test("all problems in one go, in the order of the file", () => {
    const text = `agent {
  trust_domian = "example.org"
  server_address = 7
  server_port = "x"
  insecure_bootstrap = "yes"
  rebootstrap_mode = "always"
}
plugin { }
plugins {
  NodeAttestor "x509pop" { }
  KeyManager "dsk" { }
}
telemetry { Prometheus { tls {} } }
`;
    expect(problems(text)).toEqual([
      "agent.conf:1:1: agent.trust_domain: is required",
      "agent.conf:2:3: agent.trust_domian: unknown key; did you mean trust_domain?",
      "agent.conf:4:17: agent.server_port: must be a whole number from 1 to 65535",
      "agent.conf:5:24: agent.insecure_bootstrap: must be true or false, without quotes",
      "agent.conf:6:3: agent.rebootstrap_mode: not implemented in this version: the agent never gives up its stored bundle by itself",
      "agent.conf:8:1: plugin: unknown section; did you mean plugins?",
      'agent.conf:9:1: plugins: needs a WorkloadAttestor: add WorkloadAttestor "unix" { plugin_data {} }',
      "agent.conf:10:16: plugins.NodeAttestor.x509pop: not implemented in this version; it has join_token, tpm",
      "agent.conf:11:14: plugins.KeyManager.dsk: unknown plugin; did you mean disk? Known: disk, memory",
      "agent.conf:13:13: telemetry.Prometheus.port: is required",
      "agent.conf:13:26: telemetry.Prometheus.tls: not implemented in this version: the metrics would be readable without TLS; remove it and protect the port otherwise",
    ]);
  });

  test("an empty file", () => {
    expect(problems("")).toEqual([
      "agent.conf:1:1: agent.trust_domain: is required",
      "agent.conf:1:1: agent.server_address: is required",
      "agent.conf:1:1: agent.server_port: is required",
      "agent.conf:1:1: agent.trust_bundle_path: is required, or trust_bundle_url, or insecure_bootstrap = true",
      'agent.conf:1:1: plugins: needs a NodeAttestor: add NodeAttestor "join_token" { plugin_data {} }',
      'agent.conf:1:1: plugins: needs a KeyManager: add KeyManager "disk" { plugin_data { directory = "…" } }',
      'agent.conf:1:1: plugins: needs a WorkloadAttestor: add WorkloadAttestor "unix" { plugin_data {} }',
    ]);
  });

  test("a file of the server", () => {
    expect(problems(AGENT_FILE.replace("agent {", "server {"))[0]).toBe(
      "agent.conf:1:1: server: unknown section; known: agent, plugins, telemetry, health_checks",
    );
    expect(problems(`${AGENT_FILE}server {}`)).toEqual([
      "agent.conf:12:1: server: unknown section; known: agent, plugins, telemetry, health_checks",
    ]);
  });

  test("a section that is no block", () => {
    expect(problems(`${AGENT_FILE}telemetry = 5`)).toEqual(["agent.conf:12:13: telemetry: must be a block { … }"]);
  });

  test.each([
    ['agent {\n  data_dir = "x\n}', "agent.conf:2:14: the string is not closed on its line"],
    ["agent {\n  data_dir = x\n}", "agent.conf:2:14: a text value must be in quotes"],
    ["agent {\n", "agent.conf:2:1: expected a key or the '}' for the '{' on line 1, found the end of the file"],
    ['{\n"agent": }', "agent.conf:2:10: expected a JSON value"],
    ["a {\n".repeat(100), "agent.conf:64:3: nested deeper than 64 levels"],
  ])("text that cannot be read: %j", (text, expected) => {
    expect(problems(text)).toEqual([expected]);
  });

  test("a secret is never repeated", () => {
    const text = withKeys(AGENT_FILE, '  join_token = ["hunter2"] join_token_file = "hunter2"');
    const said = problems(text).join("\n");
    expect(said).toContain("agent.join_token: must be text in quotes");
    expect(said).not.toContain("hunter2");
  });
});

describe("warnings", () => {
  test.each([
    [
      "x509_svid_cache_max_size = 10",
      "not implemented in this version and ignored: the agent holds an X.509-SVID for every entry it is authorized for",
    ],
    [
      'rebootstrap_delay = "5m"',
      "not implemented in this version and ignored: it has no effect without rebootstrap_mode",
    ],
    ["profiling_enabled = true", "not implemented in this version and ignored: there is no profiler"],
  ])("%s", (line, expected) => {
    const { warnings } = loadWith(`  ${line}`);
    expect(warnings).toEqual([`agent.conf:6:3: agent.${line.split(" ")[0]}: ${expected}`]);
  });

  test.each([
    'rebootstrap_mode = "never" rebootstrap_delay = "10m"',
    "profiling_enabled = false profiling_port = 0 profiling_names = []",
    "disable_sds_api = true",
    'allowed_foreign_jwt_claims = ["a"] jwt_svid_cache_max_size = 10 experimental { named_pipe_name = "" feature_flags = [] ratelimit { fetch_secrets = 0 } }',
  ])("none for what asks for nothing: %s", (line) => {
    expect(loadWith(`  ${line}`).warnings).toEqual([]);
  });

  test("nested keys are named in full", () => {
    const { warnings } = load(
      `${withKeys(AGENT_FILE, '  experimental { broker { socket_path = "/x" } }')}
telemetry { Statsd = [{ address = "localhost:1" }] }`,
    );
    expect(warnings).toEqual([
      "agent.conf:6:18: agent.experimental.broker: not implemented in this version and ignored: the Broker API is not served",
      "agent.conf:14:13: telemetry.Statsd: not implemented in this version and ignored: only Prometheus can collect metrics",
    ]);
  });
});

describe("the command line", () => {
  test("wins over the file, also over what is wrong there", () => {
    const { config } = load(AGENT_FILE.replace("8081", '"x"').replace('"server.example.org"', "false"), {
      flags: {
        server_port: "8443",
        server_address: "other",
        log_level: "DEBUG",
        data_dir: undefined,
        trust_domain: "",
      },
    });
    expect(config).toMatchObject({ serverPort: 8443, serverAddress: "other", log: { level: "debug" }, dataDir: "." });
  });

  test("provides what the file lacks", () => {
    const { config } = load(withoutLine(AGENT_FILE, "trust_bundle_path"), { flags: { insecure_bootstrap: true } });
    expect(config.bootstrap).toEqual({ kind: "insecure" });
  });

  test("is named in problems", () => {
    expect(problems(AGENT_FILE, { flags: { server_port: 0, insecure_bootstrap: true, serverport: "1" } })).toEqual([
      "command line: agent.serverport: unknown key; did you mean server_port?",
      "command line: agent.server_port: must be a whole number from 1 to 65535",
      "command line: agent.insecure_bootstrap: cannot be used together with trust_bundle_path",
    ]);
  });
});

describe("environment variables", () => {
  test("are put in only when asked for", () => {
    const text = AGENT_FILE.replace("server.example.org", "${SERVER}");
    expect(load(text).config.serverAddress).toBe("${SERVER}");
    expect(load(text, { expandEnv: { SERVER: "s" } }).config.serverAddress).toBe("s");
  });

  test("that are not set are warned of, and read as empty", () => {
    const { config, warnings } = load(withKeys(AGENT_FILE, '  data_dir = "$NOPE"'), { expandEnv: {} });
    expect(config.dataDir).toBe(".");
    expect(warnings).toEqual(["agent.conf:6:15: environment variable NOPE is not set and reads as empty"]);
    expect(problems(AGENT_FILE.replace("server.example.org", "$NOPE"), { expandEnv: {} })).toEqual([
      "agent.conf:1:1: agent.server_address: is required",
    ]);
  });
});
