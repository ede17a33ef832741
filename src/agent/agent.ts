/** Puts the agent together: bootstrap, then rotation, sync, watch and signing side by side. Assembly only. */
import type { Dispatcher } from "undici";
import type { AdminSource } from "../agent-admin/ports.ts";
import type { AgentNodeAttestor } from "../attestors/node.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { callCounter, type Metrics } from "../lib/metrics.ts";
import { NewsLogger } from "../lib/news-logger.ts";
import type { Random } from "../lib/random.ts";
import { type Runnable, runTasks } from "../lib/tasks.ts";
import type { KeyType } from "../pki/keys.ts";
import { emptyBundle, type TrustBundle } from "../spiffe/bundle.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import type { IdentitySource } from "../workload-api/ports.ts";
import { AgentAdminSource } from "./admin-source.ts";
import { registerAgentMetrics } from "./agent-metrics.ts";
import { AgentState } from "./agent-state.ts";
import { type Attested, attestNode } from "./attest.ts";
import { bootstrap } from "./bootstrap.ts";
import { type BootstrapSource, readBootstrapBundle } from "./bootstrap-bundle.ts";
import { AgentHealth } from "./health.ts";
import { AgentIdentitySource, type AttestWorkload } from "./identity-source.ts";
import { JwtSvids } from "./jwt-svids.ts";
import { Rotator } from "./rotator.ts";
import { ServerClient } from "./server-client.ts";
import { ServerLink } from "./server-link.ts";
import { ServerTlsCredentials } from "./server-tls.ts";
import { Signer } from "./signer.ts";
import { type AgentStorage, FileAgentStorage } from "./storage.ts";
import { SvidCache } from "./svid-cache.ts";
import { Syncer } from "./sync.ts";
import { Watcher } from "./watch.ts";
import { WitSigning } from "./wit-signing.ts";
import { WitSvids } from "./wit-svids.ts";
import { X509Signing } from "./x509-signing.ts";

/** What the agent is made of. `Peer` is what the Workload API's listener knows of a connection. */
export interface AgentDeps<Peer> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nodeAttestor: AgentNodeAttestor;
  readonly attestWorkload: AttestWorkload<Peer>;
  /** Absent: a file, as the options say. */
  readonly storage?: AgentStorage;
  /** Absent: undici with the host's CA certificates. */
  readonly https?: Dispatcher;
}

/** How the agent runs; the members are spelt as in its configuration. */
export interface AgentOptions {
  readonly trustDomain: TrustDomain;
  readonly serverAddress: string;
  readonly serverPort: number;
  readonly dataDir: string;
  /** `disk`: `agent-data.json` with the agent's key lies in `directory`; `memory`: it lies in `dataDir`, without. */
  readonly keyManager: { readonly name: "disk"; readonly directory: string } | { readonly name: "memory" };
  readonly bootstrap: BootstrapSource;
  readonly workloadKeyType: KeyType;
  readonly availabilityTargetMs?: number;
  /** JWT-SVIDs that are kept. */
  readonly jwtSvidCacheMaxSize: number;
  readonly syncIntervalMs: number;
  readonly requirePqKem: boolean;
  /** False: use `GetAuthorizedEntries` from the start. Servers without the newer call are found out anyway. */
  readonly useSyncAuthorizedEntries: boolean;
  /** Our own version, for the server's records. */
  readonly version: string;
}

/** A running agent, but for the Workload API, which the composition root puts on `identitySource`. */
export interface Agent<Peer> extends Runnable {
  /** Usable at once: callers wait until there is something to tell them. */
  readonly identitySource: IdentitySource<Peer>;
  readonly health: AgentHealth;
  /** For the administration socket; usable at once. */
  readonly adminSource: AdminSource;
  /**
   * Attests if need be, then keeps SVIDs fresh until the signal aborts. Rejects when the agent cannot start (wrong
   * token, wrong bundle, unusable data folder); a lost server or an expired SVID never ends it.
   */
  run(signal: AbortSignal): Promise<void>;
}

/** Makes an agent; nothing happens before `run`. */
export function createAgent<Peer>(deps: AgentDeps<Peer>, options: AgentOptions): Agent<Peer> {
  const { clock, log } = deps;
  const health = new AgentHealth(clock, log.named("health"));
  const cache = new SvidCache(clock, emptyBundle(options.trustDomain));
  const jwts = new JwtSvids({
    clock,
    random: deps.random,
    log: log.named("jwt_svids"),
    maxSize: options.jwtSvidCacheMaxSize,
  });
  const wits = new WitSvids({ clock, cache });
  const adminSource = new AgentAdminSource({ health, cache, jwts });
  return {
    adminSource,
    identitySource: new AgentIdentitySource(deps.attestWorkload, cache, jwts, wits),
    health,
    run: async (signal) => {
      registerAgentMetrics(deps.metrics, { clock, health, cache, jwts, wits }, options);
      try {
        const serverLog = new NewsLogger(log.named("server_client"), clock);
        await runAgent({ ...deps, health, cache, jwts, wits, adminSource, serverLog }, options, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        cache.close();
        jwts.clear();
        wits.clear();
      }
    },
  };
}

type Parts = Omit<AgentDeps<never>, "attestWorkload"> & {
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly jwts: JwtSvids;
  readonly wits: WitSvids;
  readonly adminSource: AgentAdminSource;
  /** For what the server sends: it comes with every sync, over one connection after the other. */
  readonly serverLog: Logger;
};

async function runAgent(parts: Parts, options: AgentOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, metrics } = parts;
  const storage = parts.storage ?? fileStorage(parts, options);
  const attested = callCounter(metrics, clock, "node_attestor_new_svid", { help: "Node attestations." });
  const attest = (trust: TrustBundle | "insecure", attestSignal: AbortSignal): Promise<Attested> =>
    attested(() =>
      attestNode(
        {
          clock,
          log: log.named("attestor"),
          attestor: parts.nodeAttestor,
          connect: (trusted) => connect(parts, options, () => trusted, undefined),
        },
        trust,
        attestSignal,
      ),
    );
  const bundleOptions = {
    clock,
    trustDomain: options.trustDomain,
    serverHost: options.serverAddress,
    serverPort: options.serverPort,
    ...(parts.https === undefined ? {} : { https: parts.https }),
  };
  const start = await bootstrap(
    {
      ...parts,
      log: log.named("attestor"),
      storage,
      attest,
      readBundle: (attempt, readSignal) => readBootstrapBundle(bundleOptions, options.bootstrap, attempt, readSignal),
    },
    await storage.load(),
    signal,
  );
  await runAttested(parts, options, { storage, attest, start }, signal);
}

async function runAttested(
  parts: Parts,
  options: AgentOptions,
  started: {
    readonly storage: AgentStorage;
    readonly start: Attested;
    readonly attest: (trust: TrustBundle | "insecure", signal: AbortSignal) => Promise<Attested>;
  },
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, health, cache, jwts, wits } = parts;
  const { storage, start, attest } = started;
  const availability =
    options.availabilityTargetMs === undefined ? {} : { availabilityTargetMs: options.availabilityTargetMs };
  const state = new AgentState({ clock, log: log.named("storage"), health, storage }, start);
  parts.adminSource.state = state;
  using link = new ServerLink({
    clock,
    log: log.named("server_link"),
    health,
    connect: (svid) => connect(parts, options, () => state.bundle, svid),
  });
  link.setIdentity(start.identity.svid);
  jwts.sign = (entryId, audience, callSignal) =>
    link.use((client) => client.newJwtSvid(entryId, audience, callSignal), callSignal);
  wits.refusal.generation = link.generation;
  const manager = { ...parts, ...availability, log: log.named("manager"), link, keyType: options.workloadKeyType };
  const signers = [
    new Signer(manager, new X509Signing(manager)),
    new Signer(manager, new WitSigning(manager)),
  ] as const;
  const rotator = new Rotator(
    {
      ...manager,
      log: log.named("rotator"),
      state,
      attest,
      stopServing: () => {
        cache.clear();
        jwts.clear();
        wits.clear();
      },
      onRenewed: () => syncer.trigger(),
    },
    start.identity,
  );
  const watcher = new Watcher({ ...manager, onChange: (waitMs) => syncer.trigger(waitMs) });
  const syncer = new Syncer({
    ...manager,
    trustDomain: options.trustDomain,
    intervalMs: options.syncIntervalMs,
    announced: () => watcher.live,
    onBundle: async (bundle) => {
      jwts.adoptBundle(bundle);
      if (await state.refresh(bundle)) rotator.bundleChanged(bundle);
    },
    onApplied: () => {
      for (const signer of signers) signer.wake();
    },
  });
  link.onRefusal = ({ recovery, svid }) => rotator.refused(recovery, svid);
  link.onAccepted = (svid) => rotator.accepted(svid);
  await runTasks(signal, {
    rotate: (taskSignal) => rotator.run(taskSignal),
    sync: (taskSignal) => syncer.run(taskSignal),
    watch: (taskSignal) => watcher.run(taskSignal),
    sign: (taskSignal) => signers[0].run(taskSignal),
    signWits: (taskSignal) => signers[1].run(taskSignal),
  });
}

function fileStorage(parts: Parts, options: AgentOptions): AgentStorage {
  const { keyManager, dataDir, trustDomain } = options;
  return new FileAgentStorage({
    clock: parts.clock,
    log: parts.log.named("storage"),
    directory: keyManager.name === "disk" ? keyManager.directory : dataDir,
    trustDomain,
    keepKey: keyManager.name === "disk",
  });
}

/** A client that trusts what `trust` says at the time of each connection. */
function connect(
  parts: Parts,
  options: AgentOptions,
  trust: () => TrustBundle | "insecure",
  identity: X509Svid | undefined,
): ServerClient {
  const { trustDomain, requirePqKem, version } = options;
  const authorities = () => {
    const bundle = trust();
    return bundle === "insecure" ? bundle : bundle.x509Authorities.map(({ certificate }) => certificate);
  };
  return new ServerClient({
    clock: parts.clock,
    log: parts.serverLog,
    trustDomain,
    host: options.serverAddress,
    port: options.serverPort,
    credentials: new ServerTlsCredentials({
      clock: parts.clock,
      source: { trustDomain, authorities, identity },
      requirePqKem,
    }),
    version,
    balancing: identity === undefined ? "pick-first" : "round-robin",
    wholeSync: !options.useSyncAuthorizedEntries,
  });
}
