/** Pulls what the server knows of this node: entries and bundles, over and over, or when something is announced. */
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { type CallCounter, callCounter, type Metrics } from "../lib/metrics.ts";
import type { Random } from "../lib/random.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import type { AgentHealth } from "./health.ts";
import { retryDelay } from "./retry-delay.ts";
import type { ServerClient } from "./server-client.ts";
import type { ServerLink } from "./server-link.ts";
import type { SvidCache } from "./svid-cache.ts";
import { Wakeup } from "./wakeup.ts";

/** Dependencies and options of `Syncer`. */
export interface SyncerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly health: AgentHealth;
  readonly link: ServerLink;
  readonly cache: SvidCache;
  readonly trustDomain: TrustDomain;
  /** Milliseconds between polls while no changes are announced. */
  readonly intervalMs: number;
  /** Whether changes are being announced. */
  readonly announced: () => boolean;
  /** The server sent our own bundle. */
  readonly onBundle: (bundle: TrustBundle) => Promise<void>;
  /** The cache has what the server said. */
  readonly onApplied: () => void;
  /** The server could not be asked. */
  readonly onFailed: () => void;
}

/** Polls while changes are announced are for the case that an announcement was lost without the stream ending. */
const ANNOUNCED_INTERVAL_MS = 30_000;
const JITTER = 0.1;
const NO_IDENTITY_PAUSE_MS = 60_000;
const PARALLEL_BUNDLES = 10;

/** One sync at a time; a trigger during one brings another right after it. */
export class Syncer {
  readonly #deps: SyncerDeps;
  readonly #wakeup: Wakeup;
  readonly #counted: CallCounter;
  /** What the server said last, also entries that the cache does not hold. */
  #known: ReadonlyMap<string, AuthorizedEntry> = new Map();
  /** A trigger asks to sync at this moment of the monotonic clock. */
  #triggeredFor = Number.POSITIVE_INFINITY;
  #statusPosted = false;

  constructor(deps: SyncerDeps) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(deps.clock);
    this.#counted = callCounter(deps.metrics, deps.clock, "manager_sync_fetch_entries_updates", {
      help: "Syncs of entries and bundles with the server.",
    });
  }

  /** Syncs after `waitMs`, or earlier if something else asks for it. */
  trigger(waitMs = 0): void {
    this.#triggeredFor = Math.min(this.#triggeredFor, this.#deps.clock.monotonic() + waitMs);
    this.#wakeup.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; ) {
      this.#triggeredFor = Number.POSITIVE_INFINITY;
      if (this.#deps.link.identity === undefined) {
        // After a ban: the next SVID brings a trigger.
        await this.#pause(NO_IDENTITY_PAUSE_MS, signal);
        continue;
      }
      try {
        await this.#counted(() => this.#deps.link.use((client) => this.#sync(client, signal), signal));
        this.#deps.health.resolve("sync");
        failures = 0;
        await this.#postStatus(signal);
        await this.#pause(this.#interval(), signal);
      } catch (error) {
        signal.throwIfAborted();
        failures++;
        this.#deps.onFailed();
        await this.#pause(this.#failed(error, failures), signal);
      }
    }
  }

  async #sync(client: ServerClient, signal: AbortSignal): Promise<void> {
    const { cache, link, health, trustDomain, onBundle, onApplied } = this.#deps;
    const [entries, bundle] = await Promise.all([client.syncEntries(this.#known, signal), client.getBundle(signal)]);
    const wanted = new Set([...entries.values()].flatMap(({ federatesWith }) => federatesWith));
    wanted.delete(trustDomain);
    const federated = await this.#federatedBundles(client, [...wanted], signal);
    await onBundle(bundle);
    signal.throwIfAborted();
    // A ban that arrived in the meantime must not be undone by what was fetched before it.
    if (link.identity === undefined) throw new AgentError("UNAVAILABLE", "the agent's SVID was withdrawn meanwhile");
    this.#known = entries;
    cache.applySync({ entries, bundle, federatedBundles: federated.bundles });
    health.synced();
    onApplied();
    if (federated.failure !== undefined) throw federated.failure;
  }

  /** A bundle that cannot be had this time stays as it was; one that the server no longer has is gone. */
  async #federatedBundles(client: ServerClient, wanted: readonly TrustDomain[], signal: AbortSignal) {
    const bundles = new Map<TrustDomain, TrustBundle>();
    let failure: unknown;
    const queue = wanted.values();
    const fetchNext = async (): Promise<void> => {
      for (const trustDomain of queue) {
        const known = this.#deps.cache.federatedBundles.get(trustDomain);
        try {
          const bundle = await client.getFederatedBundle(trustDomain, known, signal);
          if (bundle !== undefined) bundles.set(trustDomain, bundle);
        } catch (error) {
          signal.throwIfAborted();
          failure ??= error;
          if (known !== undefined) bundles.set(trustDomain, known);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL_BUNDLES, wanted.length) }, fetchNext));
    return { bundles, failure };
  }

  /** Once per start, as SPIRE's agents do; servers get along without. */
  async #postStatus(signal: AbortSignal): Promise<void> {
    if (this.#statusPosted) return;
    this.#statusPosted = true;
    try {
      await this.#deps.link.use((client) => client.postStatus(signal), signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.log.debug("Could not post the agent's status", { error: errorText(error) });
    }
  }

  #failed(error: unknown, failures: number): number {
    const { log, health, random, intervalMs } = this.#deps;
    const wait = retryDelay(error, failures, intervalMs, () => random.unit());
    const problem = errorText(error);
    const fields = { error: problem, retry_interval: Math.round(wait) };
    // News is told, repetition is not.
    if (health.report("sync", problem)) log.error("Could not sync with the server", fields);
    else log.debug("Could not sync with the server", fields);
    return wait;
  }

  #interval(): number {
    const { random, intervalMs, announced } = this.#deps;
    const interval = announced() ? Math.max(intervalMs, ANNOUNCED_INTERVAL_MS) : intervalMs;
    return interval * (1 - JITTER + 2 * JITTER * random.unit());
  }

  /** Ends after `ms`, or when a trigger's moment has come. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const end = clock.monotonic() + ms;
    for (;;) {
      const left = Math.min(end, this.#triggeredFor) - clock.monotonic();
      if (left <= 0) return;
      await this.#wakeup.wait(left, signal);
    }
  }
}
