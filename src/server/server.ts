/** The server, put together: handlers behind the guard, on both listeners, with the loops that serve them. */
import type { ServerNodeAttestor } from "../attestors/node.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { LevelSwitch } from "../lib/log-level.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { PeerCredentialSource } from "../lib/native.ts";
import type { Random } from "../lib/random.ts";
import { type Runnable, runTasks } from "../lib/tasks.ts";
import type { Watchable } from "../lib/watchable.ts";
import type { SpiffeId, TrustDomain } from "../spiffe/id.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import { errorDetails } from "./api/error-details.ts";
import type { JwtReserveOptions } from "./api/jwt-reserve.ts";
import { type Services, tables } from "./api/tables.ts";
import { AuditLog } from "./audit.ts";
import { Authorizer } from "./authz.ts";
import type { CallLimits } from "./call-pools.ts";
import { type ConnectionLimits, connectionLimits } from "./connection-limits.ts";
import type { DataStore } from "./datastore/datastore.ts";
import { EntryAccess } from "./entry-access.ts";
import { Guard } from "./guard.ts";
import { type CaHealth, ServerHealth } from "./health.ts";
import { AdminSocket } from "./listener/admin-socket.ts";
import { Connections } from "./listener/connections.ts";
import { PeerVerifier } from "./listener/peer-verifier.ts";
import { TlsListener } from "./listener/tls.ts";
import { methodLimits, type RateLimitSwitches } from "./method-limits.ts";
import type { EntryIndexView, JwtIssuer, LocalAuthorities, WitIssuer, X509Issuer } from "./ports.ts";
import { type PruneOptions, Pruner } from "./pruning.ts";
import { WatchHub } from "./watch.ts";

/** What the server needs. The caller runs the authority and the index, and closes the datastore after the server. */
export interface ServerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** How much is logged, for administrators to change. */
  readonly logLevel: LevelSwitch;
  readonly metrics: Metrics;
  readonly datastore: DataStore;
  readonly issuer: X509Issuer;
  /** Absent where JWT-SVIDs are disabled. */
  readonly jwtIssuer?: JwtIssuer;
  /** Absent where WIT-SVIDs are disabled. */
  readonly witIssuer?: WitIssuer;
  /** What signs, for administrators. */
  readonly authorities: LocalAuthorities;
  /** Whether the authority can sign. */
  readonly caHealth: () => CaHealth;
  /** The server's own SVID; there must be one when the server runs. */
  readonly svid: Watchable<X509Svid | undefined>;
  /** Loaded already. */
  readonly index: EntryIndexView;
  readonly attestors: readonly ServerNodeAttestor[];
  /** Names processes on the admin socket in the audit log. */
  readonly credentials?: PeerCredentialSource;
}

/** How the server is set up. */
export interface ServerOptions {
  readonly trustDomain: TrustDomain;
  readonly bindAddress: string;
  /** 0 for any that is free. */
  readonly bindPort: number;
  readonly socketPath: string;
  readonly adminIds: readonly SpiffeId[];
  readonly requirePqKem: boolean;
  readonly auditLog: boolean;
  readonly rateLimit: RateLimitSwitches;
  readonly pruning: PruneOptions;
  /** Milliseconds that SVIDs should outlast the server; 0 for none. */
  readonly outageBudgetMs: number;
  /** Absent: agents get no tokens for the time without a server. */
  readonly jwtReserve?: JwtReserveOptions;
  /** Gives each agent a `spiffe_id` selector with its own ID. */
  readonly agentIdAsSelector: boolean;
  /** Bounds of connections; default as for a process that may open any number of files. */
  readonly connectionLimits?: ConnectionLimits;
  /** Bounds of calls in progress; for tests. */
  readonly callLimits?: CallLimits;
}

/** A server that was put together and does nothing yet. */
export interface Server extends Runnable {
  /** Resolves with the TLS port once both listeners are open; rejects when one cannot be. */
  readonly listening: Promise<{ readonly port: number }>;
  readonly health: ServerHealth;
}

/** Largest request in bytes, gRPC's own default, which SPIRE has too; and calls at a time on one connection. */
const TRUSTED = { maxRequest: 4 * 1024 * 1024, maxStreams: 100 };
/** A stranger sends a proof of what it is, and asks for the bundle: longer requests would be held for nothing. */
const STRANGERS = { maxRequest: 256 * 1024, maxStreams: 16 };
/** Agents prove themselves anew at least this often. */
const MAX_CONNECTION_AGE_MS = 180_000;
/** Calls in progress have this long to end when the server stops. */
const SHUTDOWN_MS = 10_000;

/** Puts the server together. */
export function createServer(deps: ServerDeps, options: ServerOptions): Server {
  const { clock, datastore, log, metrics } = deps;
  const { trustDomain } = options;
  const adminIds: ReadonlySet<SpiffeId> = new Set(options.adminIds);
  const hub = new WatchHub({ clock, log: log.named("watch"), index: deps.index, datastore });
  let open = false;
  const health = new ServerHealth({
    trustDomain,
    datastore,
    ca: deps.caHealth,
    listening: () => open,
  });
  const services: Services = {
    ...deps,
    log: log.named("api"),
    trustDomain,
    entries: new EntryAccess(deps.index, clock),
    attestors: new Map(deps.attestors.map((attestor) => [attestor.name, attestor])),
    agentIdAsSelector: options.agentIdAsSelector,
    outageBudgetMs: options.outageBudgetMs,
    ...(options.jwtReserve === undefined ? {} : { jwtReserve: options.jwtReserve }),
    hub,
    check: () => health.checkBundle(),
  };
  const guard = new Guard(
    {
      clock,
      log: log.named("api"),
      metrics,
      audit: new AuditLog(options.auditLog ? log.named("api") : undefined),
      authorizer: new Authorizer({ clock, datastore, adminIds }),
      limits: methodLimits(clock, options.rateLimit),
      details: errorDetails,
    },
    options.callLimits,
  );
  const { local, remote } = tables(services);
  const endpoints = { clock, log: log.named("endpoints") };
  const limits = options.connectionLimits ?? connectionLimits(Number.POSITIVE_INFINITY);
  const localConnections = new Connections(endpoints, {
    ...TRUSTED,
    methods: guard.protect(local),
    maxConnections: limits.local,
  });
  const overTls = {
    methods: guard.protect(remote),
    maxConnections: limits.tls,
    maxAgeMs: MAX_CONNECTION_AGE_MS,
  };
  const knownConnections = new Connections(endpoints, { ...TRUSTED, ...overTls });
  const strangers = new Connections(endpoints, { ...STRANGERS, ...overTls });
  const socket = new AdminSocket(
    {
      log: endpoints.log,
      ...(deps.credentials !== undefined && { credentials: deps.credentials }),
      onConnection: (connection, caller) => localConnections.accept(connection, caller),
    },
    { path: options.socketPath },
  );
  const tls = new TlsListener(
    {
      clock,
      log: endpoints.log,
      svid: deps.svid,
      verifier: new PeerVerifier({ clock, trustDomain, bundles: datastore.bundles, adminIds }),
      onConnection: (connection, caller) =>
        (caller.svid === undefined ? strangers : knownConnections).accept(connection, caller),
    },
    {
      address: options.bindAddress,
      port: options.bindPort,
      requirePqKem: options.requirePqKem,
      limits,
    },
  );
  const pruner = new Pruner({ ...deps, log: log.named("registration_pruner") }, options.pruning);
  const listening = Promise.all([tls.listening, socket.listening]).then(([{ port }]) => {
    open = true;
    return { port };
  });
  listening.catch(() => {});

  return {
    listening,
    health,
    async run(signal) {
      try {
        await runTasks(signal, {
          // The socket first: two servers of one configuration should quarrel about it, not about the port.
          socket: (abort) => socket.run(abort),
          tls: (abort) => tls.run(abort),
          watch: (abort) => hub.run(abort),
          prune: (abort) => pruner.run(abort),
        });
      } finally {
        open = false;
        const connections = [knownConnections, strangers, localConnections];
        await Promise.all(connections.map((each) => each.shutdown(SHUTDOWN_MS)));
      }
    },
  };
}
