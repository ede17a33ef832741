/** How much of the agent callers may hold. */

/** Bounds of the Workload API's socket. */
export interface WorkloadLimits {
  /** Connections in all. */
  readonly maxConnections: number;
  /** Connections of one uid. */
  readonly maxConnectionsPerUid: number;
  /** Calls in all. */
  readonly maxCalls: number;
  /** Calls of one uid. */
  readonly maxCallsPerUid: number;
  /** Concurrent calls on one connection. */
  readonly maxStreams: number;
  /** Bytes of one request. */
  readonly maxRequest: number;
  /** Bytes of requests that came in part, or wait. */
  readonly maxUnfinished: number;
  /** Of one uid. */
  readonly maxUnfinishedPerUid: number;
}

const MOST_CONNECTIONS = 10_000;
/** Descriptors that the rest of the agent needs. */
const RESERVED_FILES = 900;
/** The socket and the pidfd. */
const FILES_PER_CONNECTION = 2;
/** Clients have a stream or two on each connection; where connections are few, a client may have many. */
const CALLS_PER_CONNECTION = 2;
const FEWEST_CALLS = 1_000;
/** A thousand Envoys whose first requests are all on their way. */
const UNFINISHED_PER_UID = 64 * 1024 * 1024;

/**
 * The default bounds for a process that may open `fileLimit` files (`Infinity` for no limit): at most 10,000
 * connections, and half of them for any one user, so that none can lock out the others.
 */
export function defaultLimits(fileLimit: number): WorkloadLimits {
  const possible = Math.floor((fileLimit - RESERVED_FILES) / FILES_PER_CONNECTION);
  return limitsFor(Math.max(2, Math.min(MOST_CONNECTIONS, possible)));
}

/** The bounds for so many connections. What one user may hold of them is half unless an operator chose otherwise. */
export function limitsFor(maxConnections: number, chosenPerUid?: number): WorkloadLimits {
  const perUid = Math.min(chosenPerUid ?? Math.max(1, Math.floor(maxConnections / 2)), maxConnections);
  return {
    maxConnections,
    maxConnectionsPerUid: perUid,
    maxCalls: Math.max(FEWEST_CALLS, CALLS_PER_CONNECTION * maxConnections),
    maxCallsPerUid: Math.max(FEWEST_CALLS / 2, CALLS_PER_CONNECTION * perUid),
    maxStreams: 100,
    maxRequest: 64 * 1024,
    maxUnfinished: 2 * UNFINISHED_PER_UID,
    maxUnfinishedPerUid: UNFINISHED_PER_UID,
  };
}
