/** From what was stored, or from nothing, to an agent that rotates, syncs, watches and signs side by side. */

import type { Logger } from "../lib/log.ts";
import { callCounter } from "../lib/metrics.ts";
import { runTasks } from "../lib/tasks.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import type { AgentAdminSource } from "./admin-source.ts";
import type { AgentDeps, AgentOptions } from "./agent-options.ts";
import { AgentState } from "./agent-state.ts";
import { type Attested, attestNode } from "./attest.ts";
import { bootstrap } from "./bootstrap.ts";
import { readBootstrapBundle } from "./bootstrap-bundle.ts";
import type { CoverWatch } from "./cover.ts";
import type { AgentHealth } from "./health.ts";
import type { JwtReserve } from "./jwt-reserve.ts";
import { ReserveMaker } from "./jwt-reserve-maker.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import { isDisconnected } from "./retry-delay.ts";
import { Rotator } from "./rotator.ts";
import { ServerClient } from "./server-client.ts";
import { ServerLink } from "./server-link.ts";
import { ServerTlsCredentials } from "./server-tls.ts";
import { Signer } from "./signer.ts";
import { type AgentStorage, FileAgentStorage } from "./storage.ts";
import { openStore } from "./store/open-store.ts";
import type { WorkloadStore } from "./store/workload-store.ts";
import type { SvidCache } from "./svid-cache.ts";
import { Syncer } from "./sync.ts";
import { Watcher } from "./watch.ts";
import { WitSigning } from "./wit-signing.ts";
import type { WitSvids } from "./wit-svids.ts";
import { X509Signing } from "./x509-signing.ts";

/** What the parts of a running agent share. */
export type AgentParts = Omit<AgentDeps<never>, "attestWorkload"> & {
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly jwts: JwtSvids;
  readonly jwtReserve: JwtReserve;
  readonly wits: WitSvids;
  readonly adminSource: AgentAdminSource;
  readonly cover: CoverWatch;
  /** For what the server sends: it comes with every sync, over one connection after the other. */
  readonly serverLog: Logger;
};

/** Runs it until the signal aborts. Rejects when the agent cannot start. */
export async function runAgent(parts: AgentParts, options: AgentOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, metrics, cache } = parts;
  const store = await openWorkloadStore(parts, options, signal);
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
      onFailed: (error) => {
        if (isDisconnected(error)) parts.health.lost();
        cache.settle();
      },
      readBundle: (attempt, readSignal) => readBootstrapBundle(bundleOptions, options.bootstrap, attempt, readSignal),
    },
    await storage.load(),
    signal,
  );
  await runAttested({ ...parts, store }, options, { storage, attest, start }, signal);
}

async function runAttested(
  parts: AgentParts & { readonly store: WorkloadStore | undefined },
  options: AgentOptions,
  started: {
    readonly storage: AgentStorage;
    readonly start: Attested;
    readonly attest: (trust: TrustBundle | "insecure", signal: AbortSignal) => Promise<Attested>;
  },
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, health, cache, jwts, jwtReserve, wits, store } = parts;
  const { storage, start, attest } = started;
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
  const manager = {
    ...parts,
    renewal: options.renewal,
    log: log.named("manager"),
    link,
    keyType: options.workloadKeyType,
  };
  const signers = [
    new Signer(manager, new X509Signing(manager)),
    new Signer(manager, new WitSigning(manager)),
  ] as const;
  const reserveMaker = new ReserveMaker({
    ...manager,
    log: log.named("jwt_reserve"),
    entry: (entryId) => cache.entry(entryId),
    reserve: jwtReserve,
    generation: link.generation,
    sign: (entryId, audience, callSignal) =>
      link.use((client) => client.newJwtSvidReserve(entryId, audience, callSignal), callSignal),
  });
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
        void store?.clear();
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
      jwtReserve.entriesChanged();
      for (const signer of signers) signer.wake();
    },
    onFailed: () => cache.settle(),
  });
  link.onRefusal = ({ recovery, svid }) => rotator.refused(recovery, svid);
  link.onAccepted = (svid) => rotator.accepted(svid);
  await runTasks(signal, {
    rotate: (taskSignal) => rotator.run(taskSignal),
    sync: (taskSignal) => syncer.run(taskSignal),
    watch: (taskSignal) => watcher.run(taskSignal),
    sign: (taskSignal) => signers[0].run(taskSignal),
    signWits: (taskSignal) => signers[1].run(taskSignal),
    jwtReserve: (taskSignal) => reserveMaker.run(taskSignal),
    cover: (taskSignal) => parts.cover.run(taskSignal),
    ...(store === undefined ? {} : { store: (taskSignal: AbortSignal) => store.run(taskSignal) }),
  });
}

async function openWorkloadStore(parts: AgentParts, options: AgentOptions, signal: AbortSignal) {
  const { storageKey: keeper, log, cache, jwts, adminSource } = parts;
  const { dataDir: folder, trustDomain } = options;
  if (keeper === undefined) return undefined;
  const store = await openStore({ ...parts, log: log.named("svid_storage"), keeper, folder, trustDomain }, signal);
  jwts.adoptBundle(cache.bundle);
  if (store !== undefined) adminSource.storage = store.protection;
  return store;
}

function fileStorage(parts: AgentParts, options: AgentOptions): AgentStorage {
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
  parts: AgentParts,
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
