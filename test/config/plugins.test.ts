import { describe, expect, test } from "vitest";
import { AGENT_FILE, loadAgentConfig, loadServerConfig, problemsOf, SERVER_FILE } from "./sources.ts";

/** The agent's file with this as its plugins, from line 8 on. */
function withPlugins(lines: string): string {
  return `${AGENT_FILE.slice(0, AGENT_FILE.indexOf("plugins"))}plugins {\n${lines}\n}\n`;
}

function load(lines: string) {
  return loadAgentConfig({ text: withPlugins(lines), fileName: "a" });
}

function problems(lines: string): readonly string[] {
  return problemsOf(() => load(lines));
}

const REST = `KeyManager "memory" {}
NodeAttestor "join_token" {}`;
const UNIX = `WorkloadAttestor "unix" {}`;

describe("the plugins section", () => {
  test("may nest in every way that HCL 1 allows", () => {
    const { config } = load(`"KeyManager" "disk" plugin_data { directory = "/k" }
      NodeAttestor { join_token { plugin_data { } } }
      WorkloadAttestor = { unix = { plugin_data = { workload_size_limit = 5 } } }`);
    expect(config.plugins.keyManager).toEqual({ name: "disk", directory: "/k" });
    expect(config.plugins.workloadAttestors[0]?.workloadSizeLimit).toBe(5);
  });

  test("a disabled plugin is not looked at, whatever it is", () => {
    const { config, warnings } = load(`${REST}
      ${UNIX}
      KeyManager "disk" { enabled = false plugin_data { frobnicate = 1 } }
      NodeAttestor "x509pop" { enabled = false }
      NodeAttestor "my_own" { enabled = false plugin_cmd = "/bin/false" }`);
    expect(config.plugins.keyManager.name).toBe("memory");
    expect(warnings).toEqual([]);
  });

  test("an enabled one may say so", () => {
    expect(load(`${REST}\nWorkloadAttestor "unix" { enabled = true }`).config.plugins.workloadAttestors).toHaveLength(
      1,
    );
  });

  test.each([
    ['NodeAttestr "x" {}', "a:10:1: plugins.NodeAttestr: unknown plugin type; did you mean NodeAttestor?"],
    [
      'Frobnicator "x" {}',
      "a:10:1: plugins.Frobnicator: unknown plugin type; known: NodeAttestor, KeyManager, WorkloadAttestor, SVIDStore",
    ],
    [
      'WorkloadAttestor "unixx" {}',
      "a:10:18: plugins.WorkloadAttestor.unixx: unknown plugin; did you mean unix? Known: unix",
    ],
    ['WorkloadAttestor "frob" {}', "a:10:18: plugins.WorkloadAttestor.frob: unknown plugin; known: unix"],
    [
      'WorkloadAttestor "k8s" {}',
      "a:10:18: plugins.WorkloadAttestor.k8s: not implemented in this version; it has unix",
    ],
    [
      'WorkloadAttestor "docker" {}',
      "a:10:18: plugins.WorkloadAttestor.docker: not implemented in this version; it has unix",
    ],
    [
      'SVIDStore "aws_secretsmanager" {}',
      "a:10:11: plugins.SVIDStore.aws_secretsmanager: not implemented in this version; it has no plugins of this type",
    ],
    ['SVIDStore "x" {}', "a:10:11: plugins.SVIDStore.x: unknown plugin; known: none"],
    [
      'WorkloadAttestor "my_own" { plugin_cmd = "/opt/it" }',
      "a:10:29: plugins.WorkloadAttestor.my_own.plugin_cmd: not implemented in this version: plugins that are programs of their own cannot be run",
    ],
    ['KeyManager "memory" {}', "a:10:12: plugins.KeyManager.memory: is declared twice; first on line 8"],
    ["NodeAttestor = 5", "a:10:16: plugins.NodeAttestor: must be a block { … }"],
    ['NodeAttestor { x509pop = "y" }', "a:10:26: plugins.NodeAttestor.x509pop: must be a block { … }"],
  ])("%s", (line, expected) => {
    const all = problems(`${REST}\n${line}\n${UNIX}`);
    expect(all).toContain(expected);
  });

  test.each([
    [
      "plugin_data { discover_path = true }",
      "a:10:41: plugins.WorkloadAttestor.unix.plugin_data.discover_path: unknown key; known here: discover_workload_path, workload_size_limit, allow_other_mount_namespaces",
    ],
    [
      "plugin_data { discover_workload_pat = true }",
      "a:10:41: plugins.WorkloadAttestor.unix.plugin_data.discover_workload_pat: unknown key; did you mean discover_workload_path?",
    ],
    [
      'plugin_data { discover_workload_path = "yes" }',
      "a:10:66: plugins.WorkloadAttestor.unix.plugin_data.discover_workload_path: must be true or false, without quotes",
    ],
    ["plugin_dta { }", "a:10:27: plugins.WorkloadAttestor.unix.plugin_dta: unknown key; did you mean plugin_data?"],
    [
      'plugin_data_file = "/x"',
      "a:10:27: plugins.WorkloadAttestor.unix.plugin_data_file: not implemented in this version: move its content into plugin_data",
    ],
    [
      'plugin_checksum = "abc"',
      "a:10:27: plugins.WorkloadAttestor.unix.plugin_checksum: not implemented in this version: plugins that are programs of their own cannot be run",
    ],
    ['enabled = "false"', "a:10:37: plugins.WorkloadAttestor.unix.enabled: must be true or false, without quotes"],
    ["plugin_data = 1", "a:10:41: plugins.WorkloadAttestor.unix.plugin_data: must be a block { … }"],
  ])("unix { %s }", (body, expected) => {
    expect(problems(`${REST}\nWorkloadAttestor "unix" { ${body} }`)).toEqual([expected]);
  });

  test("required data is asked for where the plugin stands", () => {
    expect(problems(`NodeAttestor "join_token" {}\n${UNIX}\nKeyManager "disk" {}`)).toEqual([
      "a:10:12: plugins.KeyManager.disk.plugin_data.directory: is required",
    ]);
  });

  test("exactly one key manager and node attestor are used", () => {
    expect(problems(`${REST}\n${UNIX}\nKeyManager "disk" { plugin_data { directory = "/k" } }`)).toEqual([
      "a:7:1: plugins: has 2 enabled plugins of type KeyManager; at most 1 can be used",
    ]);
  });
});

describe("the server's plugins", () => {
  const withPlugin = (line: string): readonly string[] =>
    problemsOf(() => loadServerConfig({ text: `${SERVER_FILE}plugins {\n${line}\n}`, fileName: "s" }));

  test.each([
    ["UpstreamAuthority", "disk"],
    ["UpstreamAuthority", "cert-manager"],
    ["CredentialComposer", "uniqueid"],
    ["Notifier", "k8sbundle"],
    ["BundlePublisher", "aws_s3"],
  ])('%s "%s" is refused: without it the server would do something else', (type, name) => {
    expect(withPlugin(`${type} "${name}" { plugin_data { a = "b" } }`)).toEqual([
      `s:11:${type.length + 2}: plugins.${type}.${name}: not implemented in this version; it has no plugins of this type`,
    ]);
  });

  test("node attestors of SPIRE's", () => {
    expect(withPlugin('NodeAttestor "aws_iid" {}')).toEqual([
      "s:11:14: plugins.NodeAttestor.aws_iid: not implemented in this version; it has join_token, tpm",
    ]);
  });

  test("SQL settings without an effect warn; one that would change data is refused", () => {
    const text = (line: string): string => SERVER_FILE.replace('sqlite3"', `sqlite3" ${line}`);
    const load = (line: string) => loadServerConfig({ text: text(line), fileName: "s" });
    expect(load("max_open_conns = 5 disable_migration = false log_sql = false").warnings).toEqual([
      "s:6:61: plugins.DataStore.sql.plugin_data.max_open_conns: not implemented in this version and ignored: SQLite has one connection",
    ]);
    expect(problemsOf(() => load("disable_migration = true"))).toEqual([
      "s:6:61: plugins.DataStore.sql.plugin_data.disable_migration: not implemented in this version: the server brings its database up to date when it starts",
    ]);
  });
});
