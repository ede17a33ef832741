/** Knows all open watch streams: wakes those whom a change concerns, and those whose agent was banned or renewed. */
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { isAbort, type Runnable } from "../lib/tasks.ts";
import { turn } from "../lib/turn.ts";
import type { SpiffeId } from "../spiffe/id.ts";
import type { DataStore } from "./datastore/datastore.ts";
import type { AffectedChange, EntryIndexView } from "./ports.ts";
import { WatchStream } from "./watch-stream.ts";

/** What the hub needs. */
export interface WatchHubDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly index: Pick<EntryIndexView, "onAffected">;
  readonly datastore: Pick<DataStore, "events" | "onChange">;
}

/** Streams that one agent may have; a newer one takes the oldest one's place. */
const STREAMS_PER_AGENT = 4;
/** A change that concerns more streams than this is spread. */
const FEW = 32;
/** Streams woken before the rest of the process has a turn. */
const SLICE = 64;
/** How far such a change is spread, milliseconds. */
const SPREAD_MS = 1_000;
/** Between looks for nodes that another server changed, milliseconds. */
const POLL_MS = 5_000;
/** Events read at a time. */
const BATCH = 500;

/** Streams open and close through it; `run` keeps them informed, and ends them when it ends. */
export class WatchHub implements Runnable {
  readonly #deps: WatchHubDeps;
  /** Oldest first, per agent. */
  readonly #streams = new Map<SpiffeId, Set<WatchStream>>();
  #count = 0;

  constructor(deps: WatchHubDeps) {
    this.#deps = deps;
  }

  /** Streams open now. */
  get size(): number {
    return this.#count;
  }

  /** Opens a stream; the caller disposes of it. */
  open(agentId: SpiffeId): { readonly stream: WatchStream } & Disposable {
    const stream = new WatchStream();
    const own = this.#streams.get(agentId) ?? new Set();
    this.#streams.set(agentId, own);
    own.add(stream);
    this.#count++;
    if (own.size > STREAMS_PER_AGENT) {
      const [oldest] = own;
      oldest?.replace();
      if (oldest !== undefined) this.#remove(agentId, oldest);
    }
    return { stream, [Symbol.dispose]: () => this.#remove(agentId, stream) };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, datastore, index } = this.#deps;
    const ended = index.onAffected((change) => void this.#tell(change));
    let wake = (): void => {};
    const unsubscribe = datastore.onChange(() => wake());
    try {
      let last = await this.#latest();
      while (!signal.aborted) {
        const nap = new AbortController();
        wake = () => nap.abort();
        last = await this.#follow(last);
        await clock.sleep(POLL_MS, AbortSignal.any([signal, nap.signal])).catch((error: unknown) => {
          if (!nap.signal.aborted && !isAbort(error, signal)) throw error;
        });
      }
    } finally {
      ended();
      unsubscribe();
      // Nothing will be told any more: agents should ask elsewhere, and not hold up our end.
      for (const streams of this.#streams.values()) for (const stream of streams) stream.replace();
    }
  }

  async #tell({ agents }: AffectedChange): Promise<void> {
    const told = agents === "all" ? Array.from(this.#streams.values()) : this.#connected(agents);
    const streams = told.flatMap((own) => Array.from(own));
    const spreadMs = streams.length > FEW ? SPREAD_MS : 0;
    for (let start = 0; start < streams.length; start += SLICE) {
      if (start > 0) await turn();
      for (const stream of streams.slice(start, start + SLICE)) stream.change(spreadMs);
    }
  }

  #connected(agents: ReadonlySet<SpiffeId>): ReadonlySet<WatchStream>[] {
    return Array.from(agents).flatMap((agentId) => this.#streams.get(agentId) ?? []);
  }

  /** Reads which nodes were written after event `last`; returns the newest event. */
  async #follow(last: bigint | undefined): Promise<bigint | undefined> {
    try {
      if (last === undefined) return await this.#latestAfterRecheck();
      for (let seen = last; ; ) {
        const events = await this.#deps.datastore.events.since(seen, BATCH);
        if (events === undefined) return await this.#latestAfterRecheck();
        for (const { kind, subject } of events) if (kind === "node") this.#recheck(subject as SpiffeId);
        const newest = events.at(-1);
        if (newest === undefined) return seen;
        seen = newest.id;
      }
    } catch (error) {
      this.#deps.log.warn("Could not read changes of nodes; trying again", { error: errorText(error) });
      return last;
    }
  }

  async #latestAfterRecheck(): Promise<bigint | undefined> {
    const latest = await this.#deps.datastore.events.latest();
    for (const agentId of this.#streams.keys()) this.#recheck(agentId);
    return latest;
  }

  async #latest(): Promise<bigint | undefined> {
    try {
      return await this.#deps.datastore.events.latest();
    } catch {
      return undefined;
    }
  }

  #recheck(agentId: SpiffeId): void {
    for (const stream of this.#streams.get(agentId) ?? []) stream.recheck();
  }

  #remove(agentId: SpiffeId, stream: WatchStream): void {
    const own = this.#streams.get(agentId);
    if (own?.delete(stream) !== true) return;
    this.#count--;
    if (own.size === 0) this.#streams.delete(agentId);
  }
}
