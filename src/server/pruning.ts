/** Deletes what nobody needs any more: expired entries and tokens, old events, and (only if asked to) expired nodes. */
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import { isAbort, type Runnable, runTasks } from "../lib/tasks.ts";
import { turn } from "../lib/turn.ts";
import type { DataStore } from "./datastore/datastore.ts";
import { deleteTokenAlias } from "./evict.ts";

/** What pruning needs. */
export interface PrunerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly datastore: Pick<DataStore, "entries" | "nodes" | "joinTokens" | "events">;
}

/** What is pruned besides entries and tokens. */
export interface PruneOptions {
  /** Milliseconds since a node's SVID expired; absent: nodes are never pruned. Banned ones never are. */
  readonly nodesExpiredForMs?: number;
  /** Also prune nodes that can never attest again. */
  readonly tofuNodes: boolean;
  /** Milliseconds after which events are forgotten; caches that are further behind load everything anew. */
  readonly eventsOlderThanMs: number;
}

const ENTRIES_EVERY_MS = 5 * 60 * 1000;
const NODES_EVERY_MS = 60 * 60 * 1000;
/** Servers that share a database should not all prune at the same moment. */
const NODES_JITTER_MS = 15 * 60 * 1000;
/** Rows deleted in one transaction. */
const BATCH = 1_000;

/** Runs each job on its own schedule. A failure is logged, and the job comes again at its next time. */
export class Pruner implements Runnable {
  readonly #deps: PrunerDeps;
  readonly #options: PruneOptions;

  constructor(deps: PrunerDeps, options: PruneOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { random } = this.#deps;
    const { eventsOlderThanMs, nodesExpiredForMs } = this.#options;
    const jitter = (): number => NODES_JITTER_MS * (2 * random.unit() - 1);
    await runTasks(signal, {
      entries: (abort) =>
        this.#repeat(
          "entries",
          () => ENTRIES_EVERY_MS,
          () => this.#entries(),
          abort,
        ),
      tokens: (abort) =>
        this.#repeat(
          "join tokens",
          () => ENTRIES_EVERY_MS,
          () => this.#tokens(),
          abort,
        ),
      events: (abort) =>
        this.#repeat(
          "events",
          () => eventsOlderThanMs / 2,
          () => this.#events(),
          abort,
        ),
      ...(nodesExpiredForMs !== undefined && {
        nodes: (abort: AbortSignal) =>
          this.#repeat(
            "agents",
            () => NODES_EVERY_MS + jitter(),
            () => this.#nodes(nodesExpiredForMs),
            abort,
          ),
      }),
    });
  }

  async #repeat(what: string, interval: () => number, job: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    try {
      for (;;) {
        await clock.sleep(interval(), signal);
        try {
          await job();
        } catch (error) {
          log.error("Could not prune", { what, error: errorText(error) });
        }
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    }
  }

  async #entries(): Promise<void> {
    const now = this.#seconds();
    await this.#inBatches("Pruned expired registrations", () => this.#deps.datastore.entries.prune(now, BATCH));
  }

  async #tokens(): Promise<void> {
    const count = await this.#deps.datastore.joinTokens.prune(this.#seconds());
    if (count > 0) this.#deps.log.info("Pruned expired join tokens", { count });
  }

  async #events(): Promise<void> {
    await this.#deps.datastore.events.prune(this.#seconds() - Math.floor(this.#options.eventsOlderThanMs / 1000));
  }

  async #nodes(expiredForMs: number): Promise<void> {
    const before = this.#seconds() - Math.floor(expiredForMs / 1000);
    const { nodes, entries } = this.#deps.datastore;
    await this.#inBatches("Pruned expired agents", async () => {
      const pruned = await nodes.prune(before, this.#options.tofuNodes, BATCH);
      for (const agentId of pruned) await deleteTokenAlias({ entries }, agentId);
      return pruned;
    });
  }

  async #inBatches(message: string, prune: () => Promise<readonly string[]>): Promise<void> {
    let count = 0;
    for (let more = true; more; await turn()) {
      const { length } = await prune();
      count += length;
      more = length >= BATCH;
    }
    if (count > 0) this.#deps.log.info(message, { count });
  }

  #seconds(): number {
    return Math.floor(this.#deps.clock.now() / 1000);
  }
}
