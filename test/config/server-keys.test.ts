import { describe, expect, test } from "vitest";
import { loadServerConfig, problemsOf, SERVER_FILE, withKeys, withoutLine } from "./sources.ts";

function problems(text: string): readonly string[] {
  return problemsOf(() => loadServerConfig({ text, fileName: "server.conf" }));
}

function loadWith(line: string) {
  return loadServerConfig({ text: withKeys(SERVER_FILE, line), fileName: "server.conf" });
}

/** Problems of a file whose line 4 is this. */
function problemsWith(line: string): readonly string[] {
  return problems(withKeys(SERVER_FILE, line));
}

describe("bad files name line, column, key and problem", () => {
  test.each([
    ["  bindport = 1", "4:3: server.bindport: unknown key; did you mean bind_port?"],
    ["  ca_subject { countries = [] }", "4:16: server.ca_subject.countries: unknown key; did you mean country?"],
    ["  ratelimit { atestation = true }", "4:15: server.ratelimit.atestation: unknown key; did you mean attestation?"],
    ["  bind_port = 0", "4:15: server.bind_port: must be a whole number from 1 to 65535"],
    ['  ca_ttl = "1s"', "4:12: server.ca_ttl: must be at least 1m"],
    ['  ca_ttl = "-1h"', "4:12: server.ca_ttl: must be at least 1m"],
    ["  agent_ttl = 3600", "4:15: server.agent_ttl: must be a duration such as 30s, 1h30m or 168h, in quotes"],
    ['  ca_key_type = "ed25519"', "4:17: server.ca_key_type: must be one of ec-p256, ec-p384, rsa-2048, rsa-4096"],
    [
      '  admin_ids = ["spiffe://example.org/a", "admin"]',
      '4:42: server.admin_ids[1]: not valid: scheme is missing or invalid: want "spiffe://"',
    ],
    ['  ca_subject { country = "US" }', '4:26: server.ca_subject.country: must be a list such as ["a", "b"]'],
    [
      '  federation { bundle_endpoint { address = "x" } }',
      "4:3: server.federation: not implemented in this version: bundles of other trust domains are neither served nor fetched",
    ],
    [
      '  proxy_protocol_trusted_cidrs = ["10.0.0.0/8"]',
      "4:3: server.proxy_protocol_trusted_cidrs: not implemented in this version: connections that start with a PROXY header would fail",
    ],
    [
      "  experimental { auth_opa_policy_engine { local { } } }",
      "4:18: server.experimental.auth_opa_policy_engine: not implemented in this version: the authorization policy is built in",
    ],
  ])("%s", (line, expected) => {
    expect(problemsWith(line)).toEqual([`server.conf:${expected}`]);
  });

  test.each([
    ["trust_domain", "server.conf:1:1: server.trust_domain: is required"],
    ["data_dir", "server.conf:1:1: server.data_dir: is required"],
    [
      "DataStore",
      'server.conf:5:1: plugins: needs a DataStore: add DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "…" } }',
    ],
    [
      "KeyManager",
      'server.conf:5:1: plugins: needs a KeyManager: add KeyManager "disk" { plugin_data { keys_path = "…" } }',
    ],
  ])("without %s", (key, expected) => {
    expect(problems(withoutLine(SERVER_FILE, key))).toEqual([expected]);
  });

  test.each([
    [
      "postgres",
      "server.conf:6:51: plugins.DataStore.sql.plugin_data.database_type: must be sqlite3: no other database is implemented in this version",
    ],
  ])("database type %s", (type, expected) => {
    expect(problems(SERVER_FILE.replace("sqlite3", type))).toEqual([expected]);
  });

  test.each([
    ["file:db?mode=memory", "after file: only a plain path is implemented in this version"],
    ["file:a%20b", "after file: only a plain path is implemented in this version"],
    ["file:", "after file: only a plain path is implemented in this version"],
    ["file://host/db", "after file: only a plain path is implemented in this version"],
    ["postgres://user:secret@host/db", "must be a path, or file: and a path"],
    ["db?cache=shared", "must be a path, or file: and a path"],
  ])("connection string %s", (connection, expected) => {
    const [problem, ...others] = problems(SERVER_FILE.replace("/var/lib/server/db", connection));
    expect(others).toEqual([]);
    expect(problem).toBe(`server.conf:6:81: plugins.DataStore.sql.plugin_data.connection_string: ${expected}`);
  });
});

describe("warnings", () => {
  test.each([
    [
      'max_attested_node_info_staleness = "5m"',
      "not implemented in this version and ignored: the node is looked up at every call",
    ],
    [
      "prune_attested_nodes_batch_size = 5",
      "not implemented in this version and ignored: the server has its own batch size",
    ],
    ["prune_tofu_nodes = true", "has no effect without prune_attested_nodes_expired_for"],
  ])("%s", (line, expected) => {
    const { warnings } = loadWith(`  ${line}`);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(new RegExp(`^server\\.conf:4:\\d+: server\\.${line.split(" ")[0]}: ${expected}$`));
  });

  test("administrators of other trust domains", () => {
    expect(loadWith('  admin_ids = ["spiffe://other.org/a"]').warnings).toEqual([
      "server.conf:4:16: server.admin_ids[0]: is of another trust domain, whose callers cannot be verified in this version",
    ]);
  });

  test.each([
    'max_attested_node_info_staleness = "0s" profiling_enabled = false proxy_protocol_trusted_cidrs = []',
    "experimental { events_based_cache = false }",
  ])("none for what asks for nothing: %s", (line) => {
    expect(loadWith(`  ${line}`).warnings).toEqual([]);
  });
});
