/** Entries grouped by a key. Most groups have one member, and then need no map of their own. */
import type { RegistrationEntry } from "../../spiffe/entry.ts";

/** A map from keys to entries, each entry once per key. */
export class Groups<K> {
  readonly #groups = new Map<K, RegistrationEntry | Map<string, RegistrationEntry>>();

  /** How many keys have entries. */
  get size(): number {
    return this.#groups.size;
  }

  /** Adds the entry to the key's group, in the place of one with its ID. */
  add(key: K, entry: RegistrationEntry): void {
    const group = this.#groups.get(key);
    if (group === undefined) {
      this.#groups.set(key, entry);
    } else if (group instanceof Map) {
      group.set(entry.entryId, entry);
    } else if (group.entryId === entry.entryId) {
      this.#groups.set(key, entry);
    } else {
      this.#groups.set(
        key,
        new Map([
          [group.entryId, group],
          [entry.entryId, entry],
        ]),
      );
    }
  }

  /** Takes the entry out of the key's group. */
  remove(key: K, entryId: string): void {
    const group = this.#groups.get(key);
    if (group === undefined) return;
    if (group instanceof Map) {
      group.delete(entryId);
      if (group.size === 0) this.#groups.delete(key);
    } else if (group.entryId === entryId) {
      this.#groups.delete(key);
    }
  }

  /** The entries of the key. */
  of(key: K): Iterable<RegistrationEntry> {
    const group = this.#groups.get(key);
    if (group === undefined) return [];
    return group instanceof Map ? group.values() : [group];
  }

  /** How many entries the key has. */
  count(key: K): number {
    const group = this.#groups.get(key);
    if (group === undefined) return 0;
    return group instanceof Map ? group.size : 1;
  }
}
