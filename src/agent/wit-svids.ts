/**
 * WIT-SVIDs in memory, by entry: made when a workload asks for them, kept fresh while one follows them, and shared by all
 * who follow the same entry (WIT-SVID 3.3 allows it on a node).
 */
import type { Clock } from "../lib/clock.ts";
import type { TrustBundle } from "../spiffe/bundle.ts";
import type { AuthorizedEntry } from "../spiffe/entry.ts";
import { isExpired } from "../spiffe/rotation.ts";
import type { WitSvid } from "../spiffe/svid.ts";
import type { WitFollower, WitSource, WitState } from "../workload-api/ports.ts";
import type { QueuedEntry } from "./signing-queue.ts";
import type { SvidCache } from "./svid-cache.ts";
import { WitRefusal } from "./wit-refusal.ts";
import type { Issued } from "./workload-update.ts";

/** Of an entry. */
interface WitRecord {
  readonly entryId: string;
  issued: Issued<WitSvid> | undefined;
  /** The latest attempt to get one failed. */
  failed: boolean;
  readonly followers: Set<Follower>;
}

/** What `WitSvids` is made of. */
export interface WitSvidsDeps {
  readonly clock: Clock;
  /** Knows which entries there are, and the bundle. */
  readonly cache: Pick<SvidCache, "entry" | "bundle">;
}

/** WIT-SVIDs that nobody follows and that are kept for the next caller. */
const MAX_IDLE = 1_024;

/** Memory is bounded by the entries that are followed, and `MAX_IDLE`. */
export class WitSvids implements WitSource {
  readonly refusal: WitRefusal;
  readonly #deps: WitSvidsDeps;
  readonly #records = new Map<string, WitRecord>();
  /** In the order in which they lost their last follower. */
  readonly #idle = new Set<WitRecord>();
  readonly #wantedListeners = new Set<() => void>();

  constructor(deps: WitSvidsDeps) {
    this.#deps = deps;
    this.refusal = new WitRefusal(deps.clock);
  }

  /** WIT-SVIDs that are kept now. */
  get size(): number {
    let size = 0;
    for (const { issued } of this.#records.values()) if (issued !== undefined) size++;
    return size;
  }

  follow(changed: () => void): WitFollower {
    return new Follower(this, changed);
  }

  /** Calls back when somebody came for entries that may need a WIT-SVID. Returns the function that ends it. */
  onWanted(listener: () => void): () => void {
    this.#wantedListeners.add(listener);
    return () => this.#wantedListeners.delete(listener);
  }

  /** Entries that somebody follows, for the signer; none while the server signs none. Lets go of entries that went. */
  *entries(): Generator<QueuedEntry<WitSvid>> {
    const { cache } = this.#deps;
    for (const record of this.#records.values()) {
      const { entryId, followers, issued } = record;
      const entry = cache.entry(entryId);
      if (entry === undefined || (issued !== undefined && issued.svid.spiffeId !== entry.spiffeId)) {
        record.issued = undefined;
        if (followers.size === 0) this.#drop(record);
      }
      if (entry === undefined || followers.size === 0 || this.refusal.holds) continue;
      yield { entry, issued: record.issued, wanted: true };
    }
  }

  /** Whether somebody follows the entry. */
  isFollowed(entryId: string): boolean {
    return (this.#records.get(entryId)?.followers.size ?? 0) > 0;
  }

  /** Takes over WIT-SVIDs, all in one change. Those of entries that went, or name another ID by now, are left out. */
  put(issued: readonly Issued<WitSvid>[]): void {
    const changed: WitRecord[] = [];
    for (const one of issued) {
      const { entryId } = one.entry;
      const record = this.#records.get(entryId);
      if (record === undefined || this.#deps.cache.entry(entryId)?.spiffeId !== one.svid.spiffeId) continue;
      record.issued = one;
      record.failed = false;
      changed.push(record);
    }
    tell(changed);
  }

  /** Says that WIT-SVIDs for these entries could not be had for now: callers who have others need not wait for them. */
  markFailed(entryIds: Iterable<string>): void {
    const changed: WitRecord[] = [];
    for (const entryId of entryIds) {
      const record = this.#records.get(entryId);
      if (record === undefined || record.failed) continue;
      record.failed = true;
      changed.push(record);
    }
    tell(changed);
  }

  /** The server signs none: those who wait are told. */
  refused(): void {
    this.refusal.remember();
    tell(this.#records.values());
  }

  /** Forgets everything: the agent stopped serving. Those who follow learn from their entries that they have none. */
  clear(): void {
    for (const record of this.#records.values()) record.issued = undefined;
    for (const record of Array.from(this.#idle)) this.#drop(record);
  }

  /** For followers: the record of an entry, with one more of them. */
  enter(entryId: string, follower: Follower): WitRecord {
    let record = this.#records.get(entryId);
    if (record === undefined) {
      record = { entryId, issued: undefined, failed: false, followers: new Set() };
      this.#records.set(entryId, record);
    }
    record.followers.add(follower);
    this.#idle.delete(record);
    return record;
  }

  /** For followers: the record has one less of them. */
  leave(record: WitRecord, follower: Follower): void {
    record.followers.delete(follower);
    if (record.followers.size > 0) return;
    // Also one whose token is on its way: the next caller has it.
    this.#idle.add(record);
    if (this.#idle.size <= MAX_IDLE) return;
    const [oldest] = this.#idle;
    if (oldest !== undefined) this.#drop(oldest);
  }

  /** For followers: somebody came for these. */
  wanted(): void {
    for (const listener of Array.from(this.#wantedListeners)) listener();
  }

  /** For followers: what may be handed out for an entry. A token that no bundle verifies any more may not. */
  stateOf(record: WitRecord, entry: AuthorizedEntry): WitState {
    const { clock, cache } = this.#deps;
    const svid = record.issued?.svid;
    const isUsable =
      svid !== undefined &&
      svid.spiffeId === entry.spiffeId &&
      !isExpired(svid, clock.now()) &&
      keysOf(cache.bundle).all.has(svid.keyId);
    return { entry, svid: isUsable ? svid : undefined, failed: record.failed };
  }

  #drop(record: WitRecord): void {
    this.#idle.delete(record);
    this.#records.delete(record.entryId);
  }
}

/** One stream's part of it. */
class Follower implements WitFollower {
  readonly changed: () => void;
  readonly #svids: WitSvids;
  #records = new Map<string, WitRecord>();

  constructor(svids: WitSvids, changed: () => void) {
    this.#svids = svids;
    this.changed = changed;
  }

  get isRefused(): boolean {
    return this.#svids.refusal.holds;
  }

  look(entries: readonly AuthorizedEntry[]): readonly WitState[] {
    const before = this.#records;
    const records = new Map<string, WitRecord>();
    let isNew = false;
    for (const { entryId } of entries) {
      let record = before.get(entryId);
      if (record === undefined) {
        record = this.#svids.enter(entryId, this);
        // Nobody looked after it before, or somebody still does.
        isNew ||= record.followers.size === 1 || record.issued === undefined;
      }
      records.set(entryId, record);
    }
    this.#records = records;
    for (const [entryId, record] of before) if (!records.has(entryId)) this.#svids.leave(record, this);
    if (isNew) this.#svids.wanted();
    return entries.map((entry) => this.#svids.stateOf(records.get(entry.entryId) as WitRecord, entry));
  }

  close(): void {
    for (const record of this.#records.values()) this.#svids.leave(record, this);
    this.#records = new Map();
  }
}

/** Whether a WIT-SVID must be issued anew although its time has not come: its key is tainted, or no longer published. */
export function witTaintCheck(bundle: TrustBundle): (svid: WitSvid) => boolean {
  const { sound } = keysOf(bundle);
  return ({ keyId }) => !sound.has(keyId);
}

interface WitKeys {
  readonly all: ReadonlySet<string>;
  readonly sound: ReadonlySet<string>;
}

const keys = new WeakMap<TrustBundle, WitKeys>();

function keysOf(bundle: TrustBundle): WitKeys {
  let known = keys.get(bundle);
  if (known === undefined) {
    const sound = bundle.witAuthorities.filter(({ tainted }) => !tainted);
    known = {
      all: new Set(bundle.witAuthorities.map(({ keyId }) => keyId)),
      sound: new Set(sound.map(({ keyId }) => keyId)),
    };
    keys.set(bundle, known);
  }
  return known;
}

/** First everything is in its place, then followers are told, once each. */
function tell(records: Iterable<WitRecord>): void {
  const followers = new Set<Follower>();
  for (const record of records) for (const follower of record.followers) followers.add(follower);
  for (const follower of followers) follower.changed();
}
