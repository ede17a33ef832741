/** What every administrative command of the server shares: finding the socket, trusting it, calling it, printing. */
import type { ChannelCredentials, Client, ClientOptions } from "@grpc/grpc-js";
import { type CliContext, type OptionSpec, type OptionValues, text, UsageError } from "../command.ts";
import { loadNative } from "../native.ts";
import { protoJson } from "../proto-json.ts";
import { withClient } from "../rpc-client.ts";
import { assertTrustedListener } from "../socket-trust.ts";

/** SPIRE's default path of the server's admin socket. */
export const DEFAULT_SERVER_SOCKET = "/tmp/spire-server/private/api.sock";

const CALL_TIMEOUT_MS = 30_000;

/** Flags of every command that talks to the admin socket. */
export const ADMIN_OPTIONS: readonly OptionSpec[] = [
  {
    name: "socketPath",
    value: "path",
    description: "The server's admin socket. SPIRE_SERVER_PRIVATE_SOCKET in the environment names another default.",
    default: DEFAULT_SERVER_SOCKET,
  },
  {
    name: "instance",
    value: "name",
    description: "Fills %i of the path template in SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE; not together with -socketPath.",
  },
];

/** `-output`. */
export const OUTPUT_OPTION: OptionSpec = {
  name: "output",
  value: "pretty|json",
  description: "How the result is printed.",
  default: "pretty",
};

/** The path of the admin socket that the flags and the environment name. */
export function adminSocketPath(options: OptionValues, context: CliContext): string {
  const given = text(options, "socketPath");
  const instance = text(options, "instance");
  if (instance === "") return given || context.env["SPIRE_SERVER_PRIVATE_SOCKET"] || DEFAULT_SERVER_SOCKET;
  const template = context.env["SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE"];
  if (given !== "") throw new UsageError("-instance and -socketPath cannot be given together");
  if (template === undefined || !template.includes("%i")) {
    throw new UsageError("-instance needs SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE in the environment, a path with %i in it");
  }
  return template.replaceAll("%i", instance);
}

/** Opens a client of one of the server's services on its admin socket. */
export async function withServer<C extends Client, T>(
  service: new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>) => C,
  options: OptionValues,
  context: CliContext,
  use: (client: C) => Promise<T>,
): Promise<T> {
  const path = adminSocketPath(options, context);
  await assertTrustedListener(path, loadNative());
  return withClient(service, path, use);
}

/** The time by which a call must be answered. */
export function deadline(context: CliContext): { readonly deadline: number } {
  return { deadline: context.clock.now() + CALL_TIMEOUT_MS };
}

/** Prints a message as JSON when `-output json` was given, else calls `pretty`. */
export function print(options: OptionValues, context: CliContext, message: object, pretty: () => void): void {
  const format = outputFormat(options);
  if (format === "json") context.out(`${protoJson(message)}\n`);
  else pretty();
}

/** `pretty` or `json`. */
export function outputFormat(options: OptionValues): "pretty" | "json" {
  const format = text(options, "output", "pretty");
  if (format === "pretty" || format === "json") return format;
  throw new UsageError(`-output is "pretty" or "json", not "${format}"`);
}
