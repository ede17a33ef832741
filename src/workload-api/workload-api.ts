/** The agent's public socket: assembles listener, transport, Workload API, SDS, health and reflection. */
import { fileDescriptors } from "../gen/descriptors.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText, findAgentError } from "../lib/errors.ts";
import { GrpcCode } from "../lib/grpc-status.ts";
import type { Logger } from "../lib/log.ts";
import { LogShare } from "../lib/log-share.ts";
import type { PeerCredentialSource, PeerCredentialsOptions } from "../lib/native.ts";
import type { Random } from "../lib/random.ts";
import { GrpcJsTransport } from "../lib/rpc/grpc-js.ts";
import type { Method, MethodTable } from "../lib/rpc/transport.ts";
import { UnixListener } from "../lib/rpc/unix-listener.ts";
import { AnswerTurns } from "./answer-turns.ts";
import { Attestations } from "./attestations.ts";
import { CallGate } from "./call-gate.ts";
import { FairTurns } from "./fair-turns.ts";
import { HEALTH_SERVICE, healthMethods } from "./health.ts";
import { jwtMethods } from "./jwt.ts";
import { Later } from "./later.ts";
import type { WorkloadLimits } from "./limits.ts";
import type { ConnectedPeer } from "./peer.ts";
import { PeerGate } from "./peers.ts";
import type { IdentitySource } from "./ports.ts";
import { PushQueue } from "./push-queue.ts";
import { RateLimits } from "./rate-limits.ts";
import { ReadShares } from "./read-shares.ts";
import { REFLECTION_SERVICES, reflectionMethods } from "./reflection.ts";
import { RequestBudget } from "./request-budget.ts";
import { SDS_SERVICE, type SdsOptions, sdsMethods } from "./sds/sds.ts";
import { SecretStream } from "./sds/secret-stream.ts";
import type { StreamHost } from "./update-stream.ts";
import { witMethods } from "./wit.ts";
import { x509Methods } from "./x509.ts";

const SERVICE = "SpiffeWorkloadAPI";
/** How long a stream must stay before its caller's exit is watched for. */
const WATCH_EXITS_MS = 100;
/** Calls that one connection may begin in a turn of the event loop, by those that it may have at a time. */
const FLOOD_SHARE = 1.6;
/** How long callers have to take the news that the agent stops. */
const STOP_GRACE_MS = 500;

/** What the API is made of. */
export interface WorkloadApiDeps {
  readonly source: IdentitySource<ConnectedPeer>;
  readonly native: PeerCredentialSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The agent's own process, which rate limits leave alone. */
  readonly ownPid: number;
  /** Whether callers can be answered now, for the health service. */
  healthy(): boolean;
}

/** How the API is set up. */
export interface WorkloadApiOptions {
  readonly socketPath: string;
  /** See {@link UnixListener}. */
  readonly trustSocketFolder?: boolean;
  /** See {@link UnixListener}. */
  readonly inheritedFd?: number;
  readonly limits: WorkloadLimits;
  /** `allow_unauthenticated_verifiers`. */
  readonly allowUnauthenticatedVerifiers: boolean;
  /** `allowed_foreign_jwt_claims`. */
  readonly allowedForeignJwtClaims: readonly string[];
  /** Calls a second for each set of selectors, by the name of a method of `SpiffeWorkloadAPI` or of SDS; others have no limit. */
  readonly rateLimits: Readonly<Record<string, number>>;
  /** `disable_workload_api`: SDS, health and reflection stay. */
  readonly disableWorkloadApi?: boolean;
  /** How Envoy's secret discovery is served; absent (`disable_sds_api`) for not at all. */
  readonly sds?: SdsOptions;
  readonly credentials?: PeerCredentialsOptions;
}

/** Numbers for metrics. */
export interface WorkloadApiStats {
  readonly connections: number;
  /** Of every service. */
  readonly streams: number;
  /** Of these, the ones of Envoy's secret discovery. */
  readonly sdsStreams: number;
  /** Connections closed at once so far, for whatever reason. */
  readonly refused: number;
  readonly refusedOverUid: number;
  readonly refusedUnidentified: number;
  /** Calls in progress, of every service. */
  readonly calls: number;
  /** Calls refused so far because there were too many. */
  readonly refusedCalls: number;
}

/** Serves from {@link open} to the end of {@link run}. */
export class WorkloadApi {
  readonly #log: Logger;
  readonly #streams: StreamHost;
  readonly #gate: PeerGate;
  readonly #calls: CallGate;
  readonly #transport: GrpcJsTransport<ConnectedPeer>;
  readonly #listener: UnixListener;

  constructor(deps: WorkloadApiDeps, options: WorkloadApiOptions) {
    const { clock, native, source } = deps;
    const log = deps.log.named("workload_api");
    this.#log = log;
    this.#streams = {
      attestations: new Attestations(source, new AnswerTurns(clock)),
      log,
      lines: new LogShare(clock),
      queue: new PushQueue(clock),
      staying: new Later(clock, { withinMs: WATCH_EXITS_MS, work: (stream) => stream.watchExit() }),
      limits: new RateLimits(clock, { perSecond: byMethod(options.rateLimits), ownPid: deps.ownPid }),
      open: new Set(),
    };
    const { credentials, limits } = options;
    const turns = new FairTurns(clock);
    const shares = new ReadShares<ConnectedPeer>(Math.ceil(FLOOD_SHARE * limits.maxStreams));
    this.#gate = new PeerGate(
      { native, clock, log, turns, shares },
      {
        maxConnections: limits.maxConnections,
        maxPerUid: limits.maxConnectionsPerUid,
        ...(credentials !== undefined && { credentials }),
      },
    );
    this.#calls = new CallGate(log, limits);
    const budget = new RequestBudget(limits);
    this.#transport = new GrpcJsTransport(
      {
        methods: methodTable(this.#streams, turns, this.#calls, deps, options),
        onConnect: this.#gate.onConnect,
        onStream: (peer) => shares.begin(peer),
        onError: (error, method) => log.error("Method failed", { method, error: errorText(error) }),
        takesPathAuthorities: true,
        maxRequest: limits.maxRequest,
        account: ({ uid }) => budget.of(uid),
        maxStreams: limits.maxStreams,
        // The gate counts, also those that wait for their turn.
        maxConnections: limits.maxConnections,
      },
      { clock },
    );
    this.#listener = new UnixListener(
      {
        path: options.socketPath,
        audience: "workload",
        trustFolder: options.trustSocketFolder === true,
        ...(options.inheritedFd === undefined ? {} : { inheritedFd: options.inheritedFd }),
        paused: true,
        onError: (error) => log.warn("Cannot accept a connection", { error: errorText(error) }),
      },
      (socket) => this.#gate.receive(socket, () => this.#transport.accept(socket)),
    );
  }

  /** Numbers of this moment. */
  get stats(): WorkloadApiStats {
    return {
      connections: this.#gate.connections,
      streams: this.#streams.open.size,
      sdsStreams: this.#streams.open
        .values()
        .reduce((sum, stream) => sum + (stream instanceof SecretStream ? 1 : 0), 0),
      refused: this.#gate.refused + this.#transport.refused,
      refusedOverUid: this.#gate.refusedOverUid,
      refusedUnidentified: this.#gate.refusedUnidentified,
      calls: this.#calls.running,
      refusedCalls: this.#calls.refused,
    };
  }

  /** Listens: when this resolves callers can connect and are answered. Throws what {@link UnixListener.open} throws. */
  async open(): Promise<void> {
    await this.#listener.open();
  }

  /** Serves, once open, until the signal aborts; settles when all is closed. */
  async run(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await aborted(signal);
    await this.close();
  }

  /** Stops listening, ends every stream `UNAVAILABLE`, closes every connection and removes the socket. */
  async close(): Promise<void> {
    await this.#listener.close();
    const streams = Array.from(this.#streams.open);
    for (const stream of streams) stream.end(GrpcCode.UNAVAILABLE, "agent is stopping");
    await this.#transport.shutdown(STOP_GRACE_MS);
    this.#log.debug("Workload API closed", { streams: streams.length });
  }
}

function methodTable(
  streams: StreamHost,
  turns: FairTurns,
  calls: CallGate,
  deps: WorkloadApiDeps,
  options: WorkloadApiOptions,
): MethodTable<ConnectedPeer> {
  const { allowUnauthenticatedVerifiers } = options;
  const workload: [name: string, method: Method<ConnectedPeer>][] =
    options.disableWorkloadApi === true
      ? []
      : [
          ...x509Methods(streams, { allowUnauthenticatedVerifiers }),
          ...jwtMethods(
            { host: streams, source: deps.source, clock: deps.clock, turns },
            { allowUnauthenticatedVerifiers, allowedForeignClaims: new Set(options.allowedForeignJwtClaims) },
          ),
          ...witMethods({ host: streams, wits: deps.source.wits }, { allowUnauthenticatedVerifiers }),
        ];
  const { clock, random } = deps;
  const sds = options.sds === undefined ? [] : sdsMethods({ host: streams, turns, clock, random }, options.sds);
  const onError = (error: unknown, method: string): void => {
    if (findAgentError(error) === undefined) streams.log.error("Method failed", { method, error: errorText(error) });
  };
  const services = [
    HEALTH_SERVICE,
    ...REFLECTION_SERVICES,
    ...(workload.length > 0 ? [SERVICE] : []),
    ...(sds.length > 0 ? [SDS_SERVICE] : []),
  ];
  const methods = [
    ...workload.map(([name, method]): [string, Method<ConnectedPeer>] => [`/${SERVICE}/${name}`, method]),
    ...sds.map(([name, method]): [string, Method<ConnectedPeer>] => [`/${SDS_SERVICE}/${name}`, method]),
    ...healthMethods<ConnectedPeer>(() => deps.healthy(), { onError }),
    ...reflectionMethods<ConnectedPeer>({ clock, turns }, services, fileDescriptors, { onError }),
  ];
  return new Map(methods.map(([path, method]) => [path, calls.guard(method)]));
}

function byMethod(limits: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  const service = (name: string): string => (name.endsWith("Secrets") ? SDS_SERVICE : SERVICE);
  return new Map(Object.entries(limits).map(([name, limit]) => [`/${service(name)}/${name}`, limit]));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
