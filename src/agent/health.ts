/** What is well and what is not: facts for health checks, metrics and `status`. */
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { type Watchable, WatchableValue } from "../lib/watchable.ts";

/** What can be wrong, one thing at a time each. */
export type HealthTopic =
  /** The last sync failed. */
  | "sync"
  /** Some SVIDs of workloads could not be had. */
  | "signing"
  /** Some WIT-SVIDs that workloads asked for could not be had. */
  | "wit_signing"
  /** The agent's own SVID cannot be renewed, or the server refuses it. */
  | "agent_svid"
  /** The last attempt to write the stored state failed. */
  | "storage"
  /** What workloads have cannot be stored, or what was stored cannot be used. */
  | "svid_storage"
  /** Some SVIDs live too short for `outage_budget`. */
  | "outage_cover";

/** A moment's facts. */
export interface HealthFacts {
  /** The agent has attested, or started with a stored SVID. */
  readonly attested: boolean;
  /** Workloads are served: there was a sync, and the server did not forbid it since. */
  readonly serving: boolean;
  /** Whether the latest call to the server was answered. */
  readonly connected: boolean;
  /** Since when no call got through, in monotonic milliseconds; absent while the server answers, or before the first call. */
  readonly unreachableSince?: number | undefined;
  /** Whether the server tells us of changes, so that nothing polls. */
  readonly watching: boolean;
  /** Milliseconds since the Unix epoch; absent before the first. */
  readonly lastSyncAt?: number;
  /** Milliseconds since the Unix epoch; absent without an SVID. */
  readonly agentSvidExpiresAt?: number;
  /** What is wrong, for people. */
  readonly problems: ReadonlyMap<HealthTopic, string>;
}

const INITIAL: HealthFacts = {
  attested: false,
  serving: false,
  connected: false,
  watching: false,
  problems: new Map(),
};

/** Collects the facts; parts of the agent write, everybody reads. */
export class AgentHealth {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #facts = new WatchableValue<HealthFacts>(INITIAL);

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** The facts, and their changes. */
  get facts(): Watchable<HealthFacts> {
    return this.#facts;
  }

  /** Changes facts; those that are not given stay. */
  set(change: Partial<Omit<HealthFacts, "problems">>): void {
    const facts = this.#facts.value;
    const changed = Object.entries(change).some(([name, value]) => facts[name as keyof HealthFacts] !== value);
    if (changed) this.#facts.set({ ...facts, ...change });
  }

  /** The server answered a call: as it was asked to, or with an error. */
  reached(connected: boolean): void {
    this.set({ ...(connected ? { connected } : {}), unreachableSince: undefined });
  }

  /** A call to the server was lost on its way. */
  lost(): void {
    const since = this.#facts.value.unreachableSince ?? this.#clock.monotonic();
    this.set({ connected: false, unreachableSince: since });
  }

  /** What was stored is served; the server last said it at `syncedAt`. */
  restored(syncedAt: number): void {
    this.set({ serving: true, lastSyncAt: syncedAt });
  }

  /** A sync has gone through. */
  synced(): void {
    this.set({ serving: true, lastSyncAt: this.#clock.now() });
  }

  /** Says what is wrong; returns whether that is news. */
  report(topic: HealthTopic, problem: string): boolean {
    const { problems } = this.#facts.value;
    if (problems.get(topic) === problem) return false;
    this.#facts.set({ ...this.#facts.value, problems: new Map(problems).set(topic, problem) });
    return true;
  }

  /** Says that all is well again; logged when it is news. */
  resolve(topic: HealthTopic): void {
    const problems = new Map(this.#facts.value.problems);
    if (!problems.delete(topic)) return;
    this.#log.info("A problem is over", { topic });
    this.#facts.set({ ...this.#facts.value, problems });
  }
}
