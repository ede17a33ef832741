/** The environment variable by which SPIFFE clients find the Workload API (SPIFFE Workload Endpoint, section 4). */
import { UsageError } from "../command.ts";

/** Its name. */
export const ENDPOINT_VARIABLE = "SPIFFE_ENDPOINT_SOCKET";

/** A path below the root, and neither authority, query nor fragment. */
const UNIX = /^unix:(?:\/\/(?=\/)|(?!\/\/))(\/[^?#]+)$/;

/** The path of the socket that a value of the variable names. Throws `UsageError`. */
export function endpointSocketPath(uri: string): string {
  if (uri.startsWith("tcp:")) throw new UsageError(`${ENDPOINT_VARIABLE} is ${uri}, and an agent serves no TCP`);
  const path = decoded(UNIX.exec(uri)?.[1] ?? "");
  if (path === undefined || path === "" || path.includes("\0")) {
    throw new UsageError(`${ENDPOINT_VARIABLE} wants unix:///absolute/path, not "${uri}"`);
  }
  return path;
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
