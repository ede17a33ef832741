/** `holdfast-server run`: puts the server together from its configuration. */
import type { ServerConfig } from "../../config/server-config.ts";
import { systemRandom } from "../../lib/random.ts";
import { runTasks } from "../../lib/tasks.ts";
import { DiskKeyManager } from "../../server/ca/disk-key-manager.ts";
import { SvidIssuer } from "../../server/ca/issuer.ts";
import { CaManager } from "../../server/ca/manager.ts";
import { MemoryKeyManager } from "../../server/ca/memory-key-manager.ts";
import { ServerSvid } from "../../server/ca/server-svid.ts";
import { connectionLimits } from "../../server/connection-limits.ts";
import { openSqliteDataStore } from "../../server/datastore/sqlite/datastore.ts";
import { AuthorizedEntries } from "../../server/entries/authorized-entries.ts";
import { createServer, type ServerOptions } from "../../server/server.ts";
import { registerServerMetrics } from "../../server/server-metrics.ts";
import type { CliContext, CommandRun } from "../command.ts";
import { type Daemon, metricsFor, runDaemon } from "../daemon.ts";
import { claimDataDir } from "../data-dir.ts";
import { openPages } from "../health-pages.ts";
import { packageVersion } from "../version.ts";
import { loadServerConfigFile } from "./config-file.ts";
import { makeNodeAttestors, type NodeAttestorChoice } from "./node-attestors.ts";
import { makeTokenIssuers } from "./token-issuers.ts";

export const run: CommandRun = (options, context) =>
  runDaemon(
    { name: "server", version: packageVersion(), load: () => loadServerConfigFile(options, context) },
    context,
    (config, daemon) => serve(config, context, daemon),
  );

async function serve(config: ServerConfig<NodeAttestorChoice>, context: CliContext, daemon: Daemon): Promise<void> {
  const { log, native, stack } = daemon;
  const { clock } = context;
  const { trustDomain } = config;
  const random = systemRandom;
  const lock = claimDataDir(config.dataDir, "holdfast-server", native);
  stack.defer(() => lock.release());
  const { metrics, prometheus } = await metricsFor(config.telemetry, "spire_server");

  const datastore = await openSqliteDataStore({ path: config.plugins.dataStore.path, clock });
  stack.defer(() => datastore.close());
  const caLog = log.named("ca_manager");
  const { keyManager } = config.plugins;
  const ca = new CaManager({
    store: datastore,
    keys:
      keyManager.name === "memory"
        ? new MemoryKeyManager()
        : await DiskKeyManager.open({ path: keyManager.keysPath, log: caLog }),
    clock,
    random,
    log: caLog,
    profile: { trustDomain, subject: config.caSubject, ttlMs: config.caTtlMs },
    keyType: config.caKeyType,
    ...(config.disableJwtSvids ? {} : { jwtKeyType: config.jwtKeyType }),
    ...(config.experimental.witKeyType === undefined ? {} : { witKeyType: config.experimental.witKeyType }),
  });
  await ca.initialize();
  registerServerMetrics(metrics, { clock, active: ca.x509.active }, { version: packageVersion(), trustDomain });
  const issuer = new SvidIssuer({
    active: ca.x509.active,
    clock,
    random,
    trustDomain,
    x509SvidTtlMs: config.defaultX509SvidTtlMs,
    agentTtlMs: config.agentTtlMs,
    metrics,
  });
  const tokenIssuers = makeTokenIssuers(config, ca, { clock, random, metrics });
  const ownSvid = new ServerSvid({
    issuer,
    active: ca.x509.active,
    clock,
    random,
    log: log.named("svid_rotator"),
    trustDomain,
  });
  await ownSvid.initialize();
  const index = new AuthorizedEntries({
    store: datastore,
    clock,
    log: log.named("entry_cache"),
    trustDomain,
    pollIntervalMs: config.experimental.cacheReloadIntervalMs,
  });
  await index.load();
  const server = createServer(
    {
      clock,
      random,
      log,
      logLevel: log,
      metrics,
      datastore,
      issuer,
      ...tokenIssuers,
      authorities: ca,
      caHealth: () => ca.health(),
      svid: ownSvid.svid,
      index,
      attestors: await makeNodeAttestors(config.plugins.nodeAttestors, {
        clock,
        random,
        log: log.named("node_attestor"),
        trustDomain,
      }),
      credentials: native,
    },
    serverOptions(config, daemon.fileLimit),
  );
  await openPages(config, () => server.health.report(), prometheus, log, stack);
  // A failure to listen ends `run` below, too.
  void server.listening.then(
    () => {
      daemon.manager.ready();
      daemon.manager.status(`Serving agents at ${config.bindAddress}:${config.bindPort}`);
    },
    () => {},
  );
  await runTasks(context.signal, {
    ca: (signal) => ca.run(signal),
    svid: (signal) => ownSvid.run(signal),
    index: (signal) => index.run(signal),
    server: (signal) => server.run(signal),
  });
}

function serverOptions(config: ServerConfig, fileLimit: number): ServerOptions {
  return {
    trustDomain: config.trustDomain,
    bindAddress: config.bindAddress,
    bindPort: config.bindPort,
    socketPath: config.socketPath,
    adminIds: config.adminIds,
    requirePqKem: config.experimental.requirePqKem,
    auditLog: config.auditLogEnabled,
    rateLimit: config.rateLimit,
    pruning: {
      ...(config.pruneAttestedNodesExpiredForMs === undefined
        ? {}
        : { nodesExpiredForMs: config.pruneAttestedNodesExpiredForMs }),
      tofuNodes: config.pruneTofuNodes,
      eventsOlderThanMs: config.experimental.pruneEventsOlderThanMs,
    },
    outageBudgetMs: config.outageBudgetMs,
    ...(config.jwtReserve === undefined ? {} : { jwtReserve: config.jwtReserve }),
    agentIdAsSelector: config.experimental.agentSpiffeIdAsSelector,
    connectionLimits: connectionLimits(fileLimit),
  };
}
