/** `holdfast-agent run`: puts the agent together from its configuration. */

import { type Agent, createAgent } from "../../agent/agent.ts";
import type { AgentOptions } from "../../agent/agent-options.ts";
import { WorkloadAttestation } from "../../agent/workload-attestation.ts";
import { AdminApi } from "../../agent-admin/admin-api.ts";
import { UnixWorkloadAttestor } from "../../attestors/unix/workload.ts";
import type { AgentConfig } from "../../config/agent-config.ts";
import type { Clock } from "../../lib/clock.ts";
import { publicError } from "../../lib/errors.ts";
import { LevelControl } from "../../lib/level-control.ts";
import type { Metrics } from "../../lib/metrics.ts";
import { systemRandom } from "../../lib/random.ts";
import { runTasks } from "../../lib/tasks.ts";
import { defaultLimits, limitsFor, type WorkloadLimits } from "../../workload-api/limits.ts";
import type { ConnectedPeer } from "../../workload-api/peer.ts";
import { WorkloadApi } from "../../workload-api/workload-api.ts";
import type { CliContext, CommandRun } from "../command.ts";
import { type Daemon, metricsFor, runDaemon } from "../daemon.ts";
import { claimDataDir } from "../data-dir.ts";
import { type Health, openPages } from "../health-pages.ts";
import { inheritedListener } from "../service-manager.ts";
import { packageVersion } from "../version.ts";
import { loadAgentConfigFile } from "./config-file.ts";
import type { NodeAttestorChoice } from "./node-attestors.ts";
import { tellStatus } from "./service-status.ts";
import { checkApart } from "./socket-folders.ts";
import { storageKeyKeeper } from "./storage-key.ts";

export const run: CommandRun = (options, context) =>
  runDaemon(
    { name: "agent", version: packageVersion(), load: () => loadAgentConfigFile(options, context) },
    context,
    (config, daemon) => serve(config, context, daemon),
  );

async function serve(config: AgentConfig<NodeAttestorChoice>, context: CliContext, daemon: Daemon): Promise<void> {
  const { log, native, stack } = daemon;
  const { clock } = context;
  const lock = claimDataDir(config.dataDir, "holdfast-agent", native);
  stack.defer(() => lock.release());
  const { metrics, prometheus } = await metricsFor(config.telemetry, "spire_agent");
  const attestation = new WorkloadAttestation({
    attestors: config.plugins.workloadAttestors.map((plugin) => new UnixWorkloadAttestor({ clock }, plugin)),
    log: log.named("workload_attestor"),
    clock,
  });
  const storageKey = storageKeyKeeper(config, {
    clock,
    log: log.named("svid_storage"),
    random: systemRandom,
    native,
    env: context.env,
  });
  const agent = createAgent<ConnectedPeer>(
    {
      clock,
      random: systemRandom,
      log,
      metrics,
      nodeAttestor: await config.plugins.nodeAttestor.make({ clock, log, native, config }),
      attestWorkload: (peer, signal) => attestation.attest(peer, signal),
      ...(storageKey === undefined ? {} : { storageKey }),
    },
    agentOptions(config),
  );
  const inheritedFd = inheritedListener(config.socketPath, { native, env: context.env, pid: process.pid });
  const api = new WorkloadApi(
    {
      source: agent.identitySource,
      native,
      clock,
      random: systemRandom,
      log,
      ownPid: process.pid,
      healthy: () => agent.health.facts.value.serving,
    },
    {
      socketPath: config.socketPath,
      ...(inheritedFd === undefined ? {} : { inheritedFd }),
      limits: limits(config, daemon.fileLimit),
      allowUnauthenticatedVerifiers: config.allowUnauthenticatedVerifiers,
      allowedForeignJwtClaims: config.allowedForeignJwtClaims,
      rateLimits: config.experimental.rateLimits,
      disableWorkloadApi: config.disableWorkloadApi,
      ...(config.disableSdsApi ? {} : { sds: config.sds }),
    },
  );
  registerApiMetrics(metrics, api);
  await api.open();
  log.named("endpoints").info("Serving", { socket: config.socketPath, inherited: inheritedFd !== undefined });
  stack.adopt(api, (opened) => opened.close());
  const adminApi = await openAdmin(config, daemon, { agent, attestation, clock, metrics });
  if (adminApi !== undefined) stack.adopt(adminApi, (opened) => opened.close());
  await openPages(config, async () => ({ agent: healthOf(agent, clock.now()) }), prometheus, log, stack);
  // The socket is open and callers wait: that is all a service manager needs to know, also while the server is away.
  daemon.manager.ready();
  await runTasks(context.signal, {
    agent: (signal) => agent.run(signal),
    api: (signal) => api.run(signal),
    status: (signal) => tellStatus(daemon.manager, agent, clock, signal),
    ...(adminApi === undefined ? {} : { adminApi: (signal: AbortSignal) => adminApi.run(signal) }),
  });
}

/** The administration socket, open, where one is configured. */
async function openAdmin(
  config: AgentConfig,
  { log, native }: Daemon,
  parts: {
    readonly agent: Agent<ConnectedPeer>;
    readonly attestation: WorkloadAttestation;
    readonly clock: Clock;
    readonly metrics: Metrics;
  },
): Promise<AdminApi | undefined> {
  const { adminSocketPath: socketPath, authorizedDelegates: delegates } = config;
  if (socketPath === undefined) return undefined;
  checkApart(config.socketPath, socketPath);
  const { agent, attestation, clock, metrics } = parts;
  const adminApi = new AdminApi(
    {
      source: agent.adminSource,
      identities: agent.identitySource,
      attestProcess: (peer, signal) => attestation.attest(peer, signal),
      levels: new LevelControl(log),
      native,
      clock,
      log,
      metrics,
    },
    { socketPath, delegates, version: packageVersion() },
  );
  await adminApi.open();
  log.named("endpoints").info("Serving administrators", { socket: socketPath });
  return adminApi;
}

function agentOptions(config: AgentConfig): AgentOptions {
  return {
    trustDomain: config.trustDomain,
    serverAddress: config.serverAddress,
    serverPort: config.serverPort,
    dataDir: config.dataDir,
    keyManager: config.plugins.keyManager,
    bootstrap: config.bootstrap,
    workloadKeyType: config.workloadKeyType,
    renewal: {
      ...(config.availabilityTargetMs === undefined ? {} : { availabilityTargetMs: config.availabilityTargetMs }),
      outageBudgetMs: config.outageBudgetMs,
    },
    jwtSvidCacheMaxSize: config.jwtSvidCacheMaxSize,
    syncIntervalMs: config.experimental.syncIntervalMs,
    requirePqKem: config.experimental.requirePqKem,
    useSyncAuthorizedEntries: config.experimental.useSyncAuthorizedEntries,
    version: packageVersion(),
  };
}

/** What is configured, as far as the process may open files for it. */
function limits(config: AgentConfig, fileLimit: number): WorkloadLimits {
  const possible = defaultLimits(fileLimit);
  const maxConnections = Math.min(config.experimental.maxConnections, possible.maxConnections);
  if (maxConnections < 2)
    throw publicError("FAILED_PRECONDITION", "the process may open too few files to serve anyone; raise its limit");
  return limitsFor(maxConnections, config.experimental.maxConnectionsPerUid);
}

function healthOf(agent: Agent<ConnectedPeer>, now: number): Health {
  const facts = agent.health.facts.value;
  return {
    // A lost server is no reason to restart the agent, nor to take it out of service: it serves what is valid.
    ready: facts.serving,
    live: true,
    details: {
      serving: facts.serving,
      server_connected: facts.connected,
      pushed_updates: facts.watching,
      ...(facts.lastSyncAt === undefined ? {} : { seconds_since_sync: Math.round((now - facts.lastSyncAt) / 1000) }),
      ...(facts.agentSvidExpiresAt === undefined
        ? {}
        : { agent_svid_expires_at: new Date(facts.agentSvidExpiresAt).toISOString() }),
      ...Object.fromEntries([...facts.problems].map(([topic, problem]) => [`problem_${topic}`, problem])),
    },
  };
}

function registerApiMetrics(metrics: Metrics, api: WorkloadApi): void {
  metrics.gauge("workload_api_connections", {
    help: "Open connections to the Workload API.",
    collect: () => api.stats.connections,
  });
  metrics.gauge("workload_api_streams", {
    help: "Open streams of the Workload API.",
    collect: () => api.stats.streams - api.stats.sdsStreams,
  });
  metrics.gauge("sds_api_connections", {
    help: "Open streams of Envoy's secret discovery.",
    collect: () => api.stats.sdsStreams,
  });
  metrics.gauge("workload_api_refused_connections", {
    help: "Connections that were refused so far.",
    collect: () => api.stats.refused,
  });
  metrics.gauge("workload_api_refused_calls", {
    help: "Calls that were refused so far because there were too many.",
    collect: () => api.stats.refusedCalls,
  });
}
