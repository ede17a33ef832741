/** Metrics of the agent as a whole, under SPIRE's names where it has one; those at the end are what it lacks. */
import type { Clock } from "../lib/clock.ts";
import type { Metrics } from "../lib/metrics.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { CoverWatch } from "./cover.ts";
import type { AgentHealth } from "./health.ts";
import type { JwtReserve } from "./jwt-reserve.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { SvidCache } from "./svid-cache.ts";
import type { WitSvids } from "./wit-svids.ts";

/** Registers gauges that are read at each scrape. */
export function registerAgentMetrics(
  metrics: Metrics,
  parts: {
    readonly clock: Clock;
    readonly health: AgentHealth;
    readonly cache: SvidCache;
    readonly jwts: JwtSvids;
    readonly jwtReserve: Pick<JwtReserve, "size">;
    readonly wits: WitSvids;
    readonly cover: Pick<CoverWatch, "cover">;
  },
  labels: { readonly version: string; readonly trustDomain: TrustDomain },
): void {
  const { clock, health, cache, jwts, jwtReserve, wits, cover } = parts;
  const startedAt = clock.monotonic();
  metrics
    .gauge("started", { help: "The agent runs.", labels: ["version", "trust_domain_id"] })
    .set(1, { version: labels.version, trust_domain_id: labels.trustDomain });
  const gauge = (name: string, help: string, collect: () => number): void => {
    metrics.gauge(name, { help, collect });
  };
  gauge("uptime_in_ms", "Milliseconds since the start.", () => clock.monotonic() - startedAt);
  gauge("bootstrapped", "1 when the agent has an SVID.", () => Number(health.facts.value.attested));
  gauge("lru_cache_record_map_size", "Registration entries in the cache.", () => cache.sizes.entries);
  gauge("lru_cache_svid_map_size", "X509-SVIDs in the cache.", () => cache.sizes.svids);
  gauge("jwt_svid_cache_size", "JWT-SVIDs in the cache.", () => jwts.size);
  gauge("wit_svid_cache_size", "WIT-SVIDs in the cache.", () => wits.size);
  gauge("agent_svid_expiry_timestamp_seconds", "When the agent's own SVID ends.", () => {
    return seconds(health.facts.value.agentSvidExpiresAt);
  });
  gauge("manager_sync_last_success_timestamp_seconds", "When the last sync with the server succeeded.", () => {
    return seconds(health.facts.value.lastSyncAt);
  });
  gauge("outage_cover_seconds", "The least remaining life of an X.509-SVID, the agent's own among them.", () => {
    return seconds(cover.cover.least);
  });
  gauge("jwt_svid_reserve_size", "JWT-SVIDs held for the time without a server.", () => jwtReserve.size);
  gauge("outage_cover_short_svids", "X.509-SVIDs that live too short for outage_budget.", () => cover.cover.short);
}

function seconds(ms: number | undefined): number {
  return ms === undefined ? 0 : Math.floor(ms / 1_000);
}
