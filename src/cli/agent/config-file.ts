/** The agent's configuration, from its file and the command line. */
import type { AgentConfig } from "../../config/agent-config.ts";
import { loadAgentConfig, type Source } from "../../config/load.ts";
import type { Loaded } from "../../config/shared-config.ts";
import type { CliContext, OptionValues } from "../command.ts";
import { configSource, flagsFrom } from "../config-source.ts";
import { AGENT_NODE_ATTESTORS, type NodeAttestorChoice } from "./node-attestors.ts";

/** Where SPIRE looks, relative to the working directory. */
export const DEFAULT_AGENT_CONFIG = "conf/agent/agent.conf";

const FLAGS = {
  dataDir: "data_dir",
  joinToken: "join_token",
  joinTokenFile: "join_token_file",
  serverAddress: "server_address",
  serverPort: "server_port",
  socketPath: "socket_path",
  trustDomain: "trust_domain",
  trustBundle: "trust_bundle_path",
  trustBundleUrl: "trust_bundle_url",
  trustBundleFormat: "trust_bundle_format",
  insecureBootstrap: "insecure_bootstrap",
  rebootstrapMode: "rebootstrap_mode",
  rebootstrapDelay: "rebootstrap_delay",
  allowUnauthenticatedVerifiers: "allow_unauthenticated_verifiers",
  disableWorkloadAPI: "disable_workload_api",
  disableSDSAPI: "disable_sds_api",
  logFile: "log_file",
  logFormat: "log_format",
  logLevel: "log_level",
  logSourceLocation: "log_source_location",
} as const;

/** Loads it. Throws `INVALID_ARGUMENT` with every problem. */
export function loadAgentConfigFile(
  options: OptionValues,
  context: CliContext,
): Loaded<AgentConfig<NodeAttestorChoice>> & { readonly source: Source } {
  const source = configSource(options, context, DEFAULT_AGENT_CONFIG, flagsFrom(options, FLAGS));
  return { ...loadAgentConfig(source, AGENT_NODE_ATTESTORS), source };
}
