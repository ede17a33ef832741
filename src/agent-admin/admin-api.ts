/** The agent's administration socket: assembles listener, transport and services. */
import { adminFileDescriptors } from "../gen/descriptors.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { LevelControl } from "../lib/level-control.ts";
import type { Logger } from "../lib/log.ts";
import { LogShare } from "../lib/log-share.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { PeerCredentialSource } from "../lib/native.ts";
import { GrpcJsTransport } from "../lib/rpc/grpc-js.ts";
import type { Method, MethodTable, Transport } from "../lib/rpc/transport.ts";
import type { TypedOptions } from "../lib/rpc/typed.ts";
import { UnixListener } from "../lib/rpc/unix-listener.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import { CallGate } from "../workload-api/call-gate.ts";
import { FairTurns } from "../workload-api/fair-turns.ts";
import type { ConnectedPeer } from "../workload-api/peer.ts";
import { PeerGate } from "../workload-api/peers.ts";
import type { IdentitySource } from "../workload-api/ports.ts";
import { ReadShares } from "../workload-api/read-shares.ts";
import { REFLECTION_SERVICES, reflectionMethods } from "../workload-api/reflection.ts";
import { DEBUG_SERVICE, debugMethods } from "./debug.ts";
import { DELEGATED_IDENTITY_SERVICE, delegatedIdentityMethods } from "./delegated-identity.ts";
import { LOGGER_SERVICE, loggerMethods } from "./logger.ts";
import type { AdminSource } from "./ports.ts";
import { STATUS_SERVICE, statusMethods } from "./status.ts";
import type { AttestProcess } from "./subject.ts";

const SERVICES = [DEBUG_SERVICE, LOGGER_SERVICE, DELEGATED_IDENTITY_SERVICE, STATUS_SERVICE, ...REFLECTION_SERVICES];
/**
 * A delegate has a stream for each of a node's workloads. A connection takes two descriptors and a stream about a pid
 * one: together less than the Workload API's limits leave to the rest of the agent.
 */
const MAX_CONNECTIONS = 100;
const MAX_CALLS = 500;
const MAX_REQUEST = 64 * 1024;
/** How long callers have to take the news that the agent stops. */
const STOP_GRACE_MS = 500;

/** What the socket is made of. */
export interface AdminApiDeps {
  readonly source: AdminSource;
  readonly identities: IdentitySource<ConnectedPeer>;
  readonly attestProcess: AttestProcess;
  readonly levels: LevelControl;
  readonly native: PeerCredentialSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** How it is set up. */
export interface AdminApiOptions {
  readonly socketPath: string;
  /** `authorized_delegates`. */
  readonly delegates: readonly SpiffeId[];
  /** Holdfast's own, for `status`. */
  readonly version: string;
}

/** Serves from {@link open} to the end of {@link run}. Who may connect is who may use the socket file: owner and group. */
export class AdminApi {
  readonly #transport: Transport;
  readonly #listener: UnixListener;

  constructor(deps: AdminApiDeps, options: AdminApiOptions) {
    const { clock, native } = deps;
    const log = deps.log.named("admin_api");
    const turns = new FairTurns(clock);
    const shares = new ReadShares<ConnectedPeer>(2 * MAX_CALLS);
    const gate = new PeerGate(
      { native, clock, log, turns, shares },
      { maxConnections: MAX_CONNECTIONS, maxPerUid: MAX_CONNECTIONS },
    );
    this.#transport = new GrpcJsTransport(
      {
        methods: methodTable({ ...deps, log }, turns, options),
        onConnect: gate.onConnect,
        onStream: (peer) => shares.begin(peer),
        onError: (error, method) => log.error("Method failed", { method, error: errorText(error) }),
        maxRequest: MAX_REQUEST,
        maxStreams: MAX_CALLS,
        maxConnections: MAX_CONNECTIONS,
      },
      { clock },
    );
    this.#listener = new UnixListener(
      {
        path: options.socketPath,
        audience: "admin",
        paused: true,
        onError: (error) => log.warn("Cannot accept a connection", { error: errorText(error) }),
      },
      (socket) => gate.receive(socket, () => this.#transport.accept(socket)),
    );
  }

  /** Listens: when this resolves callers can connect and are answered. Throws what {@link UnixListener.open} throws. */
  async open(): Promise<void> {
    await this.#listener.open();
  }

  /** Serves, once open, until the signal aborts; settles when all is closed. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
    await this.close();
  }

  /** Stops listening, closes every connection and removes the socket. */
  async close(): Promise<void> {
    await this.#listener.close();
    await this.#transport.shutdown(STOP_GRACE_MS);
  }
}

function methodTable(
  deps: AdminApiDeps,
  turns: FairTurns,
  { delegates, version }: AdminApiOptions,
): MethodTable<ConnectedPeer> {
  const { clock, log } = deps;
  const lines = new LogShare<string>(deps.clock);
  const options: TypedOptions = {
    onError: (error, method) =>
      lines.pass(method, (suppressed) => log.warn("Call failed", { method, error: errorText(error), ...suppressed })),
  };
  const methods: readonly [string, Method<ConnectedPeer>][] = [
    ...debugMethods<ConnectedPeer>(deps, options),
    ...loggerMethods<ConnectedPeer>(deps, options),
    ...delegatedIdentityMethods({ ...deps, delegates: new Set(delegates) }, options),
    ...statusMethods<ConnectedPeer>({ ...deps, version }, options),
    ...reflectionMethods<ConnectedPeer>({ clock, turns }, SERVICES, adminFileDescriptors, options),
  ];
  // A bound for each user would end all calls of the connection that goes beyond it: here that is no stranger.
  const gate = new CallGate(log, { maxCalls: MAX_CALLS, maxCallsPerUid: Number.POSITIVE_INFINITY });
  return new Map(methods.map(([path, method]) => [path, gate.guard(method)]));
}
