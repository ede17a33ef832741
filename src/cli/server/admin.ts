/** What every administrative command of the server shares: finding the socket, trusting it, calling it, printing. */
import type { Client } from "@grpc/grpc-js";
import type { CliContext, OptionSpec, OptionValues } from "../command.ts";
import { loadNative } from "../native.ts";
import { withClient } from "../rpc-client.ts";
import { socketPathFrom } from "../socket-path.ts";
import { assertTrustedListener } from "../socket-trust.ts";

/** SPIRE's default path of the server's admin socket. */
export const DEFAULT_SERVER_SOCKET = "/tmp/spire-server/private/api.sock";

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
    description:
      "Fills %i of the path template in SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE; not together with -socketPath.",
  },
];

/** The path of the admin socket that the flags and the environment name. */
export function adminSocketPath(options: OptionValues, context: CliContext): string {
  return socketPathFrom(options, context, {
    fallback: DEFAULT_SERVER_SOCKET,
    variable: "SPIRE_SERVER_PRIVATE_SOCKET",
    template: "SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE",
  });
}

/** Opens a connection to the server's admin socket. */
export async function withServer<T>(
  options: OptionValues,
  context: CliContext,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const path = adminSocketPath(options, context);
  await assertTrustedListener(path, loadNative());
  return withClient(path, use);
}
