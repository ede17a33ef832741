/** Keeps the administration socket out of the Workload API's folder, also where links lead there by another name. */
import { realpathSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { publicError } from "../../lib/errors.ts";

/**
 * Looks where both sockets will be; what the configuration's own check compares is names. Throws `FAILED_PRECONDITION`
 * when whoever may enter the Workload API's folder could reach the administration socket.
 */
export function checkApart(workloadSocket: string, adminSocket: string): void {
  const [workload, admin] = [realFolder(dirname(resolve(workloadSocket))), realFolder(dirname(resolve(adminSocket)))];
  const way = relative(workload, admin);
  if (way === ".." || way.startsWith("../")) return;
  throw publicError(
    "FAILED_PRECONDITION",
    `admin_socket_path ${adminSocket} leads to ${admin}, which must not be in the folder of socket_path or below it`,
  );
}

/** Where a folder is, or will be once it is made. */
function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || parent === path) throw unreadable(path, error);
    return join(realFolder(parent), basename(path));
  }
}

function unreadable(path: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
  return publicError("FAILED_PRECONDITION", `cannot find out where ${path} is: ${code}`, { cause });
}
