/** What the agent's administrative commands share: finding the admin socket, trusting it, calling it. */
import type { Client } from "@grpc/grpc-js";
import { type CliContext, type OptionSpec, type OptionValues, text } from "../command.ts";
import { loadNative } from "../native.ts";
import { withClient } from "../rpc-client.ts";
import { assertTrustedListener } from "../socket-trust.ts";

const DEFAULT_ADMIN_SOCKET = "/tmp/spire-agent/private/admin.sock";

/** Flags of every command that talks to the admin socket. */
export const ADMIN_OPTIONS: readonly OptionSpec[] = [
  {
    name: "socketPath",
    value: "path",
    description: "The agent's admin socket, admin_socket_path of its configuration.",
    default: DEFAULT_ADMIN_SOCKET,
  },
];

/** Opens a connection to the agent's admin socket. */
export async function withAdmin<T>(
  options: OptionValues,
  _context: CliContext,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const path = text(options, "socketPath", DEFAULT_ADMIN_SOCKET);
  await assertTrustedListener(path, loadNative());
  return withClient(path, use);
}
