/** The datastore's ports: small stores, one transaction. Every method may throw `UNAVAILABLE` when the database fails. */
import type { TrustBundle } from "../../spiffe/bundle.ts";
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import type { SpiffeId, TrustDomain } from "../../spiffe/id.ts";
import type { Selector } from "../../spiffe/selector.ts";

/** How a filter compares a set with the stored one. */
export type SetMatch = "exact" | "subset" | "superset" | "any";

/** Conditions on entries; all given ones must hold. */
export interface EntryFilter {
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  readonly selectors?: { readonly set: readonly Selector[]; readonly match: SetMatch };
  readonly federatesWith?: { readonly set: readonly TrustDomain[]; readonly match: SetMatch };
  readonly hint?: string;
  readonly downstream?: boolean;
}

/** A page: `size` 0 is all; `token` is opaque and comes from the page before. */
export interface PageRequest {
  readonly size: number;
  readonly token: string;
}

/** Rows of a page; `nextToken` is empty after the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken: string;
}

/** Registration entries. Each write also records an event, in the same transaction. */
export interface EntryStore {
  /**
   * Stores a new entry (its id, createdAt and revision are the caller's). Returns the existing one when
   * (spiffeId, parentId, selectors) is taken; throws `ALREADY_EXISTS` when the id is, and
   * `FAILED_PRECONDITION` when it federates with a trust domain that has no bundle.
   */
  create(entry: RegistrationEntry): Promise<{ readonly entry: RegistrationEntry; readonly created: boolean }>;
  get(entryId: string): Promise<RegistrationEntry | undefined>;
  /** Those of the given entries that exist, in no order. */
  getMany(entryIds: readonly string[]): Promise<readonly RegistrationEntry[]>;
  /**
   * Replaces the entry of that id; throws `NOT_FOUND`. The stored revision grows by one and is returned;
   * `createdAt` stays. Throws `ALREADY_EXISTS` when the new (spiffeId, parentId, selectors) is another
   * entry's, and `FAILED_PRECONDITION` as `create` does.
   */
  update(entry: RegistrationEntry): Promise<RegistrationEntry>;
  /** Deletes and returns the entry; `undefined` when there is none. */
  delete(entryId: string): Promise<RegistrationEntry | undefined>;
  list(filter: EntryFilter, page: PageRequest): Promise<Page<RegistrationEntry>>;
  count(filter: EntryFilter): Promise<number>;
  /** Deletes entries whose `expiresAt` is before `now` (Unix seconds); returns their ids, at most `limit`. */
  prune(now: number, limit: number): Promise<readonly string[]>;
}

/** A node that attested. */
export interface AttestedNode {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  /** Decimal; empty when banned. */
  readonly serial: string;
  /** Unix seconds. */
  readonly expiresAt: number;
  /** The renewed SVID that was issued and not used yet; empty for none. */
  readonly pendingSerial: string;
  /** Unix seconds; 0 for none. */
  readonly pendingExpiresAt: number;
  readonly canReattest: boolean;
  readonly agentVersion: string;
  readonly selectors: readonly Selector[];
  /** What its last attestation told beside the selectors: short texts by name. */
  readonly facts: Readonly<Record<string, string>>;
}

/** Conditions on nodes; all given ones must hold. */
export interface NodeFilter {
  readonly attestationType?: string;
  readonly selectors?: { readonly set: readonly Selector[]; readonly match: SetMatch };
  readonly banned?: boolean;
  readonly canReattest?: boolean;
  /** Unix seconds. */
  readonly expiresBefore?: number;
}

/** Attested nodes and their selectors. Each write records an event. */
export interface AttestedNodeStore {
  get(agentId: SpiffeId): Promise<AttestedNode | undefined>;
  /** Creates the node, or replaces all of it. */
  put(node: AttestedNode): Promise<void>;
  /** Sets the given fields of an existing node; returns false when it is gone. */
  update(agentId: SpiffeId, change: Partial<Omit<AttestedNode, "agentId">>): Promise<boolean>;
  delete(agentId: SpiffeId): Promise<AttestedNode | undefined>;
  list(filter: NodeFilter, page: PageRequest): Promise<Page<AttestedNode>>;
  count(filter: NodeFilter): Promise<number>;
  /** Deletes nodes that expired before `expiredBefore` (Unix seconds), never banned ones, those that cannot re-attest only with `includeNonReattestable`; at most `limit`; returns their ids. */
  prune(expiredBefore: number, includeNonReattestable: boolean, limit: number): Promise<readonly SpiffeId[]>;
}

/** Trust bundles, own and federated. `sequence` is the store's: it grows with each change, at least to the bundle's own. */
export interface BundleStore {
  get(trustDomain: TrustDomain): Promise<TrustBundle | undefined>;
  list(page: PageRequest): Promise<Page<TrustBundle>>;
  /** Creates or replaces; returns what is stored, with the sequence grown if the content changed. */
  set(bundle: TrustBundle): Promise<TrustBundle>;
  /** Adds authorities that are not there yet, creating the bundle if need be, and takes a refresh hint that is not 0; returns what is stored. */
  append(bundle: TrustBundle): Promise<TrustBundle>;
  /** Deletes; `restrict` throws `FAILED_PRECONDITION` when entries federate with it, `dissociate` drops it from them, `delete` deletes them. Returns false when there is none. */
  delete(trustDomain: TrustDomain, mode: "restrict" | "dissociate" | "delete"): Promise<boolean>;
  count(): Promise<number>;
}

/** One-time join tokens. */
export interface JoinTokenStore {
  /** Throws `ALREADY_EXISTS`. `expiresAt` in Unix seconds. */
  create(token: string, expiresAt: number): Promise<void>;
  /** Deletes the token and returns its expiry in one statement; `undefined` when it is unknown (or was spent). */
  consume(token: string): Promise<{ readonly expiresAt: number } | undefined>;
  /** Deletes tokens that expired before `now` (Unix seconds); returns how many. */
  prune(now: number): Promise<number>;
}

/** The CA journal: one record per server, opaque to the store. */
export interface JournalStore {
  load(): Promise<Uint8Array | undefined>;
  save(journal: Uint8Array): Promise<void>;
}

/** What changed: every write of an entry, node or bundle appends one, in its own transaction. */
export interface ChangeEvent {
  readonly id: bigint;
  readonly kind: "entry" | "node" | "bundle";
  /** Entry ID, agent ID or trust domain. */
  readonly subject: string;
}

/** The log of changes, from which caches follow the database. */
export interface EventStore {
  /**
   * Events after `id`, oldest first, at most `limit`; `undefined` when the log does not reach back to `id`
   * or never reached it (pruned, or the database was replaced): the reader must load everything anew.
   */
  since(id: bigint, limit: number): Promise<readonly ChangeEvent[] | undefined>;
  /** The newest id; 0n when there is none. */
  latest(): Promise<bigint>;
  /** Deletes events recorded before `before` (Unix seconds); the newest stays, so that `latest` never goes back. */
  prune(before: number): Promise<void>;
}

/** All stores over one database. Reads outside a transaction see only what was committed. */
export interface DataStore {
  /** What and where it is, for messages to the operator, such as `SQLite database /var/lib/x.sqlite3`. */
  readonly name: string;
  readonly entries: EntryStore;
  readonly nodes: AttestedNodeStore;
  readonly bundles: BundleStore;
  readonly joinTokens: JoinTokenStore;
  readonly caJournal: JournalStore;
  readonly events: EventStore;
  /**
   * Runs `work` in one transaction: all of it is stored, or nothing. `work` writes through `tx` only and waits
   * for nothing slow and for no other write, since those may share its commit. Throws when nested.
   */
  transaction<T>(work: (tx: DataStore) => Promise<T>): Promise<T>;
  /** Calls back after a transaction that recorded events was committed by this process. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}
