/** The agent's plugins. */
import type { AgentKeyManagerConfig, AgentNodeAttestorConfig, WorkloadAttestorConfig } from "./agent-config.ts";
import { defaulted, required } from "./keys.ts";
import { type PluginType, type PluginTypes, plugin } from "./plugins.ts";
import { flag, integer, path } from "./values.ts";

const NODE_ATTESTOR: PluginType<AgentNodeAttestorConfig> = {
  plugins: [plugin("join_token", {}, "Shows the server a token, once.", () => ({ name: "join_token" }) as const)],
  notImplemented: [
    "aws_iid",
    "azure_imds",
    "azure_msi",
    "gcp_iit",
    "http_challenge",
    "k8s_psat",
    "k8s_sat",
    "sshpop",
    "tpm_devid",
    "x509pop",
  ],
  least: 1,
  most: 1,
  example: 'NodeAttestor "join_token" { plugin_data {} }',
};

const KEY_MANAGER: PluginType<AgentKeyManagerConfig> = {
  plugins: [
    plugin(
      "disk",
      { directory: required(path(), "Folder that holds the agent's key, readable by its owner alone.") },
      "Keeps the agent's key in a file.",
      ({ directory }) => ({ name: "disk", directory }) as const,
    ),
    plugin(
      "memory",
      {},
      "Keeps the agent's key in memory: each start attests anew.",
      () => ({ name: "memory" }) as const,
    ),
  ],
  notImplemented: [],
  least: 1,
  most: 1,
  example: 'KeyManager "disk" { plugin_data { directory = "…" } }',
};

const WORKLOAD_ATTESTOR: PluginType<WorkloadAttestorConfig> = {
  plugins: [
    plugin(
      "unix",
      {
        discover_workload_path: defaulted(flag(), false, "Whether selectors `path` and `sha256` are found out."),
        workload_size_limit: defaulted(
          integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, "bytes"),
          0,
          "Larger programs fail attestation; 0: no limit; negative: no `sha256` at all.",
        ),
        allow_other_mount_namespaces: defaulted(
          flag(),
          false,
          "Holdfast's own: whether `path` is given to callers in other mount namespaces, where it may lie.",
        ),
      },
      "Users, groups and the program of the calling process.",
      (data) =>
        ({
          name: "unix",
          discoverWorkloadPath: data.discover_workload_path,
          workloadSizeLimit: data.workload_size_limit,
          allowOtherMountNamespaces: data.allow_other_mount_namespaces,
        }) as const,
    ),
  ],
  notImplemented: ["docker", "k8s", "slurm", "systemd", "windows"],
  least: 1,
  most: Number.POSITIVE_INFINITY,
  example: 'WorkloadAttestor "unix" { plugin_data {} }',
};

const SVID_STORE: PluginType<never> = {
  plugins: [],
  notImplemented: ["aws_secretsmanager", "gcp_secretmanager"],
  least: 0,
  most: Number.POSITIVE_INFINITY,
  example: "",
};

/** What may stand in the agent's `plugins`. */
export const AGENT_PLUGINS = {
  NodeAttestor: NODE_ATTESTOR,
  KeyManager: KEY_MANAGER,
  WorkloadAttestor: WORKLOAD_ATTESTOR,
  SVIDStore: SVID_STORE,
} satisfies PluginTypes;
