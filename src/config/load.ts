/** Loads a configuration file: text and command line in, typed and frozen configuration out, or every problem at once. */
import { buildAgent, checkAgent } from "./agent-build.ts";
import type { AgentConfig } from "./agent-config.ts";
import { AGENT } from "./agent-keys.ts";
import { agentPlugins } from "./agent-plugins.ts";
import { ConfigFile, type Source } from "./file.ts";
import { AGENT_NOT_IMPLEMENTED, SERVER_NOT_IMPLEMENTED, SHARED_NOT_IMPLEMENTED } from "./not-implemented.ts";
import type { Plugin } from "./plugins.ts";
import { buildServer, checkServer } from "./server-build.ts";
import type { ServerConfig } from "./server-config.ts";
import { SERVER } from "./server-keys.ts";
import { serverPlugins } from "./server-plugins.ts";
import type { Loaded } from "./shared-config.ts";
import { HEALTH_CHECKS, healthChecksConfig, TELEMETRY, telemetryConfig } from "./shared-keys.ts";

export type { Flags, Source } from "./file.ts";

/**
 * Loads `agent.conf`, which may name one of these node attestors. Throws one `AgentError` (`INVALID_ARGUMENT`) whose message lists every problem, one a line:
 * `file:line:column: key: problem`.
 */
export function loadAgentConfig<A>(source: Source, nodeAttestors: readonly Plugin<A>[]): Loaded<AgentConfig<A>> {
  const file = new ConfigFile(source, "agent", [...AGENT_NOT_IMPLEMENTED, ...SHARED_NOT_IMPLEMENTED]);
  const raw = file.collect("agent", AGENT);
  const keys = file.parse("agent", AGENT, raw);
  const report = (key: string, problem: string): void => file.error(`agent.${key}`, problem);
  checkAgent(raw, report);
  const { health, telemetry } = readShared(file);
  const plugins = file.plugins(agentPlugins(nodeAttestors));
  const config = keys && health && telemetry && buildAgent(keys, plugins, health, telemetry, report);
  return file.finish(config);
}

/** Loads `server.conf`; otherwise as `loadAgentConfig`. */
export function loadServerConfig<A>(source: Source, nodeAttestors: readonly Plugin<A>[]): Loaded<ServerConfig<A>> {
  const file = new ConfigFile(source, "server", [...SERVER_NOT_IMPLEMENTED, ...SHARED_NOT_IMPLEMENTED]);
  const raw = file.collect("server", SERVER);
  const keys = file.parse("server", SERVER, raw);
  checkServer(raw, (key, problem) => file.error(`server.${key}`, problem));
  const { health, telemetry } = readShared(file);
  const plugins = file.plugins(serverPlugins(nodeAttestors));
  const warn = (key: string, problem: string): void => file.warn(`server.${key}`, problem);
  const config = keys && health && telemetry && buildServer(keys, plugins, health, telemetry, warn);
  return file.finish(config);
}

function readShared(file: ConfigFile) {
  const health = file.parse("health_checks", HEALTH_CHECKS, file.collect("health_checks", HEALTH_CHECKS));
  const telemetry = file.parse("telemetry", TELEMETRY, file.collect("telemetry", TELEMETRY));
  return { health: health && healthChecksConfig(health), telemetry: telemetry && telemetryConfig(telemetry) };
}
