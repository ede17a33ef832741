/** How X509-SVIDs are had: CSRs signed in batches, chains judged by the bundle that workloads get with them. */
import type { Clock } from "../lib/clock.ts";
import { type CallCounter, callCounter, type Gauge, type Metrics } from "../lib/metrics.ts";
import { createCsr } from "../pki/csr.ts";
import type { KeyType } from "../pki/keys.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { X509Svid } from "../spiffe/svid.ts";
import { acceptIssuedSvid, authoritiesOf } from "./issued-svid.ts";
import type { ServerLink } from "./server-link.ts";
import type { SigningWork } from "./signer.ts";
import { judgeEach, type SigningOutcome } from "./signing-outcomes.ts";
import type { SigningQueue } from "./signing-queue.ts";
import type { CachedEntry, SvidCache } from "./svid-cache.ts";
import { type TaintCheck, taintCheck } from "./taint.ts";
import { maxBatchOf, withKeys } from "./workload-keys.ts";
import type { IssuedSvid } from "./workload-update.ts";

/** Dependencies and options of `X509Signing`. */
export interface X509SigningDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly cache: SvidCache;
  readonly link: ServerLink;
  /** Type of the workloads' keys. */
  readonly keyType: KeyType;
}

/** For `Signer`. */
export class X509Signing implements SigningWork<X509Svid> {
  readonly name = "X509-SVIDs";
  readonly one = "an X509-SVID";
  readonly topic = "signing";
  readonly maxBatch: number;
  readonly #deps: X509SigningDeps;
  readonly #counted: CallCounter;
  readonly #gauges: Readonly<Record<"expiring" | "outdated", Gauge>>;
  #taint: { readonly bundle: TrustBundle; readonly check: TaintCheck } | undefined;

  constructor(deps: X509SigningDeps) {
    this.#deps = deps;
    this.maxBatch = maxBatchOf(deps.keyType);
    this.#counted = callCounter(deps.metrics, deps.clock, "manager_sync_fetch_svids_updates", {
      help: "Batches of X509-SVIDs asked of the server.",
    });
    this.#gauges = {
      expiring: deps.metrics.gauge("cache_manager_expiring_svids", { help: "SVIDs due for renewal." }),
      outdated: deps.metrics.gauge("cache_manager_outdated_svids", { help: "SVIDs of entries that changed." }),
    };
  }

  entries(): Iterable<CachedEntry> {
    return this.#deps.cache.entries();
  }

  remembers(entryId: string): boolean {
    return this.#deps.cache.entry(entryId) !== undefined;
  }

  onWanted(listener: () => void): () => void {
    return this.#deps.cache.onWanted(listener);
  }

  taintCheck(): TaintCheck {
    const { bundle } = this.#deps.cache;
    if (this.#taint?.bundle !== bundle) this.#taint = { bundle, check: taintCheck(bundle) };
    return this.#taint.check;
  }

  looked({ counts }: SigningQueue<X509Svid>): void {
    this.#gauges.expiring.set(counts.expiring + counts.tainted);
    this.#gauges.outdated.set(counts.outdated);
  }

  async sign(entries: readonly AuthorizedEntry[], signal: AbortSignal): Promise<readonly SigningOutcome<X509Svid>[]> {
    const { cache, clock, link, keyType } = this.#deps;
    const requests = await withKeys(entries, keyType, async (entry, privateKey) => ({
      entry,
      entryId: entry.entryId,
      privateKey,
      csr: await createCsr({ privateKey, spiffeId: entry.spiffeId }),
    }));
    const results = await this.#counted(() => link.use((client) => client.batchNewX509Svid(requests, signal), signal));
    const authorities = authoritiesOf(cache.bundle);
    return await judgeEach(requests, results, (chain, { entry, privateKey }) => {
      const expectedId = entry.spiffeId;
      return acceptIssuedSvid({ chain, privateKey, authorities, expectedId, now: clock.now() });
    });
  }

  put(issued: readonly IssuedSvid[]): void {
    this.#deps.cache.put(issued);
  }

  markFailed(entryIds: Iterable<string>): void {
    this.#deps.cache.markFailed(entryIds);
  }
}
