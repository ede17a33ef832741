/** Hands accepted connections to a transport together with who is at their other end. */
import type { Duplex } from "node:stream";
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { GrpcJsTransport } from "../../lib/rpc/grpc-js.ts";
import type { MethodTable, Transport } from "../../lib/rpc/transport.ts";
import type { Caller } from "../caller.ts";

/** What it needs. */
export interface ConnectionsDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** How connections are bounded. */
export interface ConnectionsOptions {
  readonly methods: MethodTable<Caller>;
  readonly maxConnections: number;
  /** Largest request in bytes. */
  readonly maxRequest: number;
  /** Calls at a time on one connection. */
  readonly maxStreams: number;
  /** Milliseconds after which a peer must connect (and prove itself) anew; absent for never. */
  readonly maxAgeMs?: number;
}

/** Calls that run when a connection gets too old have this long to end. */
const GRACE_MS = 60_000;

/** The connections of one listener. */
export class Connections {
  readonly #callers = new WeakMap<Duplex, Caller>();
  readonly #transport: Transport;

  constructor(deps: ConnectionsDeps, options: ConnectionsOptions) {
    this.#transport = new GrpcJsTransport<Caller>(
      {
        methods: options.methods,
        onConnect: (socket) => this.#callers.get(socket) ?? null,
        maxRequest: options.maxRequest,
        maxStreams: options.maxStreams,
        maxConnections: options.maxConnections,
        ...(options.maxAgeMs !== undefined && {
          maxConnectionAgeMs: options.maxAgeMs,
          maxConnectionAgeGraceMs: GRACE_MS,
        }),
        onError: (error, method) => deps.log.error("A method failed", { method, error: errorText(error) }),
      },
      { clock: deps.clock },
    );
  }

  /** Open now. */
  get size(): number {
    return this.#transport.connections;
  }

  /** Serves a connection. */
  accept(socket: Duplex, caller: Caller): void {
    this.#callers.set(socket, caller);
    this.#transport.accept(socket);
  }

  /** Waits up to `graceMs` for calls in progress, then closes every connection. */
  shutdown(graceMs: number): Promise<void> {
    return this.#transport.shutdown(graceMs);
  }
}
