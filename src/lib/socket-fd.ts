/** The one place that reads what Node knows of a socket and has no public getter for. */
import type { Socket } from "node:net";
import { AgentError } from "./errors.ts";

/**
 * The descriptor of an open socket. It stays the socket's own and is valid only until control returns to the
 * event loop. Throws `UNAVAILABLE` when the socket is closed already.
 */
export function socketFd(socket: Socket): number {
  const fd = handleOf(socket)?.fd;
  if (typeof fd !== "number" || !Number.isInteger(fd) || fd < 0)
    throw new AgentError("UNAVAILABLE", "the socket has no file descriptor");
  return fd;
}

/**
 * Stops or starts taking from the system what the peer sends. Unlike `pause` and `resume` these also work on a socket
 * that an HTTP/2 session has taken over.
 */
export function setReading(socket: Socket, on: boolean): void {
  const handle = handleOf(socket);
  if (on) handle?.readStart?.();
  else handle?.readStop?.();
}

interface Handle {
  readonly fd?: unknown;
  readStart?(): unknown;
  readStop?(): unknown;
}

function handleOf(socket: Socket): Handle | null | undefined {
  return (socket as { readonly _handle?: Handle | null })._handle;
}
