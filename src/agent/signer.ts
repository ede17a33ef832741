/** Gets SVIDs of one kind for entries that need one: in batches, the most urgent first, each result for itself. */
import { backoffDelay } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { AgentError, errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { isExpired, type Lifetime } from "../spiffe/rotation.ts";
import type { AgentHealth, HealthTopic } from "./health.ts";
import { type RenewalOptions, renewalTime } from "./renewal-time.ts";
import { isDisconnected, retryDelay } from "./retry-delay.ts";
import type { SigningOutcome } from "./signing-outcomes.ts";
import { type QueuedEntry, type SigningQueue, signingQueue } from "./signing-queue.ts";
import { Wakeup } from "./wakeup.ts";
import type { Issued } from "./workload-update.ts";

/** What is signed and how, and where it is kept. */
export interface SigningWork<S extends Lifetime> {
  /** For people, such as `X509-SVIDs`. */
  readonly name: string;
  /** For people, such as `an X509-SVID`. */
  readonly one: string;
  readonly topic: HealthTopic;
  /** Most entries of a batch. */
  readonly maxBatch: number;
  /** The entries to look after. */
  entries(): Iterable<QueuedEntry<S>>;
  /** Whether to remember that an entry failed; `rests`: its next try is still to come. */
  remembers(entryId: string, rests: boolean): boolean;
  /** Calls back when a caller came for an entry without an SVID. Returns the function that ends it. */
  onWanted(listener: () => void): () => void;
  /** Whether an SVID hangs below an authority that is tainted now. */
  taintCheck(): (svid: S) => boolean;
  /** Told what there is to do. */
  looked?(queue: SigningQueue<S>): void;
  /** Makes keys, has the server sign and judges what it sent; rejects when the batch failed as a whole. */
  sign(entries: readonly AuthorizedEntry[], signal: AbortSignal): Promise<readonly SigningOutcome<S>[]>;
  /** Takes over SVIDs, all in one change. */
  put(issued: readonly Issued<S>[]): void;
  /** Says that SVIDs for these entries could not be had for now. */
  markFailed(entryIds: Iterable<string>): void;
}

/** Dependencies and options of `Signer`. */
export interface SignerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly health: AgentHealth;
  readonly renewal: RenewalOptions;
}

/** Waits are cut to this, because timers stand still while a host sleeps. */
const LONGEST_WAIT_MS = 60_000;
const RPC_INTERVAL_MS = 5_000;
const ITEM_RETRY = { initialMs: 5_000, maxMs: 300_000 };

/** Works through the queue whenever `wake` says that it may have changed, and when SVIDs come of age. */
export class Signer<S extends Lifetime> {
  readonly #deps: SignerDeps;
  readonly #work: SigningWork<S>;
  readonly #wakeup: Wakeup;
  /** By entry ID; `until` is a moment of the monotonic clock, because the other one may be the cause. */
  readonly #failures = new Map<string, { readonly count: number; readonly until: number }>();
  #batchSize: number;

  constructor(deps: SignerDeps, work: SigningWork<S>) {
    this.#deps = deps;
    this.#work = work;
    this.#wakeup = new Wakeup(deps.clock);
    this.#batchSize = work.maxBatch;
  }

  /** Entries, SVIDs, bundles or callers changed: look again. */
  wake(): void {
    this.#wakeup.wake();
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#work.onWanted(() => this.wake());
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

  #look(): SigningQueue<S> {
    const { clock, health } = this.#deps;
    const work = this.#work;
    const [now, monotonic] = [clock.now(), clock.monotonic()];
    const resting = new Map<string, number>();
    for (const [id, { until }] of this.#failures) {
      if (work.remembers(id, until > monotonic)) resting.set(id, now + until - monotonic);
    }
    for (const id of Array.from(this.#failures.keys())) if (!resting.has(id)) this.#failures.delete(id);
    const queue = signingQueue(work.entries(), { now, isTainted: work.taintCheck(), resting });
    work.looked?.(queue);
    if (queue.due.length === 0 && this.#failures.size === 0) health.resolve(work.topic);
    return queue;
  }

  /** One batch: those that a connected caller lacks go alone, so that they are not kept waiting by the others. */
  async #sign(queue: SigningQueue<S>, signal: AbortSignal): Promise<void> {
    const count = Math.min(this.#batchSize, queue.waiting > 0 ? queue.waiting : queue.due.length);
    const batch = queue.due.slice(0, count).map(({ entry }) => entry);
    try {
      const outcomes = await this.#work.sign(batch, signal);
      this.#batchSize = Math.min(this.#work.maxBatch, this.#batchSize * 2);
      signal.throwIfAborted();
      this.#accept(outcomes);
    } catch (error) {
      this.#batchSize = Math.max(1, Math.floor(this.#batchSize / 2));
      throw error;
    }
  }

  #accept(outcomes: readonly SigningOutcome<S>[]): void {
    const { clock, random } = this.#deps;
    const issued: Issued<S>[] = [];
    const refused: { readonly entry: AuthorizedEntry; readonly error: unknown }[] = [];
    for (const outcome of outcomes) {
      const { entry } = outcome;
      const now = clock.now();
      if (!outcome.ok) refused.push(outcome);
      else if (isExpired(outcome.svid, now)) refused.push({ entry, error: EXPIRED });
      else {
        const { svid } = outcome;
        const rotateAt = renewalTime(svid, now, () => random.unit(), this.#deps.renewal);
        issued.push({ entry, svid, rotateAt });
        this.#failures.delete(entry.entryId);
      }
    }
    this.#work.put(issued);
    this.#refused(refused);
  }

  /** An entry that the server or our own judgement refuses rests for a while; the others go on. */
  #refused(refused: readonly { readonly entry: AuthorizedEntry; readonly error: unknown }[]): void {
    if (refused.length === 0) return;
    const { clock, random, log, health } = this.#deps;
    const { name, one, topic } = this.#work;
    for (const { entry, error } of refused) {
      const count = (this.#failures.get(entry.entryId)?.count ?? 0) + 1;
      const until = clock.monotonic() + backoffDelay(ITEM_RETRY, count, () => random.unit());
      this.#failures.set(entry.entryId, { count, until });
      log.error(`Could not get ${one}`, {
        entry_id: entry.entryId,
        spiffe_id: entry.spiffeId,
        error: errorText(error),
      });
    }
    this.#work.markFailed(refused.map(({ entry }) => entry.entryId));
    health.report(topic, `no new ${name} for ${this.#failures.size} entries`);
  }

  /** The whole batch failed: callers who have other identities need not wait any longer. Returns the pause in milliseconds. */
  #failed(error: unknown, failures: number, due: readonly QueuedEntry<S>[]): number {
    const { log, health, random } = this.#deps;
    const { name, topic } = this.#work;
    const wait = Math.min(
      LONGEST_WAIT_MS,
      retryDelay(error, failures, RPC_INTERVAL_MS, () => random.unit()),
    );
    if (failures === 1) {
      log.error(`Could not get ${name}`, { error: errorText(error), retry_interval: Math.round(wait) });
    }
    this.#work.markFailed(due.map(({ entry }) => entry.entryId));
    health.report(topic, errorText(error));
    return wait;
  }
}

/** Of no use to its workload, and so would be the next one. */
const EXPIRED = new AgentError(
  "FAILED_PRECONDITION",
  "it had expired when it came: check the clocks of this host and of the server",
);
