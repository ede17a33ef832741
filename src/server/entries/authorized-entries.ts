/** Answers from memory which entries an agent may have, follows the datastore, and tells which agents a change concerns. */
import type { Clock } from "../../lib/clock.ts";
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { isAbort, type Runnable } from "../../lib/tasks.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { DataStore } from "../datastore/datastore.ts";
import { type AffectedChange, EntryState } from "./entry-state.ts";
import { Follower } from "./follower.ts";
import { isExpired } from "./walk.ts";

export type { AffectedChange } from "./entry-state.ts";
export type { Concerned } from "./revisions.ts";

/** What the index needs. */
export interface AuthorizedEntriesDeps {
  readonly store: Pick<DataStore, "entries" | "nodes" | "events" | "onChange">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly trustDomain: TrustDomain;
  /** Milliseconds between looks for changes by other writers; default 5,000. Our own are seen at once. */
  readonly pollIntervalMs?: number;
  /** Milliseconds between comparisons with the whole datastore; default a day. */
  readonly reloadIntervalMs?: number;
}

const POLL_MS = 5_000;
const RELOAD_MS = 24 * 60 * 60 * 1_000;

/** `load` before the first question; `run` keeps it true. */
export class AuthorizedEntries implements Runnable {
  readonly #deps: AuthorizedEntriesDeps;
  readonly #state: EntryState;
  readonly #follower: Follower;
  readonly #listeners = new Set<(change: AffectedChange) => void>();
  #unfollow: (() => void) | undefined;

  constructor(deps: AuthorizedEntriesDeps) {
    this.#deps = deps;
    this.#state = new EntryState(deps.trustDomain, deps.clock.now());
    this.#follower = new Follower({
      store: deps.store,
      log: deps.log,
      state: this.#state,
      apply: (changes) => this.#tell(this.#state.apply(changes)),
    });
  }

  /** How many entries there are. */
  get size(): number {
    return this.#state.index.size;
  }

  /** Reads everything, and follows this process's own changes from then on. Throws when the datastore fails. */
  async load(): Promise<void> {
    this.#unfollow ??= this.#deps.store.onChange(() => void this.#follower.catchUp());
    await this.#follower.reload();
    await this.#follower.catchUp();
  }

  /** Looks for changes by others, for entries that expire, and once a day at everything. Loads if need be. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollIntervalMs = POLL_MS, reloadIntervalMs = RELOAD_MS } = this.#deps;
    if (this.#unfollow === undefined) await this.load();
    try {
      let reloadAt = clock.monotonic() + reloadIntervalMs;
      for (;;) {
        await clock.sleep(this.#untilExpiry(pollIntervalMs), signal);
        this.#tell(this.#state.expire(clock.now()));
        await this.#follower.catchUp();
        if (clock.monotonic() < reloadAt) continue;
        reloadAt = clock.monotonic() + reloadIntervalMs;
        await this.#reload();
      }
    } catch (error) {
      if (!isAbort(error, signal)) throw error;
    } finally {
      this.#unfollow?.();
      this.#unfollow = undefined;
      await this.#follower.settled();
    }
  }

  /**
   * Resolves once all changes that this process committed before the call are in the answers: at once when there
   * are none. Await it before answering, so that who created an entry, or just attested, finds it.
   */
  settled(): Promise<void> {
    return this.#follower.settled();
  }

  /** The entries an agent may have at this moment, each once, in no order. Equal answers are the same array. */
  authorizedFor(agentId: SpiffeId): readonly RegistrationEntry[] {
    return this.#state.view(agentId, this.#deps.clock.now()).set.entries;
  }

  /** The entry, if the agent may have it at this moment. */
  authorizedEntry(agentId: SpiffeId, entryId: string): RegistrationEntry | undefined {
    return this.#state.view(agentId, this.#deps.clock.now()).get(entryId);
  }

  /** Whether the agent may have the entry at this moment. */
  isAuthorized(agentId: SpiffeId, entryId: string): boolean {
    return this.authorizedEntry(agentId, entryId) !== undefined;
  }

  /** Whether an unexpired entry gives this ID admin rights. */
  hasAdminEntry(spiffeId: SpiffeId): boolean {
    return this.#anyValid(this.#state.index.adminsWithId(spiffeId));
  }

  /** Whether an unexpired entry makes this ID a downstream server. */
  hasDownstreamEntry(spiffeId: SpiffeId): boolean {
    return this.#anyValid(this.#state.index.downstreamsWithId(spiffeId));
  }

  /** Numbers that grow whenever the agent's entries, or the bundles it uses, may have changed; smaller after a restart only if the clock went back. */
  revisions(agentId: SpiffeId): { readonly entries: bigint; readonly bundles: bigint } {
    return {
      entries: this.#state.entryRevisions.of(agentId),
      bundles: this.#state.bundleRevisions.of(agentId),
    };
  }

  /** Calls back with each change, after it is in the answers and revisions. The listener must not throw. Returns the function that ends it. */
  onAffected(listener: (change: AffectedChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #reload(): Promise<void> {
    try {
      await this.#follower.reload();
    } catch (error) {
      this.#deps.log.warn("Could not compare entries with the datastore; trying again later", {
        error: errorText(error),
      });
    }
  }

  #untilExpiry(longest: number): number {
    const next = this.#state.nextExpiry;
    return next === undefined ? longest : Math.min(longest, Math.max(1, next * 1000 - this.#deps.clock.now()));
  }

  #anyValid(entries: Iterable<RegistrationEntry>): boolean {
    const now = this.#deps.clock.now();
    for (const entry of entries) if (!isExpired(entry, now)) return true;
    return false;
  }

  #tell(changes: readonly AffectedChange[]): void {
    for (const change of changes) for (const listener of Array.from(this.#listeners)) listener(change);
  }
}
