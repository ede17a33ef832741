/** How much of the agent callers may hold. */

/** Bounds of the Workload API's socket. */
export interface WorkloadLimits {
  /** Connections in all. */
  readonly maxConnections: number;
  /** Connections of one uid. */
  readonly maxConnectionsPerUid: number;
  /** Concurrent calls on one connection. */
  readonly maxStreams: number;
  /** Bytes of one request. */
  readonly maxRequest: number;
}

const MOST_CONNECTIONS = 10_000;
/** Descriptors that the rest of the agent needs. */
const RESERVED_FILES = 1000;
/** The socket and the pidfd. */
const FILES_PER_CONNECTION = 2;

/**
 * The default bounds for a process that may open `fileLimit` files (`Infinity` for no limit): at most 10,000
 * connections, and half of them for any one user, so that none can lock out the others.
 */
export function defaultLimits(fileLimit: number): WorkloadLimits {
  const possible = Math.floor((fileLimit - RESERVED_FILES) / FILES_PER_CONNECTION);
  const maxConnections = Math.max(2, Math.min(MOST_CONNECTIONS, possible));
  return {
    maxConnections,
    maxConnectionsPerUid: Math.max(1, Math.floor(maxConnections / 2)),
    maxStreams: 100,
    maxRequest: 64 * 1024,
  };
}
