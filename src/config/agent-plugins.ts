/** The agent's plugins. */
import type { AgentKeyManagerConfig, WorkloadAttestorConfig } from "./agent-config.ts";
import { defaulted, required } from "./keys.ts";
import { missingNodeAttestors } from "./node-attestors.ts";
import { type Plugin, type PluginType, type PluginTypes, plugin } from "./plugins.ts";
import { flag, integer, path } from "./values.ts";

function nodeAttestor<A>(plugins: readonly Plugin<A>[]): PluginType<A> {
  return {
    plugins,
    notImplemented: missingNodeAttestors(plugins),
    least: 1,
    most: 1,
    example: 'NodeAttestor "join_token" { plugin_data {} }',
  };
}

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
export interface AgentPlugins<A> extends PluginTypes {
  readonly NodeAttestor: PluginType<A>;
  readonly KeyManager: PluginType<AgentKeyManagerConfig>;
  readonly WorkloadAttestor: PluginType<WorkloadAttestorConfig>;
  readonly SVIDStore: PluginType<never>;
}

/** The table, with the node attestors that the program has: each brings its own keys. */
export function agentPlugins<A>(nodeAttestors: readonly Plugin<A>[]): AgentPlugins<A> {
  return {
    NodeAttestor: nodeAttestor(nodeAttestors),
    KeyManager: KEY_MANAGER,
    WorkloadAttestor: WORKLOAD_ATTESTOR,
    SVIDStore: SVID_STORE,
  };
}
