/** What the agent's commands share: finding the Workload API's socket and calling it. */
import type { Client } from "@grpc/grpc-js";
import { parseDuration } from "../../config/duration.ts";
import { type CliContext, type OptionSpec, type OptionValues, text, UsageError } from "../command.ts";
import { withClient } from "../rpc-client.ts";
import { socketPathFrom } from "../socket-path.ts";
import { ENDPOINT_VARIABLE, endpointSocketPath } from "./endpoint.ts";

/** SPIRE's default path of the Workload API's socket. */
export const DEFAULT_AGENT_SOCKET = "/tmp/spire-agent/public/api.sock";

/** The header that every call of the Workload API must carry (SPIFFE Workload Endpoint, section 3). */
export const SECURITY_HEADER = { "workload.spiffe.io": "true" } as const;

/** Flags of every command that talks to the Workload API. */
export const WORKLOAD_OPTIONS: readonly OptionSpec[] = [
  {
    name: "socketPath",
    value: "path",
    description: `The Workload API's socket; ${ENDPOINT_VARIABLE} may name another default.`,
    default: DEFAULT_AGENT_SOCKET,
  },
  {
    name: "instance",
    value: "name",
    description: "Fills %i of the path template in SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE; not together with -socketPath.",
  },
];

/** `-timeout`. */
export const TIMEOUT_OPTION: OptionSpec = {
  name: "timeout",
  value: "duration",
  description: "How long to wait for an answer.",
  default: "5s",
};

/**
 * The path of the Workload API's socket that the flags and the environment name; `unix://` may be before that of a flag.
 * Throws `UsageError`.
 */
export function workloadSocketPath(options: OptionValues, context: CliContext): string {
  const endpoint = context.env[ENDPOINT_VARIABLE] ?? "";
  const isGiven = text(options, "socketPath") !== "" || text(options, "instance") !== "";
  if (!isGiven && endpoint !== "") return endpointSocketPath(endpoint);
  const places = { fallback: DEFAULT_AGENT_SOCKET, template: "SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE" };
  return socketPathFrom(options, context, places).replace(/^unix:(\/\/)?/, "");
}

/** Opens a connection to the Workload API's socket. */
export function withAgent<T>(
  options: OptionValues,
  context: CliContext,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  return withClient(workloadSocketPath(options, context), use);
}

/** Milliseconds of `-timeout`. */
export function timeoutMs(options: OptionValues): number {
  const given = text(options, "timeout", TIMEOUT_OPTION.default);
  const ms = parseDuration(given);
  if (ms === undefined || ms <= 0) throw new UsageError(`-timeout takes a duration such as "5s", not "${given}"`);
  return ms;
}
