/** Gets SVIDs for entries that need one: keys made off the event loop, CSRs signed in batches, results judged one by one. */
import { backoffDelay } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type CallCounter, callCounter, type Gauge, type Metrics } from "../lib/metrics.ts";
import type { Random } from "../lib/random.ts";
import { turn } from "../lib/turn.ts";
import { createCsr } from "../pki/csr.ts";
import { generateKey, type KeyType } from "../pki/keys.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { Der } from "../spiffe/svid.ts";
import type { AgentHealth } from "./health.ts";
import { acceptIssuedSvid, authoritiesOf } from "./issued-svid.ts";
import { type RenewalOptions, renewalTime } from "./renewal-time.ts";
import { isDisconnected, retryDelay } from "./retry-delay.ts";
import type { ServerLink } from "./server-link.ts";
import { type SigningQueue, signingQueue } from "./signing-queue.ts";
import type { CachedEntry, SvidCache } from "./svid-cache.ts";
import { type TaintCheck, taintCheck } from "./taint.ts";
import { Wakeup } from "./wakeup.ts";
import type { IssuedSvid } from "./workload-update.ts";

/** Dependencies and options of `Signer`. */
export interface SignerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly link: ServerLink;
  /** Type of the workloads' keys. */
  readonly keyType: KeyType;
  readonly renewal: RenewalOptions;
}

/** The server's limit of CSRs a call. */
const MAX_BATCH = 500;
/** RSA keys take long to make, and the first SVID of a batch waits for the last key. */
const MAX_RSA_BATCH = 16;
/** Keys being made at once: more would take the processor from the event loop. */
const PARALLEL_KEYS = 4;
/** Chains judged before callers of the agent get a turn: a few milliseconds. */
const CHAINS_PER_TURN = 8;
/** Waits are cut to this, because timers stand still while a host sleeps. */
const LONGEST_WAIT_MS = 60_000;
const RPC_INTERVAL_MS = 5_000;
const ITEM_RETRY = { initialMs: 5_000, maxMs: 300_000 };

/** Works through the queue whenever `wake` says that it may have changed, and when SVIDs come of age. */
export class Signer {
  readonly #deps: SignerDeps;
  readonly #wakeup: Wakeup;
  readonly #maxBatch: number;
  readonly #counted: CallCounter;
  readonly #gauges: Readonly<Record<"expiring" | "outdated", Gauge>>;
  /** By entry ID; `until` is a moment of the monotonic clock, because the other one may be the cause. */
  readonly #failures = new Map<string, { readonly count: number; readonly until: number }>();
  #batchSize: number;
  #taint: { readonly bundle: TrustBundle; readonly check: TaintCheck } | undefined;

  constructor(deps: SignerDeps) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
    this.#maxBatch = deps.keyType.startsWith("rsa") ? MAX_RSA_BATCH : MAX_BATCH;
    this.#batchSize = this.#maxBatch;
    this.#counted = callCounter(deps.metrics, deps.clock, "manager_sync_fetch_svids_updates", {
      help: "Batches of X509-SVIDs asked of the server.",
    });
    this.#gauges = {
      expiring: deps.metrics.gauge("cache_manager_expiring_svids", { help: "SVIDs due for renewal." }),
      outdated: deps.metrics.gauge("cache_manager_outdated_svids", { help: "SVIDs of entries that changed." }),
    };
  }

  /** Entries, SVIDs, bundles or callers changed: look again. */
  wake(): void {
    this.#wakeup.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#deps.cache.onWanted(() => this.wake());
    try {
      for (let failures = 0; ; ) {
        const queue = this.#look();
        let wait = Math.min(LONGEST_WAIT_MS, Math.max(1, queue.nextDueAt - this.#deps.clock.now()));
        if (queue.due.length > 0) {
          try {
            await this.#sign(queue, signal);
            failures = 0;
            continue;
          } catch (error) {
            signal.throwIfAborted();
            failures++;
            wait = this.#failed(error, failures, queue.due);
            // News wakes those who wait for the server to come back, not those whom it asked to wait.
            if (!isDisconnected(error)) {
              await this.#deps.clock.sleep(wait, signal);
              continue;
            }
          }
        }
        await this.#wakeup.wait(wait, signal);
      }
    } finally {
      unsubscribe();
    }
  }

  #look(): SigningQueue {
    const { cache, clock, health } = this.#deps;
    if (this.#taint?.bundle !== cache.bundle) {
      this.#taint = { bundle: cache.bundle, check: taintCheck(cache.bundle) };
    }
    const now = clock.now();
    const resting = new Map<string, number>();
    for (const [id, { until }] of this.#failures) {
      if (cache.has(id)) resting.set(id, now + until - clock.monotonic());
    }
    for (const id of Array.from(this.#failures.keys())) if (!resting.has(id)) this.#failures.delete(id);
    const queue = signingQueue(cache.entries(), { now, isTainted: this.#taint.check, resting });
    this.#gauges.expiring.set(queue.counts.expiring + queue.counts.tainted);
    this.#gauges.outdated.set(queue.counts.outdated);
    if (queue.due.length === 0 && this.#failures.size === 0) health.resolve("signing");
    return queue;
  }

  /** One batch: those that a connected caller lacks go alone, so that they are not kept waiting by the others. */
  async #sign(queue: SigningQueue, signal: AbortSignal): Promise<void> {
    const { link } = this.#deps;
    const count = Math.min(this.#batchSize, queue.waiting > 0 ? queue.waiting : queue.due.length);
    const batch = queue.due.slice(0, count).map(({ entry }) => entry);
    try {
      const requests = await makeRequests(batch, this.#deps.keyType);
      const results = await this.#counted(() =>
        link.use((client) => client.batchNewX509Svid(requests, signal), signal),
      );
      this.#batchSize = Math.min(this.#maxBatch, this.#batchSize * 2);
      await this.#accept(
        results.map((result, index) => ({ ...result, ...required(requests[index]) })),
        signal,
      );
    } catch (error) {
      this.#batchSize = Math.max(1, Math.floor(this.#batchSize / 2));
      throw error;
    }
  }

  /** What the server sent must be trusted by the bundle that workloads get with it. */
  async #accept(results: readonly SignedRequest[], signal: AbortSignal): Promise<void> {
    const { cache, clock, random } = this.#deps;
    const authorities = authoritiesOf(cache.bundle);
    const issued: IssuedSvid[] = [];
    const refused: { readonly entry: AuthorizedEntry; readonly error: unknown }[] = [];
    for (const [index, result] of results.entries()) {
      if (index % CHAINS_PER_TURN === CHAINS_PER_TURN - 1) await turn();
      const { entry, privateKey } = result;
      try {
        if (!result.ok) throw result.error;
        const now = clock.now();
        const expectedId = entry.spiffeId;
        const svid = acceptIssuedSvid({ chain: result.chain, privateKey, authorities, expectedId, now });
        // Of no use to its workload, and so would be the next one.
        if (isExpired(svid, now)) {
          throw new AgentError(
            "FAILED_PRECONDITION",
            "it had expired when it came: check the clocks of this host and of the server",
          );
        }
        const rotateAt = renewalTime(svid, now, () => random.unit(), this.#deps.renewal);
        issued.push({ entry, svid, rotateAt });
        this.#failures.delete(entry.entryId);
      } catch (error) {
        refused.push({ entry, error });
      }
    }
    signal.throwIfAborted();
    cache.put(issued);
    this.#refused(refused);
  }

  /** An entry that the server or our own judgement refuses rests for a while; the others go on. */
  #refused(refused: readonly { readonly entry: AuthorizedEntry; readonly error: unknown }[]): void {
    if (refused.length === 0) return;
    const { cache, clock, random, log, health } = this.#deps;
    for (const { entry, error } of refused) {
      const count = (this.#failures.get(entry.entryId)?.count ?? 0) + 1;
      const until = clock.monotonic() + backoffDelay(ITEM_RETRY, count, () => random.unit());
      this.#failures.set(entry.entryId, { count, until });
      log.error("Could not get an X509-SVID", {
        entry_id: entry.entryId,
        spiffe_id: entry.spiffeId,
        error: errorText(error),
      });
    }
    cache.markFailed(refused.map(({ entry }) => entry.entryId));
    health.report("signing", `no new SVID for ${this.#failures.size} entries`);
  }

  /** The whole batch failed: callers who have other identities need not wait any longer. Returns the pause in milliseconds. */
  #failed(error: unknown, failures: number, due: readonly CachedEntry[]): number {
    const { cache, log, health, random } = this.#deps;
    const wait = Math.min(
      LONGEST_WAIT_MS,
      retryDelay(error, failures, RPC_INTERVAL_MS, () => random.unit()),
    );
    if (failures === 1)
      log.error("Could not get X509-SVIDs", { error: errorText(error), retry_interval: Math.round(wait) });
    cache.markFailed(due.map(({ entry }) => entry.entryId));
    health.report("signing", errorText(error));
    return wait;
  }
}

type SigningRequest = Awaited<ReturnType<typeof makeRequest>>;
type SignedRequest = SigningRequest &
  ({ readonly ok: true; readonly chain: readonly Der[] } | { readonly ok: false; readonly error: Error });

async function makeRequests(entries: readonly AuthorizedEntry[], keyType: KeyType): Promise<SigningRequest[]> {
  const requests: SigningRequest[] = [];
  for (let start = 0; start < entries.length; start += PARALLEL_KEYS) {
    const slice = entries.slice(start, start + PARALLEL_KEYS);
    requests.push(...(await Promise.all(slice.map((entry) => makeRequest(entry, keyType)))));
  }
  return requests;
}

async function makeRequest(entry: AuthorizedEntry, keyType: KeyType) {
  const privateKey = await generateKey(keyType);
  const csr = await createCsr({ privateKey, spiffeId: entry.spiffeId });
  return { entry, entryId: entry.entryId, privateKey, csr };
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a result without a request");
  return value;
}
