/** The one place that reads a socket's file descriptor, for which Node has no public getter. */
import type { Socket } from "node:net";
import { AgentError } from "./errors.ts";

/**
 * The descriptor of an open socket. It stays the socket's own and is valid only until control returns to the
 * event loop. Throws `UNAVAILABLE` when the socket is closed already.
 */
export function socketFd(socket: Socket): number {
  const handle = (socket as { readonly _handle?: { readonly fd?: unknown } | null })._handle;
  const fd = handle?.fd;
  if (typeof fd !== "number" || !Number.isInteger(fd) || fd < 0)
    throw new AgentError("UNAVAILABLE", "the socket has no file descriptor");
  return fd;
}
