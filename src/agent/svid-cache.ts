/**
 * The SVIDs of this node's workloads, in memory: entries indexed by selector, and a cell per set of selectors that
 * somebody watches. A change touches only the cells that it concerns; callers that match the same entries share one
 * update object.
 */
import type { HeldBundles } from "../agent-admin/ports.ts";
import type { Clock } from "../lib/clock.ts";
import { type Watchable, WatchableValue } from "../lib/watchable.ts";
import { sameAuthorities, type TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import type { TrustDomain } from "../spiffe/id.ts";
import { isExpired } from "../spiffe/rotation.ts";
import { type Selector, selectorText } from "../spiffe/selector.ts";
import type { WorkloadUpdate } from "../workload-api/ports.ts";
import { sameEntry, sameSelectors } from "./entry-changes.ts";
import { SubsetIndex } from "./selector-index.ts";
import { Change, EntryRecord, WorkloadGroups } from "./workload-groups.ts";
import type { EntryState, IssuedSvid } from "./workload-update.ts";

/** What a sync brought. */
export interface SyncUpdate {
  /** All entries that the agent is authorized for, by ID. */
  readonly entries: ReadonlyMap<string, AuthorizedEntry>;
  readonly bundle: TrustBundle;
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

/** What was stored of a cache. */
export interface StoredCache {
  readonly bundle: TrustBundle;
  readonly federatedBundles: ReadonlyMap<TrustDomain, TrustBundle>;
  readonly entries: Iterable<{ readonly entry: AuthorizedEntry; readonly issued?: IssuedSvid | undefined }>;
}

/** An entry in the cache, as the signer sees it. */
export interface CachedEntry extends EntryState {
  /** Whether a caller that matches it is connected. */
  readonly wanted: boolean;
}

/** Timers stand still while a host sleeps, expiry does not. */
const LONGEST_WAIT_MS = 60_000;

/** Memory is bounded by the entries, the readers, and a thousand idle cells. */
export class SvidCache {
  readonly #clock: Clock;
  readonly #records = new Map<string, EntryRecord>();
  readonly #index = new SubsetIndex<EntryRecord>();
  readonly #groups: WorkloadGroups;
  readonly #wantedListeners = new Set<() => void>();
  readonly #bundles: WatchableValue<HeldBundles>;
  #isRestored = false;
  /** Told when there is something new to store. */
  onChanged: () => void = () => {};
  #nextExpiry = Number.POSITIVE_INFINITY;
  #cancelTimer: () => void = () => {};

  constructor(clock: Clock, bundle: TrustBundle) {
    this.#clock = clock;
    this.#bundles = new WatchableValue<HeldBundles>({ synced: false, bundle, federatedBundles: new Map() });
    this.#groups = new WorkloadGroups({
      matching: (texts) => this.#index.within(texts),
      context: () => ({ ...this.#bundles.value, now: clock.now() }),
      wanted: () => {
        for (const listener of Array.from(this.#wantedListeners)) listener();
      },
    });
  }

  /** All entries that workloads may have, for the signer. */
  entries(): IterableIterator<CachedEntry> {
    return this.#records.values();
  }

  /** The entry with this ID, if workloads may have it. */
  entry(entryId: string): AuthorizedEntry | undefined {
    return this.#records.get(entryId)?.entry;
  }

  /** All bundles, as workloads get them; the same object while they say the same. */
  get bundles(): Watchable<HeldBundles> {
    return this.#bundles;
  }

  /** The own bundle, as workloads get it. */
  get bundle(): TrustBundle {
    return this.#bundles.value.bundle;
  }

  /** Bundles of federated trust domains. */
  get federatedBundles(): ReadonlyMap<TrustDomain, TrustBundle> {
    return this.#bundles.value.federatedBundles;
  }

  /** Sizes, for metrics. */
  get sizes(): { readonly entries: number; readonly svids: number; readonly cells: number } {
    let svids = 0;
    for (const { issued } of this.#records.values()) if (issued !== undefined) svids++;
    return { entries: this.#records.size, svids, cells: this.#groups.size };
  }

  /** Calls back when a caller came for an entry that has no SVID yet. Returns the function that ends it. */
  onWanted(listener: () => void): () => void {
    this.#wantedListeners.add(listener);
    return () => this.#wantedListeners.delete(listener);
  }

  /** The cell of callers with these selectors; equal sets share it. No work grows with the number of entries. */
  subscribe(selectors: readonly Selector[]): Watchable<WorkloadUpdate> {
    return this.#groups.subscribe(selectors);
  }

  /**
   * Takes over what was stored, before the first sync: callers who match it are served at once, others wait for what
   * the server says. SVIDs that had ended at `now` are left out.
   */
  restore(stored: StoredCache, now: number): void {
    if (this.#bundles.value.synced) return;
    const { bundle, federatedBundles } = stored;
    this.#bundles.set({ synced: false, bundle, federatedBundles });
    const change = new Change();
    for (const group of this.#groups.all()) change.dirty.add(group);
    for (const { entry, issued } of stored.entries) {
      this.#adopt(entry, change);
      if (issued !== undefined && !isExpired(issued.svid, now)) this.#adoptSvid(issued, change);
    }
    this.#groups.apply(change);
    this.#isRestored = true;
  }

  /** The server cannot be asked: what was stored is all that there is to say, also to those who match none of it. */
  settle(): void {
    if (!this.#isRestored || this.#bundles.value.synced) return;
    this.#bundles.set({ ...this.#bundles.value, synced: true });
    const change = new Change();
    for (const group of this.#groups.all()) change.dirty.add(group);
    this.#groups.apply(change);
  }

  /** Takes over what the server says now; what it no longer says is gone at once. */
  applySync(update: SyncUpdate): void {
    const change = new Change();
    let changed = this.#adoptBundles(update);
    if (changed) for (const group of this.#groups.all()) change.dirty.add(group);
    for (const [id, record] of this.#records) {
      const entry = update.entries.get(id);
      if (entry !== undefined && !entry.storeSvid) continue;
      this.#drop(record, change);
      changed = true;
    }
    for (const entry of update.entries.values()) {
      // Those SVIDs are for secret stores, not for workloads.
      if (!entry.storeSvid && this.#adopt(entry, change)) changed = true;
    }
    this.#groups.apply(change);
    if (changed) this.onChanged();
  }

  /** Takes over SVIDs, all in one change. Those of entries that went, or name another ID by now, are left out. */
  put(issued: readonly IssuedSvid[]): void {
    const change = new Change();
    for (const one of issued) this.#adoptSvid(one, change);
    this.#groups.apply(change);
    if (issued.length > 0) this.onChanged();
  }

  /** Says that SVIDs for these entries could not be had for now: callers who have others need not wait for them. */
  markFailed(entryIds: Iterable<string>): void {
    const change = new Change();
    for (const id of entryIds) {
      const record = this.#records.get(id);
      if (record === undefined || record.failed) continue;
      record.failed = true;
      change.touch(record);
    }
    this.#groups.apply(change);
  }

  /** Stops serving: every caller loses everything at once, until the next sync. */
  clear(): void {
    this.applySync({ entries: new Map(), bundle: this.bundle, federatedBundles: new Map() });
  }

  /** Ends every reader. */
  close(): void {
    this.#cancelTimer();
    this.#bundles.close();
    this.#groups.close();
  }

  /** Bundles keep their identity while they say the same. Says whether anything changed. */
  #adoptBundles(update: SyncUpdate): boolean {
    const { synced, bundle, federatedBundles } = this.#bundles.value;
    const federated = new Map<TrustDomain, TrustBundle>();
    let changed = !synced || federatedBundles.size !== update.federatedBundles.size;
    for (const [trustDomain, next] of update.federatedBundles) {
      const known = federatedBundles.get(trustDomain);
      const kept = known !== undefined && sameAuthorities(known, next) ? known : next;
      changed ||= kept !== known;
      federated.set(trustDomain, kept);
    }
    const own = sameAuthorities(bundle, update.bundle) ? bundle : update.bundle;
    changed ||= own !== bundle;
    if (changed) this.#bundles.set({ synced: true, bundle: own, federatedBundles: federated });
    return changed;
  }

  /** Says whether the entry is new or another one than before. */
  #adopt(entry: AuthorizedEntry, change: Change): boolean {
    const record = this.#records.get(entry.entryId);
    if (record !== undefined && sameEntry(record.entry, entry)) return false;
    if (record !== undefined && sameSelectors(record.entry, entry)) {
      // Another ID means that the old one is no longer the workload's: it goes before its successor is there.
      record.issued = stillOf(entry, record.issued);
      record.entry = entry;
      record.failed = false;
      change.touch(record);
      return true;
    }
    const next = new EntryRecord(entry);
    if (record !== undefined) {
      next.issued = stillOf(entry, record.issued);
      this.#drop(record, change);
    }
    this.#records.set(entry.entryId, next);
    const texts = entry.selectors.map(selectorText);
    this.#index.add(next, texts);
    for (const cell of this.#groups.containing(texts)) change.moving.add(cell);
    return true;
  }

  #adoptSvid(issued: IssuedSvid, change: Change): void {
    const record = this.#records.get(issued.entry.entryId);
    if (record === undefined || record.entry.spiffeId !== issued.svid.spiffeId) return;
    record.issued = stillOf(record.entry, issued);
    record.failed = false;
    this.#expectExpiry(issued.svid.notAfter);
    change.touch(record);
  }

  #drop(record: EntryRecord, change: Change): void {
    this.#records.delete(record.entry.entryId);
    this.#index.remove(record);
    change.remove(record);
  }

  #expectExpiry(notAfter: number): void {
    if (notAfter >= this.#nextExpiry) return;
    this.#nextExpiry = notAfter;
    this.#armTimer();
  }

  #armTimer(): void {
    this.#cancelTimer();
    if (this.#nextExpiry === Number.POSITIVE_INFINITY) return;
    const wait = Math.min(LONGEST_WAIT_MS, Math.max(1, this.#nextExpiry - this.#clock.now()));
    this.#cancelTimer = this.#clock.after(wait, () => this.#dropExpired());
  }

  #dropExpired(): void {
    const now = this.#clock.now();
    if (now >= this.#nextExpiry) {
      const change = new Change();
      this.#nextExpiry = Number.POSITIVE_INFINITY;
      for (const record of this.#records.values()) {
        if (record.issued === undefined) continue;
        if (isExpired(record.issued.svid, now)) change.touch(record);
        else this.#nextExpiry = Math.min(this.#nextExpiry, record.issued.svid.notAfter);
      }
      this.#groups.apply(change);
    }
    this.#armTimer();
  }
}

/** What of an entry's SVID goes on when its definition changes: whether it may be handed on is as the entry says now. */
function stillOf({ spiffeId, admin, downstream }: AuthorizedEntry, issued?: IssuedSvid): IssuedSvid | undefined {
  if (issued?.svid.spiffeId !== spiffeId) return undefined;
  const { entry } = issued;
  if (entry.admin === admin && entry.downstream === downstream) return issued;
  return { ...issued, entry: { ...entry, admin, downstream } };
}
