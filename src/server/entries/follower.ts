/** Keeps the entries in memory as the datastore has them: loads all in pages, then follows the log of changes. */
import { errorText } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { turn } from "../../lib/turn.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { Selector } from "../../spiffe/selector.ts";
import type { ChangeEvent, DataStore, Page } from "../datastore/datastore.ts";
import type { Changes, EntryState } from "./entry-state.ts";

/** Rows read, and events followed, at a time. */
const BATCH = 250;

/** The stores that are followed. */
export type FollowedStore = Pick<DataStore, "entries" | "nodes" | "events">;

/** What a follower needs. */
export interface FollowerDeps {
  readonly store: FollowedStore;
  readonly log: Logger;
  readonly state: EntryState;
  /** Takes in a batch and tells whom it concerns. */
  readonly apply: (changes: Changes) => void;
}

/** One reading at a time; what is asked for meanwhile follows after it. */
export class Follower {
  readonly #deps: FollowerDeps;
  #last = 0n;
  #reading: Promise<void> | undefined;
  #again = false;

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
  }

  /** Compares everything with the datastore. Throws when it cannot be read. */
  async reload(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading;
    const reading = this.#reload();
    this.#reading = reading.catch(() => {}).finally(() => this.#finished());
    await reading;
  }

  /** Reads what changed since the last time, now or right after the reading in progress. Failures are logged. */
  catchUp(): Promise<void> {
    if (this.#reading !== undefined) this.#again = true;
    else this.#reading = this.#catchUp().finally(() => this.#finished());
    return this.settled();
  }

  /** Resolves once everything asked for so far was read (or could not be). */
  async settled(): Promise<void> {
    while (this.#reading !== undefined) await this.#reading;
  }

  #finished(): void {
    this.#reading = undefined;
    if (!this.#again) return;
    this.#again = false;
    void this.catchUp();
  }

  async #catchUp(): Promise<void> {
    try {
      for (;;) {
        const events = await this.#deps.store.events.since(this.#last, BATCH);
        if (events === undefined) {
          this.#deps.log.warn("The log of changes does not reach back far enough; comparing all entries");
          await this.#reload();
          continue;
        }
        const last = events.at(-1);
        if (last === undefined) return;
        this.#deps.apply(await this.#changesOf(events));
        this.#last = last.id;
        if (events.length === BATCH) await turn();
      }
    } catch (error) {
      this.#deps.log.warn("Could not read changes of entries; trying again", { error: errorText(error) });
    }
  }

  /** How the subjects of these events are now. */
  async #changesOf(events: readonly ChangeEvent[]): Promise<Changes> {
    const subjects = (kind: ChangeEvent["kind"]): Set<string> =>
      new Set(events.filter((event) => event.kind === kind).map((event) => event.subject));
    const ids = subjects("entry");
    const entries = new Map<string, RegistrationEntry | undefined>();
    for (const id of ids) entries.set(id, undefined);
    for (const entry of await this.#deps.store.entries.getMany([...ids])) entries.set(entry.entryId, entry);
    const nodes = new Map<SpiffeId, readonly Selector[] | undefined>();
    for (const agentId of subjects("node") as Set<SpiffeId>) {
      nodes.set(agentId, (await this.#deps.store.nodes.get(agentId))?.selectors);
    }
    return { entries, nodes, bundles: subjects("bundle") as Set<TrustDomain> };
  }

  async #reload(): Promise<void> {
    const { store, state, apply } = this.#deps;
    // Read first: what happens from here on is in the log.
    const latest = await store.events.latest();
    const staleNodes = new Set(state.nodes.ids());
    for await (const nodes of pages((token) => store.nodes.list({}, { size: BATCH, token }))) {
      for (const node of nodes) staleNodes.delete(node.agentId);
      apply({ nodes: new Map(nodes.map((node) => [node.agentId, node.selectors])) });
    }
    const staleEntries = new Set(state.index.ids());
    for await (const entries of pages((token) => store.entries.list({}, { size: BATCH, token }))) {
      for (const entry of entries) staleEntries.delete(entry.entryId);
      apply({ entries: new Map(entries.map((entry) => [entry.entryId, entry])) });
    }
    apply({
      nodes: new Map([...staleNodes].map((agentId) => [agentId, undefined])),
      entries: new Map([...staleEntries].map((entryId) => [entryId, undefined])),
    });
    this.#last = latest;
  }
}

async function* pages<T>(read: (token: string) => Promise<Page<T>>): AsyncIterable<readonly T[]> {
  let token = "";
  do {
    const page = await read(token);
    yield page.items;
    await turn();
    token = page.nextToken;
  } while (token !== "");
}
