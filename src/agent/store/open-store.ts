/** Begins with what was stored: workloads are served from it before anything is asked of the server. */
import { mkdir } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import type { TrustDomain } from "../../spiffe/id.ts";
import type { AgentHealth } from "../health.ts";
import type { JwtReserve } from "../jwt-reserve.ts";
import type { SvidCache } from "../svid-cache.ts";
import type { StorageKeyKeeper } from "./storage-key.ts";
import { WorkloadStore } from "./workload-store.ts";
import type { WorkloadSnapshot } from "./workloads.ts";

/** What the storage of workloads is made of. */
export interface OpenStoreDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly jwtReserve: JwtReserve;
  readonly keeper: StorageKeyKeeper;
  /** Created (0700) when missing. */
  readonly folder: string;
  readonly trustDomain: TrustDomain;
}

/**
 * Opens the storage and serves what is in it. Undefined where there is no key: that is reported, and workloads are
 * served from memory. Throws only the signal's reason.
 */
export async function openStore(deps: OpenStoreDeps, signal: AbortSignal): Promise<WorkloadStore | undefined> {
  const { clock, log, health, cache, jwtReserve, keeper, folder } = deps;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const key = await keeper.open(signal);
    const store = new WorkloadStore({ ...deps, key, snapshot: () => snapshotOf(deps) });
    const stored = await store.load();
    if (stored !== undefined) {
      const now = trustedNow(stored, clock.now());
      cache.restore(stored, now);
      jwtReserve.restore(stored.audiences, cache.bundle, now);
      const { entries, svids } = cache.sizes;
      health.restored(stored.syncedAt);
      log.info("Serving what was stored, until the server is reached", { entries, svids });
    }
    cache.onChanged = () => store.changed();
    jwtReserve.onChanged = () => store.changed();
    log.info("SVIDs are kept across restarts", { protection: key.protection });
    return store;
  } catch (error) {
    signal.throwIfAborted();
    log.error("SVIDs cannot be kept across restarts", { error: errorText(error) });
    health.report("svid_storage", `SVIDs are kept in memory only: ${errorText(error)}`);
    return undefined;
  }
}

function snapshotOf({ cache, jwtReserve, health }: OpenStoreDeps): WorkloadSnapshot {
  return {
    bundle: cache.bundle,
    federatedBundles: cache.federatedBundles,
    entries: cache.entries(),
    audiences: jwtReserve.stored(),
    syncedAt: health.facts.value.lastSyncAt ?? 0,
  };
}

/**
 * A host without a battery may wake up in the past: SVIDs are judged by the time of the last sync then. Unless no SVID
 * was valid at that time, which was our clock's word alone and wrong.
 */
export function trustedNow({ entries, syncedAt }: WorkloadSnapshot, now: number): number {
  if (now >= syncedAt) return now;
  for (const { issued } of entries) {
    if (issued !== undefined && issued.svid.notBefore <= syncedAt && syncedAt < issued.svid.notAfter) return syncedAt;
  }
  return now;
}
