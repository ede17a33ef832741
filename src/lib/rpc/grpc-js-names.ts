/** The way from a call or a stream of grpc-js back to the connection that carries it, which outlives the socket. */
import type { Duplex } from "node:stream";
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";

/** Leads from a socket to its connection, also through the proxy that a session shows in its place. */
const CONNECTION = Symbol("connection");

/** What {@link nameSocket} has written on a socket. */
interface Named {
  readonly remoteAddress?: unknown;
  readonly [CONNECTION]?: unknown;
}

/** The socket that a session shows, or Node's wrapper of one that is none of the system's own. */
interface SessionSocket extends Named {
  readonly stream?: Named;
}

/** An HTTP/2 stream, as far as it leads to the connection. */
export interface Http2Stream {
  readonly session?: { readonly socket?: SessionSocket; destroy?(): void };
}

/** Gives a socket a name, which grpc-js takes for the remote address, and the connection that it carries. */
export function nameSocket(socket: Duplex, text: string, connection: unknown): void {
  Object.defineProperty(socket, "remoteAddress", { value: text });
  Object.defineProperty(socket, CONNECTION, { value: connection });
}

/** The connection of a stream whose socket has a name. */
export function connectionOf(stream: Http2Stream): unknown {
  const socket = stream.session?.socket;
  return socket?.[CONNECTION] ?? socket?.stream?.[CONNECTION];
}

/** The name of the socket of a call; empty when there is none. */
export function nameOf(inner: ServerInterceptingCallInterface): string {
  const { remoteAddress } = inner.getConnectionInfo();
  if (remoteAddress !== undefined) return remoteAddress;
  // The wrapper hides it from the library.
  const { stream } = inner as { readonly stream?: Http2Stream };
  const hidden = stream?.session?.socket?.stream?.remoteAddress;
  return typeof hidden === "string" ? hidden : "";
}
