import { describe, expect, test } from "vitest";
import { AGENT_FILE, loadAgentConfig, problemsOf, withKeys, withoutLine } from "./sources.ts";

function problems(text: string): readonly string[] {
  return problemsOf(() => loadAgentConfig({ text, fileName: "agent.conf" }));
}

/** Problems of a file whose line 6 is this. */
function problemsWith(line: string): readonly string[] {
  return problems(withKeys(AGENT_FILE, line));
}

describe("bad files name line, column, key and problem", () => {
  test.each([
    // unknown
    ["  trust_domian = 1", "6:3: agent.trust_domian: unknown key; did you mean trust_domain?"],
    ["  frobnicate = 1", "6:3: agent.frobnicate: unknown key"],
    ["  constructor = 1", "6:3: agent.constructor: unknown key"],
    ["  __proto__ { a = 1 }", "6:3: agent.__proto__: unknown key"],
    ["  sds { default_svid = 1 }", "6:9: agent.sds.default_svid: unknown key; did you mean default_svid_name?"],
    ["  experimental { brokers {} }", "6:18: agent.experimental.brokers: unknown key; did you mean broker?"],
    [
      "  sds { x = 1 }",
      "6:9: agent.sds.x: unknown key; known here: default_svid_name, default_bundle_name, default_all_bundles_name, disable_spiffe_cert_validation",
    ],
    // wrong type or value
    ["  data_dir = true", "6:14: agent.data_dir: must be text in quotes"],
    ["  data_dir = 1.5 log_file = [1]", "6:29: agent.log_file: must be text in quotes"],
    ["  data_dir { }", "6:12: agent.data_dir: must be text in quotes"],
    ['  disable_workload_api = "true"', "6:26: agent.disable_workload_api: must be true or false, without quotes"],
    ['  log_selectors = "unix"', '6:19: agent.log_selectors: must be a list such as ["a", "b"]'],
    ['  log_selectors = ["a", true]', "6:25: agent.log_selectors[1]: must be text in quotes"],
    ['  log_selectors = ["a", {}]', "6:25: agent.log_selectors[1]: must be text in quotes"],
    [
      '  log_level = "LOUD"',
      "6:15: agent.log_level: must be one of trace, debug, info, warn, warning, error, fatal, panic",
    ],
    ['  log_format = "xml"', "6:16: agent.log_format: must be one of text, json"],
    ['  trust_bundle_format = "der"', "6:25: agent.trust_bundle_format: must be one of pem, spiffe"],
    [
      '  workload_x509_svid_key_type = "rsa-4096"',
      "6:33: agent.workload_x509_svid_key_type: must be one of ec-p256, ec-p384, rsa-2048",
    ],
    ['  availability_target = "23h59m"', "6:25: agent.availability_target: must be at least 24h"],
    [
      '  availability_target = "1d"',
      "6:25: agent.availability_target: must be a duration such as 30s, 1h30m or 168h, in quotes",
    ],
    ['  experimental { sync_interval = "-5s" }', "6:34: agent.experimental.sync_interval: must be at least 10ms"],
    [
      "  experimental { max_connections = 0 }",
      "6:36: agent.experimental.max_connections: must be a whole number from 1 to 1000000",
    ],
    [
      "  experimental { max_connections = 1.5 }",
      "6:36: agent.experimental.max_connections: must be a whole number from 1 to 1000000",
    ],
    [
      "  experimental { max_connections = 4 max_connections_per_uid = 5 }",
      "6:64: agent.experimental.max_connections_per_uid: is more than max_connections, which is 4",
    ],
    ['  sds = "x"', "6:9: agent.sds: must be a block { … }"],
    ['  sds = [{}, "x"]', "6:14: agent.sds: must be a block { … }"],
    [
      '  authorized_delegates = ["spiffe://example.org/ok", "https://x"]',
      '6:54: agent.authorized_delegates[1]: not valid: scheme is missing or invalid: want "spiffe://"',
    ],
    [
      '  authorized_delegates = ["spiffe://other.org/x"]',
      "6:27: agent.authorized_delegates[0]: is not a member of example.org",
    ],
    ['  authorized_delegates = ["spiffe://example.org"]', "6:27: agent.authorized_delegates[0]: needs a path"],
    // keys that exclude or need each other
    ["  insecure_bootstrap = true", "6:24: agent.insecure_bootstrap: cannot be used together with trust_bundle_path"],
    [
      '  trust_bundle_url = "https://x"',
      "6:22: agent.trust_bundle_url: cannot be used together with trust_bundle_path",
    ],
    ['  trust_bundle_unix_socket = "/x"', "6:30: agent.trust_bundle_unix_socket: needs trust_bundle_url as well"],
    [
      '  join_token = "a" join_token_file = "b"',
      "6:38: agent.join_token_file: cannot be used together with join_token",
    ],
    [
      '  admin_socket_path = "/tmp/spire-agent/public/x/admin.sock"',
      "6:23: agent.admin_socket_path: must not be in the folder of socket_path or below it",
    ],
    // twice
    ['  "log_file" = "/x" log_FILE = "/y"', "6:21: agent.log_file: is set twice; first on line 6"],
    [
      "  sds { default_svid_name = 1 } sds { default_svid_name = 2 }",
      "6:39: agent.sds.default_svid_name: is set twice; first on line 6",
    ],
    // SPIRE's, where ignoring them would change what is trusted
    [
      '  rebootstrap_mode = "auto"',
      "6:3: agent.rebootstrap_mode: not implemented in this version: the agent never gives up its stored bundle by itself",
    ],
    [
      '  trust_bundle_spiffe_workload_api = "unix:///x"',
      "6:3: agent.trust_bundle_spiffe_workload_api: not implemented in this version: use trust_bundle_path or trust_bundle_url",
    ],
  ])("%s", (line, expected) => {
    expect(problemsWith(line)).toEqual([`agent.conf:${expected}`]);
  });

  test.each([
    ["", "https://"],
    ['trust_bundle_unix_socket = "/s"', "http:// to go through a socket"],
  ])("a bundle URL of the wrong scheme %s", (more, expected) => {
    const file = withoutLine(AGENT_FILE, "trust_bundle_path");
    for (const url of ["ftp://x", "x", "://", more === "" ? "http://x" : "https://x"]) {
      expect(problems(withKeys(file, `  trust_bundle_url = "${url}" ${more}`))).toEqual([
        `agent.conf:5:22: agent.trust_bundle_url: must be a URL that starts with ${expected}`,
      ]);
    }
  });

  test("a bundle URL may not use the parameters that the agent adds", () => {
    const file = withoutLine(AGENT_FILE, "trust_bundle_path");
    const line = (url: string) => `  trust_bundle_url = "${url}" trust_bundle_unix_socket = "/s"`;
    expect(problems(withKeys(file, line("http://x/?spire-a=1")))).toEqual([
      "agent.conf:5:22: agent.trust_bundle_url: must not have parameters that start with spiffe- or spire-",
    ]);
    expect(problems(withKeys(file, line("http://x/?a=1")))).toEqual([]);
  });

  test.each([
    ["trust_domain", "agent.conf:1:1: agent.trust_domain: is required"],
    ["server_address", "agent.conf:1:1: agent.server_address: is required"],
    ["server_port", "agent.conf:1:1: agent.server_port: is required"],
    [
      "trust_bundle_path",
      "agent.conf:1:1: agent.trust_bundle_path: is required, or trust_bundle_url, or insecure_bootstrap = true",
    ],
  ])("without %s", (key, expected) => {
    expect(problems(withoutLine(AGENT_FILE, key))).toEqual([expected]);
  });

  test.each([
    [
      "Example.org",
      "not valid: trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores",
    ],
    ["spiffe://", "not valid: trust domain is missing"],
  ])("trust domain %s", (name, expected) => {
    expect(problems(AGENT_FILE.replace("example.org", name))).toEqual([
      `agent.conf:2:18: agent.trust_domain: ${expected}`,
    ]);
  });

  test("ports", () => {
    for (const port of ["0", "65536", "-1", '"abc"', '"08081"', "1.5", "true"]) {
      expect(problems(AGENT_FILE.replace("8081", port))).toEqual([
        "agent.conf:4:17: agent.server_port: must be a whole number from 1 to 65535",
      ]);
    }
  });
});
