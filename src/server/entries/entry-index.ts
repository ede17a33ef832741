/** All registration entries in memory, found by ID, parent, SPIFFE ID, federated trust domain and, for aliases, selector. */
import type { RegistrationEntry } from "../../spiffe/entry.ts";
import { type SpiffeId, serverId, type TrustDomain } from "../../spiffe/id.ts";
import { AliasIndex } from "./alias-index.ts";
import { Groups } from "./groups.ts";

/** Holds the entries; knows no time: expired ones are in it until they are removed. */
export class EntryIndex {
  readonly #aliasParent: SpiffeId;
  readonly #byId = new Map<string, RegistrationEntry>();
  readonly #byParent = new Groups<SpiffeId>();
  readonly #bySpiffeId = new Groups<SpiffeId>();
  readonly #byFederated = new Groups<TrustDomain>();
  readonly #admins = new Groups<SpiffeId>();
  readonly #downstreams = new Groups<SpiffeId>();
  readonly aliases = new AliasIndex();

  constructor(trustDomain: TrustDomain) {
    this.#aliasParent = serverId(trustDomain);
  }

  get size(): number {
    return this.#byId.size;
  }

  /** The IDs of all entries. */
  ids(): Iterable<string> {
    return this.#byId.keys();
  }

  get(entryId: string): RegistrationEntry | undefined {
    return this.#byId.get(entryId);
  }

  /** Whether the entry names nodes by their selectors, rather than a workload. */
  isAlias(entry: RegistrationEntry): boolean {
    return entry.parentId === this.#aliasParent;
  }

  /** The entries right below a parent. */
  childrenOf(parentId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#byParent.of(parentId);
  }

  /** The entries for a SPIFFE ID. */
  withId(spiffeId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#bySpiffeId.of(spiffeId);
  }

  /** The entries that federate with a trust domain. */
  federatingWith(trustDomain: TrustDomain): Iterable<RegistrationEntry> {
    return this.#byFederated.of(trustDomain);
  }

  /** The admin entries for a SPIFFE ID. */
  adminsWithId(spiffeId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#admins.of(spiffeId);
  }

  /** The downstream entries for a SPIFFE ID. */
  downstreamsWithId(spiffeId: SpiffeId): Iterable<RegistrationEntry> {
    return this.#downstreams.of(spiffeId);
  }

  /** Adds an entry, or replaces the one with its ID. */
  put(entry: RegistrationEntry): void {
    this.delete(entry.entryId);
    this.#byId.set(entry.entryId, entry);
    this.#bySpiffeId.add(entry.spiffeId, entry);
    if (this.isAlias(entry)) this.aliases.add(entry);
    else this.#byParent.add(entry.parentId, entry);
    for (const trustDomain of entry.federatesWith) this.#byFederated.add(trustDomain, entry);
    if (entry.admin) this.#admins.add(entry.spiffeId, entry);
    if (entry.downstream) this.#downstreams.add(entry.spiffeId, entry);
  }

  /** Removes an entry. */
  delete(entryId: string): void {
    const entry = this.#byId.get(entryId);
    if (entry === undefined) return;
    this.#byId.delete(entryId);
    this.#bySpiffeId.remove(entry.spiffeId, entryId);
    if (this.isAlias(entry)) this.aliases.remove(entryId);
    else this.#byParent.remove(entry.parentId, entryId);
    for (const trustDomain of entry.federatesWith) this.#byFederated.remove(trustDomain, entryId);
    this.#admins.remove(entry.spiffeId, entryId);
    this.#downstreams.remove(entry.spiffeId, entryId);
  }
}
