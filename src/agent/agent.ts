/** Puts the agent together: what serves workloads from the start, and what runs behind it. Assembly only. */
import type { AdminSource } from "../agent-admin/ports.ts";
import { NewsLogger } from "../lib/news-logger.ts";
import type { Runnable } from "../lib/tasks.ts";
import { emptyBundle } from "../spiffe/bundle.ts";
import type { IdentitySource } from "../workload-api/ports.ts";
import { AgentAdminSource } from "./admin-source.ts";
import { registerAgentMetrics } from "./agent-metrics.ts";
import type { AgentDeps, AgentOptions } from "./agent-options.ts";
import { CoverWatch } from "./cover.ts";
import { AgentHealth } from "./health.ts";
import { AgentIdentitySource } from "./identity-source.ts";
import { JwtReserve } from "./jwt-reserve.ts";
import { JwtSvids } from "./jwt-svids.ts";
import { runAgent } from "./run-agent.ts";
import { SvidCache } from "./svid-cache.ts";
import { WitSvids } from "./wit-svids.ts";

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
  const jwtReserve = new JwtReserve({
    clock,
    log: log.named("jwt_reserve"),
    health,
    entry: (entryId) => cache.entry(entryId),
  });
  const jwts = new JwtSvids({
    clock,
    random: deps.random,
    log: log.named("jwt_svids"),
    maxSize: options.jwtSvidCacheMaxSize,
    reserve: jwtReserve,
  });
  const wits = new WitSvids({ clock, cache });
  const outageBudgetMs = options.renewal.outageBudgetMs ?? 0;
  const adminSource = new AgentAdminSource({ health, cache, jwts, outageBudgetMs });
  const cover = new CoverWatch({
    clock,
    log: log.named("outage_cover"),
    health,
    lives: () => adminSource.lives(),
    budgetMs: outageBudgetMs,
  });
  return {
    adminSource,
    identitySource: new AgentIdentitySource(deps.attestWorkload, cache, jwts, wits),
    health,
    run: async (signal) => {
      registerAgentMetrics(deps.metrics, { clock, health, cache, jwts, jwtReserve, wits, cover }, options);
      try {
        const serverLog = new NewsLogger(log.named("server_client"), clock);
        const parts = { ...deps, health, cache, jwts, jwtReserve, wits, adminSource, cover, serverLog };
        await runAgent(parts, options, signal);
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
