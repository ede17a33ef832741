/** Entries and nodes in memory with all that is derived from them. Knows no datastore: changes are handed to it. */
import { isDeepStrictEqual } from "node:util";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { Selector } from "../../spiffe/selector.ts";
import { EntryIndex } from "./entry-index.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { Interner } from "./interner.ts";
import { NodeIndex } from "./node-index.ts";
import { type Concerned, Revisions } from "./revisions.ts";
import { View, ViewCache } from "./view-cache.ts";
import { AffectedAgents, authorizedSet, isExpired } from "./walk.ts";

/** A change, and whom it concerns. */
export interface AffectedChange {
  /** `entries`: those of the agents changed; `bundles`: one that they use did. */
  readonly kind: "entries" | "bundles";
  readonly agents: Concerned;
}

/** How entries, nodes and bundles are now; `undefined` for those that are gone. */
export interface Changes {
  readonly entries?: ReadonlyMap<string, RegistrationEntry | undefined>;
  readonly nodes?: ReadonlyMap<SpiffeId, readonly Selector[] | undefined>;
  readonly bundles?: ReadonlySet<TrustDomain>;
}

export class EntryState {
  readonly index: EntryIndex;
  readonly nodes = new NodeIndex();
  readonly entryRevisions: Revisions;
  readonly bundleRevisions: Revisions;
  readonly #trustDomain: TrustDomain;
  readonly #views = new ViewCache();
  readonly #expiries = new ExpiryQueue();
  readonly #interner = new Interner();

  /** `now` in milliseconds. */
  constructor(trustDomain: TrustDomain, now: number) {
    this.#trustDomain = trustDomain;
    this.index = new EntryIndex(trustDomain);
    this.entryRevisions = new Revisions(now);
    this.bundleRevisions = new Revisions(now);
  }

  /** The earliest expiry that has not been told, Unix seconds. */
  get nextExpiry(): number | undefined {
    return this.#expiries.next;
  }

  /** What an agent may have at `now` (ms). */
  view(agentId: SpiffeId, now: number): View {
    const known = this.#views.get(agentId, now);
    if (known !== undefined) return known;
    const view = new View(authorizedSet(this.index, this.nodes, agentId, now));
    this.#views.add(agentId, view);
    return view;
  }

  /** Takes in a batch of changes; what is already so is no change. Returns whom it concerns. */
  apply(changes: Changes): readonly AffectedChange[] {
    const affected = new AffectedAgents(this.index, this.nodes);
    for (const [agentId, selectors] of changes.nodes ?? []) {
      if (this.#setNode(agentId, selectors)) affected.agents.add(agentId);
    }
    for (const [entryId, entry] of changes.entries ?? []) this.#setEntry(entryId, entry, affected);
    const told = this.#tell(affected.agents);
    const bundles = this.#bundlesChanged(changes.bundles ?? new Set());
    return bundles === undefined ? told : [...told, bundles];
  }

  /** Finds what expired up to `now` (ms). Returns whom it concerns. */
  expire(now: number): readonly AffectedChange[] {
    const affected = new AffectedAgents(this.index, this.nodes);
    for (const entryId of this.#expiries.due(Math.floor(now / 1000))) {
      const entry = this.index.get(entryId);
      if (entry !== undefined && isExpired(entry, now)) affected.add(entry);
    }
    return this.#tell(affected.agents);
  }

  #setNode(agentId: SpiffeId, selectors: readonly Selector[] | undefined): boolean {
    return selectors === undefined ? this.nodes.delete(agentId) : this.nodes.set(agentId, selectors);
  }

  #setEntry(entryId: string, entry: RegistrationEntry | undefined, affected: AffectedAgents): void {
    const before = this.index.get(entryId);
    if (isDeepStrictEqual(before, entry)) return;
    if (before !== undefined) affected.add(before);
    if (entry === undefined) {
      this.index.delete(entryId);
      return;
    }
    const after = this.#interner.entry(entry);
    this.index.put(after);
    affected.add(after);
    if (after.expiresAt > 0) this.#expiries.push(entryId, after.expiresAt);
  }

  #bundlesChanged(trustDomains: ReadonlySet<TrustDomain>): AffectedChange | undefined {
    if (trustDomains.size === 0) return undefined;
    const affected = new AffectedAgents(this.index, this.nodes);
    for (const trustDomain of trustDomains) {
      for (const entry of this.index.federatingWith(trustDomain)) affected.add(entry);
    }
    const agents = trustDomains.has(this.#trustDomain) ? "all" : affected.agents;
    if (agents !== "all" && agents.size === 0) return undefined;
    this.bundleRevisions.raise(agents);
    return { kind: "bundles", agents };
  }

  #tell(agents: ReadonlySet<SpiffeId>): readonly AffectedChange[] {
    if (agents.size === 0) return [];
    for (const agentId of agents) this.#views.delete(agentId);
    this.entryRevisions.raise(agents);
    return [{ kind: "entries", agents }];
  }
}
