/** Why a local socket could not be connected to, in words that say what to look at. */
import { publicError } from "../lib/errors.ts";

/** The error to tell instead of the one that `connect` raised. */
export function connectError(path: string, error: { readonly code?: string | undefined }): Error {
  if (error.code === "ENOENT")
    return publicError(
      "UNAVAILABLE",
      `there is no socket at ${path}: is the program running, and is -socketPath right?`,
    );
  if (error.code === "ECONNREFUSED")
    return publicError("UNAVAILABLE", `nobody listens on ${path}: is the program running?`);
  if (error.code === "EACCES")
    return publicError(
      "PERMISSION_DENIED",
      `no permission to connect to ${path}: run as root or as a member of its group`,
    );
  return publicError("UNAVAILABLE", `cannot connect to ${path}`, { cause: error });
}
