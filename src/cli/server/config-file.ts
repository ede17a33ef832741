/** The server's configuration, from its file and the command line. */
import { loadServerConfig, type Source } from "../../config/load.ts";
import type { ServerConfig } from "../../config/server-config.ts";
import type { Loaded } from "../../config/shared-config.ts";
import type { CliContext, OptionValues } from "../command.ts";
import { configSource, flagsFrom } from "../config-source.ts";
import { type NodeAttestorChoice, SERVER_NODE_ATTESTORS } from "./node-attestors.ts";

/** Where SPIRE looks, relative to the working directory. */
export const DEFAULT_SERVER_CONFIG = "conf/server/server.conf";

const FLAGS = {
  bindAddress: "bind_address",
  serverPort: "bind_port",
  dataDir: "data_dir",
  socketPath: "socket_path",
  trustDomain: "trust_domain",
  logFile: "log_file",
  logFormat: "log_format",
  logLevel: "log_level",
  logSourceLocation: "log_source_location",
} as const;

/** Loads it. Throws `INVALID_ARGUMENT` with every problem. */
export function loadServerConfigFile(
  options: OptionValues,
  context: CliContext,
): Loaded<ServerConfig<NodeAttestorChoice>> & { readonly source: Source } {
  const source = configSource(options, context, DEFAULT_SERVER_CONFIG, flagsFrom(options, FLAGS));
  return { ...loadServerConfig(source, SERVER_NODE_ATTESTORS), source };
}
