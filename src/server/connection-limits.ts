/** How many connections the server keeps open, as far as the process may open files. */

/** Connections at a time. */
export interface ConnectionLimits {
  /** Over TLS, in all. */
  readonly tls: number;
  /** Of these, those that have shown no SVID (yet): strangers must not keep agents out. */
  readonly unidentified: number;
  /** Of these, those of one SPIFFE ID. */
  readonly perId: number;
  /** On the admin socket. */
  readonly local: number;
}

const MOST_TLS = 20_000;
const MOST_UNIDENTIFIED = 4_000;
const MOST_LOCAL = 500;
/** More than agents, downstream servers and tools with one ID together need. */
const MOST_PER_ID = 64;
/** Descriptors for the database, keys, logs and listeners: the CA must be able to rotate during a flood. */
const RESERVED_FILES = 100;

/** The bounds for a process that may open `fileLimit` files; `Infinity` for no limit. */
export function connectionLimits(fileLimit: number): ConnectionLimits {
  const possible = Math.max(0, fileLimit - RESERVED_FILES);
  const local = atLeastOne(Math.min(MOST_LOCAL, possible / 10));
  const tls = atLeastOne(Math.min(MOST_TLS, possible - local));
  return {
    tls,
    unidentified: atLeastOne(Math.min(MOST_UNIDENTIFIED, tls / 5)),
    perId: MOST_PER_ID,
    local,
  };
}

function atLeastOne(count: number): number {
  return Math.max(1, Math.floor(count));
}
